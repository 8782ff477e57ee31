"""The most probable architectures within limits, held to enumeration."""

import itertools

import jax
import pytest

from nasjax import cost, derive, space, spaces
from tests.conftest import refused

SPACES = spaces.tiny, spaces.tiny_width, spaces.tiny_macro


def _all(s):
  sizes = [range(len(c)) for c in s.choices.values()]
  return [
    space.Architecture.from_indices(s, index)
    for index in itertools.product(*sizes)
  ]


@pytest.mark.parametrize('fill', [0.0, 0.9])
@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('preset', SPACES)
def test_they_are_the_best_of_all_in_order(preset, seed, fill):
  s = preset()
  macs, params = cost.macs(s), cost.params(s)
  alphas = space.init_alphas(s, jax.random.key(seed), 1.0)
  limits = {c: sum(c.bounds()) // 2 for c in (macs, params)}
  within = [
    a
    for a in _all(s)
    if all(c.exact(a) <= limit for c, limit in limits.items())
    and derive.uses(a, limits, fill)
  ]
  within.sort(key=lambda a: -derive.log_prob(a, alphas))
  for number in (1, 5, len(within), len(within) + 3):
    found = derive.likeliest(s, alphas, limits, number, fill=fill)
    assert found == within[:number]
  first = derive.within(s, alphas, limits, fill=fill)
  assert within[0] == first


def test_no_architecture_is_refused_as_by_within():
  s = spaces.tiny()
  macs, alphas = cost.macs(s), space.init_alphas(s)
  low, _ = macs.bounds()
  refused('no architecture', derive.likeliest, s, alphas, {macs: low - 1}, 2)
  (only,) = derive.likeliest(s, alphas, {macs: low}, 5)
  assert macs.exact(only) == low
  refused('number is 0', derive.likeliest, s, alphas, {macs: 9000}, 0)

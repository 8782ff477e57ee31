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


@pytest.mark.parametrize('seed', range(2))
def test_those_like_another_have_its_pattern(seed):
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  alphas = space.init_alphas(s, jax.random.key(seed), 1.0)
  limits = {macs: sum(macs.bounds()) // 2}
  for leader in derive.leaders(s, alphas, limits):
    within = [
      a
      for a in _all(s)
      if macs.exact(a) <= limits[macs] and a.choice[0] == leader.choice[0]
    ]
    within.sort(key=lambda a: -derive.log_prob(a, alphas))
    found = derive.likeliest(s, alphas, limits, 6, like=leader)
    assert found == within[:6]
    assert found[0] == leader
  _, dear = sorted(
    derive.leaders(s, alphas, {macs: macs.bounds()[1]}),
    key=lambda a: min(
      macs.exact(b) for b in _all(s) if b.choice[0] == a.choice[0]
    ),
  )
  low = {macs: macs.bounds()[0]}
  refused('satisfies', derive.likeliest, s, alphas, low, 1, like=dear)


def test_no_architecture_is_refused_as_by_within():
  s = spaces.tiny()
  macs, alphas = cost.macs(s), space.init_alphas(s)
  low, _ = macs.bounds()
  refused('no architecture', derive.likeliest, s, alphas, {macs: low - 1}, 2)
  (only,) = derive.likeliest(s, alphas, {macs: low}, 5)
  assert macs.exact(only) == low
  refused('number is 0', derive.likeliest, s, alphas, {macs: 9000}, 0)

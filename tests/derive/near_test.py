"""Architectures within a few changes, held to enumeration."""

import itertools

import jax
import numpy as np
import pytest

from nasjax import cost, derive, space, spaces
from tests.conftest import refused

SPACES = spaces.tiny, spaces.tiny_width, spaces.tiny_macro


def _every(s):
  sizes = [range(len(c)) for c in s.choices.values()]
  return [
    space.Architecture.from_indices(s, index)
    for index in itertools.product(*sizes)
  ]


@pytest.mark.parametrize('fill', [0.0, 0.6])
@pytest.mark.parametrize('changes', [1, 2, 3])
@pytest.mark.parametrize('made', SPACES)
def test_they_are_the_most_probable_within_so_many_changes(made, changes, fill):
  s = made()
  macs, params = cost.macs(s), cost.params(s)
  limits = {macs: 0.8 * macs.bounds()[1], params: params.bounds()[1]}
  alphas = space.init_alphas(s, jax.random.key(changes), 1.0)
  best = derive.within(s, alphas, limits, fill=fill)
  drawn = [name for name, c in s.choices.items() if c.drawn]

  def wanted(a):
    differ = [n for n in s.choices if a.named[n] != best.named[n]]
    used = any(c.exact(a) >= fill * limit for c, limit in limits.items())
    kept = all(c.exact(a) <= limit for c, limit in limits.items())
    near = 0 < len(differ) <= changes and not set(drawn) & set(differ)
    return near and kept and used

  score = lambda a: derive.log_prob(a, alphas)  # noqa: E731
  expected = sorted(filter(wanted, _every(s)), key=score, reverse=True)
  assert expected
  found = derive.near(best, alphas, limits, 10**6, changes=changes, fill=fill)
  assert set(found) == set(expected)
  assert len(found) == len(expected)
  np.testing.assert_allclose(
    [score(a) for a in found], [score(a) for a in expected]
  )
  some = derive.near(
    best, alphas, limits, 2, changes=changes, fill=fill, without=found[:1]
  )
  assert some == found[1:3]


def test_from_one_that_does_not_fill_any_may_follow():
  s = spaces.tiny()
  macs, alphas = cost.macs(s), space.init_alphas(s)
  cheapest = min(_every(s), key=macs.exact)
  limits = {macs: macs.bounds()[1]}
  found = derive.near(cheapest, alphas, limits, 99, fill=0.99)
  assert len(found) == len(derive.near(cheapest, alphas, {}, 99)) > 0


@pytest.mark.parametrize('given', [{'number': 0}, {'changes': 0}])
def test_a_number_below_one_is_refused(given):
  s = spaces.tiny()
  told = {'number': 1, **given}
  first = space.Architecture.from_indices(s, (0, 0, 0))
  (name,) = given
  refused(
    f'{name} is 0; it must be at least 1',
    derive.near,
    first,
    space.init_alphas(s),
    {},
    **told,
  )

"""The best architecture of each option of the drawn choice."""

import collections
import itertools

import numpy as np
import pytest

from nasjax import cost, derive, space, spaces


def _alphas(s, rng):
  return {k: rng.normal(size=len(o)) for k, o in s.choices.items()}


def _every(s):
  sizes = (range(len(options)) for options in s.choices.values())
  return [
    space.Architecture.from_indices(s, indices)
    for indices in itertools.product(*sizes)
  ]


@pytest.mark.parametrize('place', [0.3, 0.7])
def test_leaders_are_the_most_probable_of_each_pattern(place):
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  low, high = macs.bounds()
  limit = low + place * (high - low)
  alphas = _alphas(s, np.random.default_rng(0))
  found = derive.leaders(s, alphas, {macs: limit}, fill=0.7)
  assert found[0] == derive.within(s, alphas, {macs: limit}, fill=0.7)
  best = {}
  for name in s.patterns:
    own = [a for a in _every(s) if a.choice[0] == name]
    filled = [a for a in own if 0.7 * limit <= macs.exact(a) <= limit]
    best[name] = max(derive.log_prob(a, alphas) for a in filled)
  first = {a.choice[0]: derive.log_prob(a, alphas) for a in found}
  assert first == pytest.approx(best)


@pytest.mark.parametrize('fill', [0.0, 0.9])
def test_of_equally_probable_leaders_the_first_is_the_derived_one(fill):
  s = spaces.tiny_macro()
  macs, alphas = cost.macs(s), space.init_alphas(s)
  for limit in np.linspace(*macs.bounds(), 7)[1:]:
    found = derive.leaders(s, alphas, {macs: limit}, fill=fill)
    assert found[0] == derive.within(s, alphas, {macs: limit}, fill=fill)


def test_a_pattern_that_cannot_fill_the_limit_has_no_leader():
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  limit = sorted({macs.exact(a) for a in _every(s)})[-2]
  reaches = collections.Counter()
  for a in _every(s):
    if 0.9 * limit <= macs.exact(a) <= limit:
      reaches[a.choice[0]] += 1
  assert set(reaches) == {'late'}
  alphas = _alphas(s, np.random.default_rng(0))
  alphas['pattern'] = np.array([9.0, -9.0])  # However much less probable it is.
  assert s.patterns[0] == 'early'
  best = derive.within(s, alphas, {macs: limit}, fill=0.9)
  assert derive.leaders(s, alphas, {macs: limit}, fill=0.9) == [best]
  first, second = derive.leaders(s, alphas, {macs: limit})
  assert (first.choice[0], second.choice[0]) == ('early', 'late')


def test_a_pattern_that_no_limit_allows_has_no_leader():
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  least = {name: [] for name in s.patterns}
  for a in _every(s):
    least[a.choice[0]].append(macs.exact(a))
  cheap, dear = sorted(least, key=lambda name: min(least[name]))
  limit = min(least[dear]) - 1
  alphas = {**_alphas(s, np.random.default_rng(0)), 'pattern': np.zeros(2)}
  (leader,) = derive.leaders(s, alphas, {macs: limit})
  assert leader.choice[0] == cheap

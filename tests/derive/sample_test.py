"""Samples: uniform among the networks that keep the limits."""

import collections
import functools

import numpy as np
import pytest
from scipy import stats

from nasjax import cost, derive, space, spaces
from tests.conftest import refused
from tests.derive.derive_cases import TINY, costs_of, every_architecture


@pytest.mark.quick_every(7)
@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize(
  ('number', 'fill'), [(1, 0.0), (1, 0.8), (2, 0.0), (2, 0.8), (3, 0.0)]
)
@pytest.mark.parametrize('place', [0.3, 0.5, 0.9])
def test_samples_are_uniform_among_the_feasible(preset, number, fill, place):
  """Pearson's chi-squared at the 99.9 % level, against enumeration."""
  s, costs = costs_of(preset)
  every = every_architecture(s)
  # Tight and loose: there draws are tilted most, down or, to fill, up.
  nth = int(place * len(every))
  limits = {c: sorted(c.exact(a) for a in every)[nth] for c in costs[:number]}
  feasible = [
    a
    for a in every
    if all(c.exact(a) <= limit for c, limit in limits.items())
    and any(c.exact(a) >= fill * limits[c] for c in costs[: min(2, number)])
  ]
  assert len(feasible) < len(every)
  each = 200
  drawn = derive.sample_within(
    s, limits, each * len(feasible), np.random.default_rng(0), fill=fill
  )
  counts = collections.Counter(drawn)
  assert set(counts) == set(feasible)
  if len(feasible) > 1:
    _, p = stats.chisquare([counts[a] for a in feasible])
    assert p > 0.001


@pytest.mark.parametrize('place', [0.02, 0.5, 0.95])
def test_samples_keep_tight_and_loose_limits_of_a_large_space(place):
  s, (macs, params, _) = costs_of(spaces.fbnet)
  low, high = macs.bounds()
  limits = {macs: low + place * (high - low), params: params.bounds()[1]}
  drawn = derive.sample_within(
    s, limits, 5, np.random.default_rng(0), distinct=True
  )
  assert len(set(drawn)) == 5
  assert all(macs.exact(a) <= limits[macs] for a in drawn)
  del limits[params]
  drawn = derive.sample_within(
    s, limits, 5, np.random.default_rng(0), fill=0.95
  )
  assert all(0.95 <= macs.exact(a) / limits[macs] <= 1 for a in drawn)


@pytest.mark.parametrize('share', [0.9, 1.0, 1.02])
@pytest.mark.parametrize('fill', [0.0, 0.9, 0.95])
def test_samples_of_two_loose_limits_fill_one_of_them(share, fill):
  """Random architectures are far from them; one draw in a million uses it."""
  s, (macs, params, _) = costs_of(spaces.mobile_small)
  limits = {c: share * c.bounds()[1] for c in (macs, params)}
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 20, rng, fill=fill, distinct=True)
  assert len(set(drawn)) == 20
  for a in drawn:
    used = [c.exact(a) / limit for c, limit in limits.items()]
    assert max(used) <= 1
    assert max(used) >= fill


def test_samples_of_a_limit_that_cannot_be_filled_beside_another():
  """Nothing fills the parameters within the MACs: those are filled instead."""
  s, (macs, params, _) = costs_of(spaces.mobile_small)
  low, high = macs.bounds()
  limits = {macs: low + (high - low) / 10, params: params.bounds()[1]}
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 20, rng, fill=0.95)
  assert all(0.95 <= macs.exact(a) / limits[macs] <= 1 for a in drawn)


def test_samples_of_the_largest_limit_are_drawn_from_all():
  """Nothing is tilted where nothing can bind: all draws are accepted."""
  s, (macs, params, _) = costs_of(spaces.tiny)
  limits = {c: c.bounds()[1] for c in (macs, params)}
  every = every_architecture(s)
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 200 * len(every), rng)
  counts = collections.Counter(drawn)
  _, p = stats.chisquare([counts[a] for a in every])
  assert p > 0.001


def test_samples_of_what_costs_nothing():
  s = spaces.tiny()
  free = {k: dict.fromkeys(n, 0.0) for k, n in s.choices.items()}
  nothing = cost.table(s, 'nothing', 'units', free)
  rng = np.random.default_rng(0)
  assert len(derive.sample_within(s, {nothing: 0}, 3, rng)) == 3


def test_samples_of_a_limit_that_nothing_fills_are_drawn_without():
  s, (macs, _, _) = costs_of(spaces.tiny)
  limits = {macs: 2 * macs.bounds()[1]}
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 12, rng, fill=0.98, distinct=True)
  assert set(drawn) == set(every_architecture(s))


def test_samples_that_do_not_exist_are_refused():
  s, (macs, _, _) = costs_of(spaces.tiny)
  low, high = macs.bounds()
  rng = np.random.default_rng(0)
  refused(f'{low} to {high}', derive.sample_within, s, {macs: low - 1}, 1, rng)
  assert derive.sample_within(s, {macs: low}, 0, rng) == []
  few = functools.partial(derive.sample_within, distinct=True)
  refused('found 1 of 2 random.* ask for fewer$', few, s, {macs: low}, 2, rng)
  most = functools.partial(few, fill=1.0)
  refused('of which 100% is used.*lower fill', most, s, {macs: low}, 2, rng)


def test_a_limit_can_be_met_to_the_unit(draw):
  s = spaces.mobile_small()
  macs = cost.macs(s)
  a = draw(s)
  alphas = {k: 9 * v for k, v in space.one_hot(a).items()}
  assert derive.within(s, alphas, {macs: macs.exact(a)}) == a
  assert derive.within(s, alphas, {macs: macs.exact(a) - 1}) != a

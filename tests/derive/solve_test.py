"""Deriving: limits are kept, and nothing more probable keeps them."""

import dataclasses
import functools

import numpy as np
import pytest

from nasjax import cost, derive, space, spaces, zoo
from nasjax.errors import InputError
from tests.conftest import refused
from tests.derive.derive_cases import (
  PRESETS,
  TINY,
  costs_of,
  drawn_alphas,
  every_architecture,
  wide_table,
)


def _limit(c, rng):
  low, high = c.bounds()
  return int(low + rng.uniform(-0.1, 1.1) * (high - low))


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('preset', TINY)
def test_200_random_cases_equal_brute_force(preset):
  s = preset()
  macs, params, memory = cost.macs(s), cost.params(s), cost.memory(s)
  every = every_architecture(s)
  rng = np.random.default_rng(0)
  # Additive as the first two are, and unlike them of no network's making.
  numbers = {
    k: {n: int(rng.integers(1, 100)) for n in names}
    for k, names in s.choices.items()
  }
  price = cost.table(s, 'price', 'EUR', numbers)
  infeasible = 0
  for case in range(200):
    alphas = drawn_alphas(s, rng)
    limits = {macs: _limit(macs, rng)}
    if case % 2:
      limits[params] = _limit(params, rng)
    if case % 4 > 1:
      third = memory if case % 4 == 3 else price
      limits[third] = _limit(third, rng)
    if case % 8 == 7:
      limits[price] = _limit(price, rng)
    kept = [
      derive.log_prob(a, alphas)
      for a in every
      if all(c.exact(a) <= limit for c, limit in limits.items())
    ]
    if not kept:
      infeasible += 1
      with pytest.raises(InputError, match='no architecture'):
        derive.within(s, alphas, limits)
      continue
    found = derive.within(s, alphas, limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())
    assert derive.log_prob(found, alphas) == pytest.approx(max(kept), abs=1e-9)
  assert 0 < infeasible < 100  # Both outcomes were seen.


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('scale', [1e-3, 1e-6, 1e-7])
def test_alphas_that_hardly_differ_are_told_apart(preset, scale):
  """As at the start of a search; the solver has a tolerance of its own."""
  s, (macs, _, _) = costs_of(preset)
  every = every_architecture(s)
  rng = np.random.default_rng(0)
  for _ in range(40):
    alphas = drawn_alphas(s, rng, scale)
    limit = macs.exact(every[rng.integers(len(every))])
    found = derive.within(s, alphas, {macs: limit})
    best = max(
      derive.log_prob(a, alphas) for a in every if macs.exact(a) <= limit
    )
    score = derive.log_prob(found, alphas)
    assert score == pytest.approx(best, abs=1e-5 * scale, rel=0)


@pytest.mark.slow
@pytest.mark.parametrize('preset', PRESETS)
def test_one_to_three_limits_are_never_exceeded(preset, derivations):
  """Limits are those that some random architecture keeps, so one exists."""
  s, costs = costs_of(preset)
  rng = np.random.default_rng(1)
  sizes = [len(options) for options in s.choices.values()]
  for case in range(derivations):
    kept = space.Architecture.from_indices(s, [rng.integers(n) for n in sizes])
    order = rng.permutation(3)[: 1 + case % 3]
    limits = {costs[i]: costs[i].exact(kept) for i in order}
    alphas = drawn_alphas(s, rng)
    found = derive.within(s, alphas, limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())
    # Nothing that is known to keep them is more probable.
    score = derive.log_prob(found, alphas)
    assert score >= derive.log_prob(kept, alphas) - 1e-9
    if case % 10 == 0:
      for c in costs[:2]:
        filled = derive.within(s, alphas, limits, fill=0.9)
        assert all(c.exact(filled) <= limit for c, limit in limits.items())
        assert derive.log_prob(filled, alphas) <= score + 1e-9


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('fill', [0.7, 0.95, 1.0])
def test_filled_is_the_most_probable_that_uses_its_limit(preset, fill):
  s, (macs, params, memory) = costs_of(preset)
  every = every_architecture(s)
  rng = np.random.default_rng(2)
  for case in range(40):
    alphas = drawn_alphas(s, rng)
    kept = every[rng.integers(len(every))]
    limits = {c: c.exact(kept) for c in (macs, params, memory)[: 1 + case % 3]}
    found = derive.within(s, alphas, limits, fill=fill)
    wanted = [
      derive.log_prob(a, alphas)
      for a in every
      if all(c.exact(a) <= limit for c, limit in limits.items())
      # The maximum does not count as used: memory is not additive.
      and any(c.exact(a) >= fill * v for c, v in list(limits.items())[:2])
    ]
    assert wanted  # The architecture that the limits are from is one.
    score = derive.log_prob(found, alphas)
    assert score == pytest.approx(max(wanted), abs=1e-9)


def test_what_no_architecture_can_fill_is_derived_without():
  s, (macs, _, _) = costs_of(spaces.tiny)
  alphas = drawn_alphas(s, np.random.default_rng(0))
  limits = {macs: 10 * macs.bounds()[1]}
  assert derive.within(s, alphas, limits, fill=0.9) == space.argmax(s, alphas)
  with pytest.raises(ValueError, match=r'fill of 0 to 1, got 1\.5'):
    derive.within(s, alphas, limits, fill=1.5)


@pytest.mark.parametrize('preset', TINY)
def test_what_has_to_be_used_is_exact_to_the_unit(preset):
  s = preset()
  every = every_architecture(s)
  rng = np.random.default_rng(8)
  energy = wide_table(s, rng)
  by_cost = sorted(every, key=energy.exact)
  for _ in range(10):
    alphas = drawn_alphas(s, rng)
    fullest = by_cost[rng.integers(len(every))]
    limit = energy.exact(fullest)
    found = derive.within(s, alphas, {energy: limit}, fill=1.0)
    assert energy.exact(found) == limit
    # Dearer by a unit, and nothing uses all of it any more.
    found = derive.within(s, alphas, {energy: limit + 1}, fill=1.0)
    best = max(
      derive.log_prob(a, alphas) for a in every if energy.exact(a) <= limit
    )
    assert derive.log_prob(found, alphas) == pytest.approx(best, abs=1e-9)


def test_what_alphas_do_not_tell_apart_is_kept_to_the_unit_too():
  """Everything is as probable, and much is over by less than a tolerance."""
  s = spaces.fbnet()
  rng = np.random.default_rng(9)
  energy, flat = wide_table(s, rng), drawn_alphas(s, rng, 0.0)
  low, high = energy.bounds()
  for limit in (low, low + 1, (low + high) // 2):
    assert energy.exact(derive.within(s, flat, {energy: limit})) <= limit


def test_without_limits_it_is_the_argmax():
  s = spaces.mobile_small()
  alphas = drawn_alphas(s, np.random.default_rng(2))
  assert derive.within(s, alphas, {}) == space.argmax(s, alphas)


def test_a_network_is_all_that_can_be_derived_from_it():
  network = zoo.mobilenet_v2()
  macs = cost.macs(network)
  limits = {macs: macs.constant}
  only = space.Architecture(network, ())
  rng = np.random.default_rng(0)
  assert derive.within(network, {}, limits, fill=1.0) == only
  assert derive.pareto(network, {}, macs) == [(macs.constant, 0.0, only)]
  assert derive.sample_within(network, limits, 3, rng) == [only] * 3
  few = functools.partial(derive.sample_within, rng=rng, distinct=True)
  assert few(network, limits, 1) == [only]
  refused('found 1 of 2 random.* ask for fewer$', few, network, limits, 2)
  refused('no architecture has macs', few, network, {macs: 1}, 1)


def test_what_is_of_another_space_is_refused_with_what_is_wrong():
  s, (macs, _, _) = costs_of(spaces.tiny)
  alphas = drawn_alphas(s, np.random.default_rng(0))
  other = costs_of(spaces.mobile_small)[1][0]
  of_space = "macs is a cost of 'mobile_small' .*, not of 'tiny'"
  with pytest.raises(ValueError, match=of_space):
    derive.within(s, alphas, {other: 1e9})
  with pytest.raises(ValueError, match=of_space):
    derive.sample_within(s, {other: 1e9}, 1, np.random.default_rng(0))
  with pytest.raises(ValueError, match=of_space):
    derive.pareto(s, alphas, other)
  anyones = dataclasses.replace(other, space=None)
  options = r'costs of tiny, got macs with stage1_1 \(7 options\)'
  with pytest.raises(ValueError, match=options):
    derive.within(s, alphas, {anyones: 1e9})
  alphas['stage2_1'] = np.zeros(9)
  for derived in (
    lambda: derive.within(s, alphas, {macs: 1e9}),
    lambda: derive.pareto(s, alphas, macs),
  ):
    with pytest.raises(ValueError, match=r'stage2_1 of shape .*got \(9,\)'):
      derived()
  del alphas['stage2_1']
  with pytest.raises(ValueError, match='got none of stage2_1'):
    derive.within(s, alphas, {macs: 1e9})


def test_temperature_does_not_change_what_is_derived():
  s = spaces.mobile_small()
  macs = cost.macs(s)
  alphas = drawn_alphas(s, np.random.default_rng(3))
  cold = {k: v / 0.1 for k, v in alphas.items()}
  limits = {macs: sum(macs.bounds()) // 3}
  assert derive.within(s, alphas, limits) == derive.within(s, cold, limits)


def test_alphas_that_are_not_finite_are_refused():
  s = spaces.tiny()
  alphas = {k: np.full(len(n), np.nan) for k, n in s.choices.items()}
  with pytest.raises(ValueError, match='finite'):
    derive.within(s, alphas, {})

"""Deriving: limits are kept, and nothing more probable keeps them."""

import itertools

import numpy as np
import pytest

from nasjax import cost, derive, space, spaces
from nasjax.errors import InputError


def _alphas(s, rng, scale=2.0):
  return {k: scale * rng.normal(size=len(n)) for k, n in s.choices.items()}


def _limit(c, rng):
  low, high = c.bounds()
  return int(low + rng.uniform(-0.1, 1.1) * (high - low))


@pytest.mark.parametrize(
  'preset', [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
)
def test_200_random_cases_equal_brute_force(preset):
  s = preset()
  macs, params, memory = cost.macs(s), cost.params(s), cost.memory(s)
  every = [
    space.Architecture.from_indices(s, i)
    for i in itertools.product(*(range(len(n)) for n in s.choices.values()))
  ]
  rng = np.random.default_rng(0)
  infeasible = 0
  for case in range(200):
    alphas = _alphas(s, rng)
    limits = {macs: _limit(macs, rng)}
    if case % 2:
      limits[params] = _limit(params, rng)
    if case % 4 == 3:
      limits[memory] = _limit(memory, rng)
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


@pytest.mark.parametrize('preset', [spaces.mobile_small, spaces.mobile_224])
def test_no_limit_is_ever_exceeded(preset):
  s = preset()
  macs, params = cost.macs(s), cost.params(s)
  rng = np.random.default_rng(1)
  for _ in range(20):
    limits = {macs: _limit(macs, rng), params: params.bounds()[1] * 3 // 4}
    limits[macs] = max(limits[macs], macs.bounds()[0])
    found = derive.within(s, _alphas(s, rng), limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())


def test_a_limit_can_be_met_to_the_unit(draw):
  s = spaces.mobile_small()
  macs = cost.macs(s)
  a = draw(s)
  alphas = {k: 9 * v for k, v in space.one_hot(a).items()}
  assert derive.within(s, alphas, {macs: macs.exact(a)}) == a
  assert derive.within(s, alphas, {macs: macs.exact(a) - 1}) != a


def test_without_limits_it_is_the_argmax():
  s = spaces.mobile_small()
  alphas = _alphas(s, np.random.default_rng(2))
  assert derive.within(s, alphas, {}) == space.argmax(s, alphas)


def test_temperature_does_not_change_what_is_derived():
  s = spaces.mobile_small()
  macs = cost.macs(s)
  alphas = _alphas(s, np.random.default_rng(3))
  cold = {k: v / 0.1 for k, v in alphas.items()}
  limits = {macs: sum(macs.bounds()) // 3}
  assert derive.within(s, alphas, limits) == derive.within(s, cold, limits)


def test_an_unreachable_limit_names_the_reachable_range():
  s = spaces.tiny()
  macs = cost.macs(s)
  low, high = macs.bounds()
  with pytest.raises(InputError, match=f'{low} to {high}'):
    derive.within(s, space.init_alphas(s), {macs: low - 1})


def test_limits_that_only_together_cannot_be_kept_are_said_so():
  """Two resources of opposite order: cheap in one is dear in the other."""
  s = spaces.tiny()
  names = s.choices
  rising = {k: {o: i for i, o in enumerate(n)} for k, n in names.items()}
  falling = {
    k: {o: len(n) - 1 - i for i, o in enumerate(n)} for k, n in names.items()
  }
  up = cost.table(s, 'up', 'units', rising)
  down = cost.table(s, 'down', 'units', falling)
  with pytest.raises(InputError, match='up is at least 4 units') as e:
    derive.within(s, space.init_alphas(s), {up: 3, down: 0})
  assert 'all limits together' in str(e.value)


def test_alphas_that_are_not_finite_are_refused():
  s = spaces.tiny()
  alphas = {k: np.full(len(n), np.nan) for k, n in s.choices.items()}
  with pytest.raises(ValueError, match='finite'):
    derive.within(s, alphas, {})

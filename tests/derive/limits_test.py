"""Limits: infinite, met to the unit, or refused."""

import numpy as np

from nasjax import cost, derive, space, spaces
from tests.conftest import refused
from tests.derive.derive_cases import costs_of, drawn_alphas


def test_an_infinite_limit_is_none():
  s, (macs, params, memory) = costs_of(spaces.mobile_small)
  alphas = drawn_alphas(s, np.random.default_rng(2))
  limits = dict.fromkeys((macs, params, memory), float('inf'))
  for fill in (0.0, 0.9):
    assert derive.within(s, alphas, limits, fill=fill) == space.argmax(
      s, alphas
    )
  rng = np.random.default_rng(0)
  assert len(derive.sample_within(s, limits, 3, rng)) == 3
  limits[macs] = macs.bounds()[0]
  found = derive.within(s, alphas, limits)
  assert derive.sample_within(s, limits, 1, rng, fill=0.5) == [found]


def test_a_limit_that_is_not_a_number_is_refused():
  s, (macs, _, _) = costs_of(spaces.tiny)
  limits = {macs: float('nan')}
  says = 'the limit on macs is nan'
  refused(says, derive.within, s, space.init_alphas(s), limits)
  rng = np.random.default_rng(0)
  refused(says, derive.sample_within, s, limits, 1, rng)


def test_bounds_of_floats_can_be_met():
  """A sum of floats depends on its order: they are of the one of `exact`."""
  s = spaces.mobile_small()
  for seed in range(30):
    rng = np.random.default_rng(seed)
    numbers = {k: dict.fromkeys(n) for k, n in s.choices.items()}
    for row in numbers.values():
      row.update({o: float(rng.random()) for o in row})
    energy = cost.table(s, 'energy', 'mJ', numbers)
    low, high = energy.bounds()
    alphas = drawn_alphas(s, rng)
    assert energy.exact(derive.within(s, alphas, {energy: low})) == low
    found = derive.within(s, alphas, {energy: high}, fill=1.0)
    assert energy.exact(found) == high

"""Penalties: formulas by hand, and the band."""

import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint
from tests.constraint.constraint_cases import pressure


@pytest.mark.parametrize(
  ('make', 'at_5', 'at_20'),
  [
    (constraint.linear(2.0, 10.0), 3 + 1, 3 + 4),
    (constraint.hinge(10.0, 2.0), 3, 3 + 2),
    (constraint.absolute(10.0, 2.0), 3 + 1, 3 + 2),
    (
      constraint.log_power(10.0, 2.0, 0.5),
      3 * 0.5 * (np.log(6) / np.log(11)) ** 2,
      3 * 0.5 * (np.log(21) / np.log(11)) ** 2,
    ),
    (
      constraint.log_power(10.0, 2.0, 0.5, additive=True),
      3 + 0.5 * (np.log(6) / np.log(11)) ** 2,
      3 + 0.5 * (np.log(21) / np.log(11)) ** 2,
    ),
    (constraint.ratio_power(10.0, 0.5, 2.0), 3 * 0.5**0.5, 3 * 4),
    (constraint.band(10.0, 2.0), 3 + 2 * np.log(2), 3 + 2 * np.log(2)),
    (constraint.lagrangian(10.0, 1.0, 2.0), 3 - 1, 3 + 2),
    (
      constraint.augmented_lagrangian(10.0, 0.5, 0.5, 2.0),
      3 + ((2 - 0.25) ** 2 - 4) / 1.0,
      3 + ((2 + 0.5) ** 2 - 4) / 1.0,
    ),
  ],
)
def test_formulas_by_hand(make, at_5, at_20):
  for value, wanted in ((5.0, at_5), (20.0, at_20)):
    loss, _ = make.update(jnp.float32(3), value, value, make.init())
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_band_looks_at_the_strict_cost_and_pulls_the_expected_one():
  c = constraint.band(10.0, 1.0, tolerance=0.1)
  state = c.init()
  assert pressure(c, 5.0, state, strict=10.9)[0] == 0
  assert pressure(c, 5.0, state, strict=11.1)[0] == pytest.approx(1 / 5)
  assert pressure(c, 15.0, state, strict=8.9)[0] == pytest.approx(-1 / 15)

"""Duals: multipliers that follow the cost to the limit."""

import jax
import jax.numpy as jnp
import pytest

from nasjax import constraint
from tests.constraint.constraint_cases import PLACES, pressure


@pytest.mark.parametrize(
  'make', [constraint.lagrangian, constraint.augmented_lagrangian]
)
def test_duals_follow_the_expected_cost_unless_told(make):
  for follow_strict in (False, True):
    c = make(10.0, 0.5, follow_strict=follow_strict)
    _, by_strict = pressure(c, 5.0, c.init(), strict=15.0)
    _, by_expected = pressure(c, 15.0, c.init(), strict=5.0)
    assert (float(by_strict.multiplier) > 0) == follow_strict
    assert (float(by_expected.multiplier) > 0) != follow_strict


def test_lagrangian_grows_above_and_falls_below_the_limit():
  c = constraint.lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
  found = [float(pressure(c, x, c.init())[1].multiplier) for x in PLACES]
  assert found == [0.75, 1.0, 1.25]


@pytest.mark.parametrize(
  'c',
  [
    constraint.lagrangian(10.0, rate=5.0),
    constraint.augmented_lagrangian(10.0, rate=5.0, penalty=5.0),
  ],
)
def test_an_upper_bound_never_rewards_cost(c):
  state = c.init()
  for _ in range(3):
    slope, state = pressure(c, 1.0, state)
    assert slope == 0.0
  assert float(state.multiplier) == 0.0
  # A limit that was kept for long is not forgotten.
  for _ in range(2):
    slope, state = pressure(c, 20.0, state)
  assert slope > 0


@pytest.mark.parametrize(
  ('c', 'target', 'x_wanted', 'wanted'),
  [
    # min (x - 3)^2 with x <= 1: x = 1, and the multiplier is 4 per unit.
    (constraint.lagrangian(1.0, 0.05), 3.0, 1.0, 4.0),
    (constraint.augmented_lagrangian(1.0, 0.05, 2.0), 3.0, 1.0, 4.0),
    # With x <= 4 nothing presses; with x = 4 something pulls, at 2 * 4.
    (constraint.lagrangian(4.0, 0.05), 3.0, 3.0, 0.0),
    (constraint.augmented_lagrangian(4.0, 0.05, 2.0), 3.0, 3.0, 0.0),
    (constraint.lagrangian(4.0, 0.2, equal=True), 3.0, 4.0, -8.0),
  ],
)
def test_duals_find_the_constrained_minimum(c, target, x_wanted, wanted):
  @jax.jit
  def step(x, state):
    f = lambda x: c.update((x - target) ** 2, x, x, state)  # noqa: E731
    g, state = jax.grad(f, has_aux=True)(x)
    return x - 0.05 * g, state

  x, state = jnp.float32(3.0), c.init()
  for _ in range(2000):
    x, state = step(x, state)
  assert float(x) == pytest.approx(x_wanted, abs=1e-3)
  assert float(state.multiplier) == pytest.approx(wanted, abs=1e-2)

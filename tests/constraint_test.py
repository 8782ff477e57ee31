"""Constraints: the sign of their pressure, and how it develops."""

import jax
import jax.numpy as jnp
import pytest

from nasjax import constraint


def _pressure(c, cost, state):
  """d loss / d cost, and the state afterwards."""
  f = lambda x: c.update(jnp.float32(1.0), x, x, state)  # noqa: E731
  (_, after), slope = jax.value_and_grad(f, has_aux=True)(jnp.float32(cost))
  return float(slope), after


def test_linear_is_a_price_that_does_not_change():
  c = constraint.linear(strength=3.0, scale=10.0)
  for cost in (1.0, 10.0, 30.0):
    slope, after = _pressure(c, cost, c.init())
    assert slope == pytest.approx(0.3)
    assert after == c.init()


def test_lagrangian_grows_above_and_falls_below_the_limit():
  c = constraint.lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
  above = _pressure(c, 15.0, c.init())[1].multiplier
  at = _pressure(c, 10.0, c.init())[1].multiplier
  below = _pressure(c, 5.0, c.init())[1].multiplier
  assert (float(above), float(at), float(below)) == (1.25, 1.0, 0.75)


def test_lagrangian_never_rewards_cost():
  c = constraint.lagrangian(limit=10.0, rate=5.0)
  state = c.init()
  for _ in range(3):
    slope, state = _pressure(c, 1.0, state)
    assert slope == 0.0
  assert float(state.multiplier) == 0.0


def test_lagrangian_wakes_up_after_having_been_satisfied():
  c = constraint.lagrangian(limit=10.0, rate=0.5)
  _, state = _pressure(c, 1.0, c.init())
  _, state = _pressure(c, 20.0, state)
  slope, _ = _pressure(c, 20.0, state)
  assert slope > 0


def test_lagrangian_finds_the_constrained_minimum():
  """min (x - 3)^2 with x <= 1: x = 1, and the multiplier is 4 per unit."""
  c = constraint.lagrangian(limit=1.0, rate=0.05)

  @jax.jit
  def step(x, state):
    f = lambda x: c.update((x - 3) ** 2, x, x, state)  # noqa: E731
    g, state = jax.grad(f, has_aux=True)(x)
    return x - 0.05 * g, state

  x, state = jnp.float32(3.0), c.init()
  for _ in range(2000):
    x, state = step(x, state)
  assert float(x) == pytest.approx(1.0, abs=1e-3)
  assert float(state.multiplier) == pytest.approx(4.0, abs=1e-2)


def test_the_multiplier_itself_is_not_differentiated():
  c = constraint.lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
  f = lambda x: c.update(0.0, x, x, c.init())[1].multiplier  # noqa: E731
  assert float(jax.grad(f)(15.0)) == 0.0


def test_limits_and_strengths_are_data():
  """A sweep over limits is one vmapped program."""
  c = constraint.lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
  limits = jnp.array([5.0, 10.0, 20.0])
  states = jax.vmap(lambda limit: c.init()._replace(limit=limit))(limits)
  loss, _ = jax.vmap(lambda s: c.update(0.0, 10.0, 10.0, s))(states)
  assert loss.tolist() == pytest.approx([1.0, 0.0, -0.5])


@pytest.mark.parametrize(
  'make',
  [
    lambda: constraint.linear(-1.0, 1.0),
    lambda: constraint.linear(1.0, 0.0),
    lambda: constraint.lagrangian(0.0, 1.0),
    lambda: constraint.lagrangian(1.0, -1.0),
    lambda: constraint.lagrangian(1.0, 1.0, -1.0),
    lambda: constraint.lagrangian(float('nan'), 1.0),
  ],
)
def test_wrong_hyper_parameters_are_refused_where_they_are_given(make):
  with pytest.raises(ValueError, match='requires'):
    make()

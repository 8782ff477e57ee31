"""Constraints: what is added to the task's loss so that a cost is kept.

A constraint is an `(init, update)` pair, as an optax transformation is:

    state = constraint.init()
    loss, state = constraint.update(loss, cost, strict_cost, state)

`cost` is the expected cost and carries the gradient; `strict_cost` is that of
the most probable option of every choice. Limits and strengths are arrays in
the state: a sweep over them compiles once. Every update is called where the
loss is differentiated; what must not be differentiated is stopped here.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

State = Any


class Constraint(NamedTuple):
  """A pair of pure functions; see the head of this module."""

  init: Callable[[], State]
  update: Callable[
    [jax.Array, jax.Array, jax.Array, State], tuple[jax.Array, State]
  ]


class LinearState(NamedTuple):
  strength: jax.Array  # f32[]
  scale: jax.Array  # f32[], in the unit of the cost


def linear(strength: float, scale: float) -> Constraint:
  """`loss + strength * cost / scale`: a price, no limit.

  The weighted sum of the two objectives, with the cost made dimensionless so
  that one strength means the same for every resource.

  Args:
    strength: not negative; 0 switches the pull off.
    scale: positive, in the cost's unit; a limit, or the space's largest cost.

  Raises:
    ValueError: a strength or scale out of its range.

  Example:
    >>> price = linear(strength=2.0, scale=10.0)
    >>> loss, _ = price.update(1.0, 5.0, 5.0, price.init())
    >>> float(loss)
    2.0
  """
  if not 0 <= strength < math.inf:
    raise ValueError(f'linear requires a strength >= 0, got {strength=}.')
  _require_positive('linear', scale=scale)

  def init():
    return LinearState(jnp.float32(strength), jnp.float32(scale))

  def update(loss, cost, strict_cost, state):
    del strict_cost
    return loss + state.strength * cost / state.scale, state

  return Constraint(init, update)


class LagrangianState(NamedTuple):
  multiplier: jax.Array  # f32[], the dual variable
  limit: jax.Array  # f32[], in the unit of the cost
  rate: jax.Array  # f32[], step of the dual ascent


def lagrangian(
  limit: float, rate: float, multiplier: float = 0.0
) -> Constraint:
  """`loss + multiplier * (cost / limit - 1)`, the multiplier by dual ascent.

  After each update `multiplier += rate * (cost / limit - 1)`, kept at 0 or
  more: it grows while the expected cost is above the limit and falls below it,
  so the limit is met without a strength to tune (LightNAS, Luo et al. 2022,
  here of the relative violation; the method is Platt and Barr's, 1988).

  Args:
    limit: positive, in the cost's unit.
    rate: positive, step size of the ascent.
    multiplier: where it starts, not negative.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> keep = lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
    >>> loss, state = keep.update(1.0, 15.0, 15.0, keep.init())
    >>> float(loss), float(state.multiplier)
    (1.5, 1.25)
  """
  _require_positive('lagrangian', limit=limit, rate=rate)
  if not 0 <= multiplier < math.inf:
    raise ValueError(
      f'lagrangian requires a multiplier >= 0, got {multiplier=}.'
    )

  def init():
    return LagrangianState(
      jnp.float32(multiplier), jnp.float32(limit), jnp.float32(rate)
    )

  def update(loss, cost, strict_cost, state):
    del strict_cost  # A step function of alphas: it would make the dual cycle.
    violation = cost / state.limit - 1
    loss = loss + state.multiplier * violation
    ascent = state.rate * jax.lax.stop_gradient(violation)
    raised = jnp.maximum(state.multiplier + ascent, 0.0)
    return loss, state._replace(multiplier=raised)

  return Constraint(init, update)


def _require_positive(name: str, **values: ArrayLike) -> None:
  for field, value in values.items():
    if not 0 < value < math.inf:
      raise ValueError(f'{name} requires a positive {field}, got {value}.')

"""Constraints with a multiplier that is learned by dual ascent."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from nasjax.constraint.base import (
  Constraint,
  require_finite,
  require_not_negative,
  require_positive,
)


class LagrangianState(NamedTuple):
  multiplier: jax.Array  # f32[], the dual variable
  limit: jax.Array  # f32[], in the unit of the cost
  rate: jax.Array  # f32[], step of the dual ascent


class AugmentedState(NamedTuple):
  multiplier: jax.Array  # f32[], the dual variable
  limit: jax.Array  # f32[], in the unit of the cost
  rate: jax.Array  # f32[], step of the dual ascent
  penalty: jax.Array  # f32[], of the squared violation


def lagrangian(
  limit: float,
  rate: float,
  multiplier: float = 0.0,
  *,
  equal: bool = False,
  follow_strict: bool = False,
) -> Constraint:
  """`loss + m (r - 1)`, the multiplier `m` by dual ascent.

  After each update `m += rate (r - 1)`: it grows while the cost is above the
  limit and falls while it is below, so no strength has to be tuned
  (LightNAS, Luo et al. 2022; the method is Platt and Barr's, 1988). With
  `equal=False` the limit is an upper bound and `m` stays at 0 or more; with
  `equal=True`, as in LightNAS, `m` may be negative and the cost is pulled up
  to the limit as well.

  Args:
    limit: positive, in the cost's unit.
    rate: positive, step size of the ascent.
    multiplier: first value; finite, not negative unless `equal`.
    equal: the cost has to equal the limit; False: it may be below.
    follow_strict: the multiplier sees the cost of the argmax architecture,
      limits ignored: a step function, which can make it oscillate. The gradient
      is still that of the expected cost.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> keep = lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
    >>> loss, state = keep.update(1.0, 15.0, 15.0, keep.init())
    >>> float(loss), float(state.multiplier)
    (1.5, 1.25)
  """
  require_positive('lagrangian', limit=limit, rate=rate)
  require_finite('lagrangian', multiplier=multiplier)
  if not equal:
    require_not_negative('lagrangian', multiplier=multiplier)

  def init():
    return LagrangianState(*map(jnp.float32, (multiplier, limit, rate)))

  def update(loss, cost, strict_cost, state):
    chex.assert_rank([loss, cost, strict_cost], 0)
    loss = loss + state.multiplier * (cost / state.limit - 1)
    seen = jax.lax.stop_gradient(strict_cost if follow_strict else cost)
    raised = state.multiplier + state.rate * (seen / state.limit - 1)
    if not equal:
      raised = jnp.maximum(raised, 0.0)
    return loss, state._replace(multiplier=raised)

  return Constraint(init, update)


def augmented_lagrangian(
  limit: float,
  rate: float,
  penalty: float = 1.0,
  multiplier: float = 0.0,
  *,
  follow_strict: bool = False,
) -> Constraint:
  """`loss + (max(0, m + p (r - 1))^2 - m^2) / 2p`, `m` by dual ascent.

  The augmented Lagrangian of an inequality (Rockafellar 1973): the quadratic
  part damps the oscillation of the plain one. The ascent takes the gradient in
  the multiplier, `m += rate max(r - 1, -m / p)`.

  Args:
    limit: positive, in the cost's unit.
    rate: positive, at most `penalty`, for which it is the textbook's update.
    penalty: `p`, positive.
    multiplier: first value, not negative.
    follow_strict: as in `lagrangian`.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> keep = augmented_lagrangian(limit=10.0, rate=0.5, penalty=2.0)
    >>> loss, state = keep.update(1.0, 15.0, 15.0, keep.init())
    >>> float(loss), float(state.multiplier)  # 1 + (2 * 0.5)^2 / 4
    (1.25, 0.25)
  """
  name = 'augmented_lagrangian'
  require_positive(name, limit=limit, rate=rate, penalty=penalty)
  require_not_negative(name, multiplier=multiplier)
  if rate > penalty:
    raise ValueError(
      f'{name} requires rate <= penalty, got {rate=}, {penalty=}'
    )

  def init():
    return AugmentedState(*map(jnp.float32, (multiplier, limit, rate, penalty)))

  def update(loss, cost, strict_cost, state):
    chex.assert_rank([loss, cost, strict_cost], 0)
    m, p = state.multiplier, state.penalty
    pressed = jax.nn.relu(m + p * (cost / state.limit - 1))
    loss = loss + (pressed**2 - m**2) / (2 * p)
    seen = jax.lax.stop_gradient(strict_cost if follow_strict else cost)
    raised = m + state.rate * jnp.maximum(seen / state.limit - 1, -m / p)
    return loss, state._replace(multiplier=jnp.maximum(raised, 0.0))

  return Constraint(init, update)

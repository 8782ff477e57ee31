"""Penalties of fixed strength; their state never changes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from nasjax.constraint.base import (
  Constraint,
  State,
  require_not_negative,
  require_positive,
)

# Powers of a cost of 0 would have infinite slopes. No network is that small.
_SMALLEST_RATIO = 1e-6


class PenaltyState(NamedTuple):
  """Data of a penalty; the names of the fields are those of the formulas."""

  limit: jax.Array  # f32[], in the unit of the cost
  strength: jax.Array  # f32[], the weight


class BandState(NamedTuple):
  limit: jax.Array  # f32[], in the unit of the cost
  strength: jax.Array  # f32[]
  tolerance: jax.Array  # f32[], relative to the limit


class LogPowerState(NamedTuple):
  limit: jax.Array  # f32[], in the unit of the cost
  power: jax.Array  # f32[], exponent of the ratio of logarithms
  weight: jax.Array  # f32[]


class RatioPowerState(NamedTuple):
  limit: jax.Array  # f32[], in the unit of the cost
  below: jax.Array  # f32[], exponent while the cost is within the limit
  above: jax.Array  # f32[], exponent beyond


def linear(strength: float, scale: float) -> Constraint:
  """`loss + s r`: a price on every unit of cost, no limit.

  The weighted sum of the two objectives, as in ProxylessNAS's gradient form
  (Cai et al. 2019, lambda_2 E[latency]), with the cost made dimensionless.

  Args:
    strength: not negative; 0 switches the pull off.
    scale: `L`, positive, in the cost's unit; a limit, or the space's largest
      cost.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> price = linear(strength=2.0, scale=10.0)
    >>> loss, _ = price.update(1.0, 5.0, 5.0, price.init())
    >>> float(loss)
    2.0
  """
  require_not_negative('linear', strength=strength)
  require_positive('linear', scale=scale)
  return _additive(scale, strength, lambda r: r)


def hinge(limit: float, strength: float) -> Constraint:
  """`loss + s max(r - 1, 0)`: a price on what is beyond the limit.

  The exact penalty of optimisation (Nocedal and Wright 2006, section 17.2, the
  l1 penalty function): with a large enough strength its minimum keeps the
  limit, with a smaller one it does not.

  Args:
    limit: positive, in the cost's unit.
    strength: not negative.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> c = hinge(limit=10.0, strength=2.0)
    >>> [float(c.update(1.0, x, x, c.init())[0]) for x in (5.0, 15.0)]
    [1.0, 2.0]
  """
  require_positive('hinge', limit=limit)
  require_not_negative('hinge', strength=strength)
  # relu, unlike maximum, has slope 0 at the limit itself.
  return _additive(limit, strength, lambda r: jax.nn.relu(r - 1))


def absolute(limit: float, strength: float) -> Constraint:
  """`loss + s |r - 1|`: pulls to the limit from both sides.

  The absolute reward of TuNAS (Bender et al. 2020, with beta = -s), the penalty
  of TF-NAS (Hu et al. 2020).

  Args:
    limit: positive, in the cost's unit.
    strength: not negative.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> c = absolute(limit=10.0, strength=2.0)
    >>> [float(c.update(1.0, x, x, c.init())[0]) for x in (5.0, 15.0)]
    [2.0, 2.0]
  """
  require_positive('absolute', limit=limit)
  require_not_negative('absolute', strength=strength)
  return _additive(limit, strength, lambda r: abs(r - 1))


def log_power(
  limit: float,
  power: float = 0.6,
  weight: float = 1.0,
  *,
  additive: bool = False,
) -> Constraint:
  """`loss w q ^ power`, or, additive, `loss + w q ^ power`.

  `q = log(1 + c) / log(1 + L)`. This is FBNet's loss (Wu et al. 2019, eq. 2,
  where alpha is `w` over a power of `log L`, and beta is `power`), which
  ProxylessNAS's code has as well. It is a price: the limit only scales it. The
  papers have `log c / log L`; adding 1 defines it for costs below one unit, and
  makes no difference for MACs.

  Args:
    limit: positive, in the cost's unit.
    power: not negative; FBNet takes 0.6.
    weight: `w`, positive.
    additive: adds to the task's loss instead of multiplying it.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> c = log_power(limit=99.0, power=2.0)
    >>> round(float(c.update(3.0, 9.0, 9.0, c.init())[0]), 4)  # 3 / 2 ^ 2
    0.75
  """
  require_positive('log_power', limit=limit, weight=weight)
  require_not_negative('log_power', power=power)

  def form(loss, cost, strict_cost, state):
    ratio = jnp.log1p(cost) / jnp.log1p(state.limit)
    ratio = jnp.maximum(ratio, _SMALLEST_RATIO)
    factor = state.weight * ratio**state.power
    return loss + factor if additive else loss * factor

  return _penalty(LogPowerState, (limit, power, weight), form)


def ratio_power(
  limit: float, below: float = 0.07, above: float = 0.07
) -> Constraint:
  """`loss r ^ below` within the limit, `loss r ^ above` beyond it.

  MnasNet's objective (Tan et al. 2019, eq. 2), of a loss that is minimised
  instead of an accuracy that is maximised, which turns the exponents' sign.
  The paper's soft form is 0.07 on both sides, its hard one 0 and 1.

  Args:
    limit: positive, in the cost's unit.
    below: not negative.
    above: not negative.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> c = ratio_power(limit=10.0, below=0.0, above=1.0)
    >>> [float(c.update(1.0, x, x, c.init())[0]) for x in (5.0, 15.0)]
    [1.0, 1.5]
  """
  require_positive('ratio_power', limit=limit)
  require_not_negative('ratio_power', below=below, above=above)

  def form(loss, cost, strict_cost, state):
    ratio = jnp.maximum(cost / state.limit, _SMALLEST_RATIO)
    return loss * ratio ** jnp.where(ratio > 1, state.above, state.below)

  return _penalty(RatioPowerState, (limit, below, above), form)


def band(limit: float, strength: float, tolerance: float = 0.05) -> Constraint:
  """`loss + s log r` above the band, `loss - s log r` below it, `loss` inside.

  TAS (Dong and Yang 2019, its L_cost): the strict cost, of the most probable
  options, says on which side of `L (1 +- tolerance)` the search is, and the
  expected cost gives the gradient.

  Args:
    limit: positive, in the cost's unit.
    strength: not negative.
    tolerance: at least 0, below 1; relative to the limit. TAS takes 0.05.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> c = band(limit=10.0, strength=1.0)
    >>> [round(float(c.update(1.0, x, x, c.init())[0]), 2)
    ...  for x in (5.0, 10.2, 15.0)]
    [1.69, 1.0, 1.41]
  """
  require_positive('band', limit=limit)
  require_not_negative('band', strength=strength, tolerance=tolerance)
  if tolerance >= 1:
    raise ValueError(f'band requires a tolerance < 1, got {tolerance}.')

  def form(loss, cost, strict_cost, state):
    strict = strict_cost / state.limit
    side = jnp.where(
      strict > 1 + state.tolerance,
      1.0,
      jnp.where(strict < 1 - state.tolerance, -1.0, 0.0),
    )
    ratio = jnp.maximum(cost / state.limit, _SMALLEST_RATIO)
    return loss + state.strength * side * jnp.log(ratio)

  return _penalty(BandState, (limit, strength, tolerance), form)


def _additive(limit: float, strength: float, price: Callable) -> Constraint:
  """`loss + s price(r)`."""

  def form(loss, cost, strict_cost, state):
    return loss + state.strength * price(cost / state.limit)

  return _penalty(PenaltyState, (limit, strength), form)


def _penalty(
  kind: Callable[..., State], numbers: Sequence[float], form: Callable
) -> Constraint:
  """A form `(loss, cost, strict_cost, state) -> loss` that keeps its state."""

  def init():
    return kind(*map(jnp.float32, numbers))

  def update(loss, cost, strict_cost, state):
    chex.assert_rank([loss, cost, strict_cost], 0)
    return form(loss, cost, strict_cost, state), state

  return Constraint(init, update)

"""The contract of a constraint, and the chain of several."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

State = Any  # A pytree of arrays.


class Constraint(NamedTuple):
  """A pair of pure functions.

  Attributes:
    init: `() -> state`, a pytree of arrays.
    update: `(loss, cost, strict_cost, state) -> (loss, state)`. Loss and costs
      are `f32[]`, or an AssertionError is raised; costs are in the cost's unit.
      `cost` is the expected cost; `strict_cost` is that of the argmax
      architecture, limits ignored. A `chain` takes tuples of costs.

  Example:
    >>> from nasjax.constraint import hinge
    >>> constraint = hinge(limit=2.0, strength=1.0)
    >>> loss, _ = constraint.update(1.0, 3.0, 3.0, constraint.init())
    >>> float(loss)  # 1 + (3 / 2 - 1)
    1.5
  """

  init: Callable[[], State]
  update: Callable[
    [jax.Array, jax.Array, jax.Array, State], tuple[jax.Array, State]
  ]


def chain(*constraints: Constraint) -> Constraint:
  """One constraint on several costs: the i-th constraint takes the i-th cost.

  Constraints are applied in order, each to the loss that the one before it
  returned. So a constraint that multiplies the loss also multiplies the terms
  that earlier constraints added. Give a cost under two constraints twice.

  Args:
    *constraints: one for each cost.

  Returns:
    A constraint whose `update` takes tuples of costs and a tuple of states.

  Raises:
    ValueError: by `update`, for another number of costs or states than
      constraints.

  Example:
    >>> from nasjax.constraint import hinge, linear
    >>> both = chain(linear(1.0, scale=10.0), hinge(limit=2.0, strength=1.0))
    >>> loss, _ = both.update(1.0, (5.0, 3.0), (5.0, 3.0), both.init())
    >>> float(loss)  # 1 + 5 / 10 + (3 / 2 - 1)
    2.0
  """

  def init():
    return tuple(c.init() for c in constraints)

  def update(loss, cost, strict_cost, state):
    kept = []
    links = zip(constraints, cost, strict_cost, state, strict=True)
    for link, expected, strict, before in links:
      loss, after = link.update(loss, expected, strict, before)
      kept.append(after)
    return loss, tuple(kept)

  return Constraint(init, update)


def require_positive(name: str, **values: float) -> None:
  """Raises ValueError, with the value, unless all are positive and finite."""
  for field, value in values.items():
    if not 0 < value < math.inf:
      raise ValueError(f'{name} requires a positive {field}, got {value}.')


def require_finite(name: str, **values: float) -> None:
  """Raises ValueError, with the value, unless all are finite."""
  for field, value in values.items():
    if not math.isfinite(value):
      raise ValueError(f'{name} requires a finite {field}, got {value}.')


def require_not_negative(name: str, **values: float) -> None:
  """Raises ValueError, with the value, unless all are 0 or more and finite."""
  for field, value in values.items():
    if not 0 <= value < math.inf:
      raise ValueError(f'{name} requires a {field} >= 0, got {value}.')

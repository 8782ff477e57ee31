"""Limits on costs: which they can be, and what keeps and uses them."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from nasjax.cost import Cost, Number, Table
from nasjax.errors import InputError
from nasjax.space import Architecture, Space

Limits = Mapping[Cost, Number]


def check_costs(space: Space, costs: Iterable[Cost]) -> None:
  """Raises ValueError where a cost is not one of the space."""
  sizes = {name: len(options) for name, options in space.choices.items()}
  for cost in costs:
    cost.check_space(space)
    wrong = {
      axis: f'{axis} ({size} options)'
      for table in cost.tables
      for axis, size in zip(table.axes, table.shape, strict=True)
      if sizes.get(axis) != size
    }
    if wrong:
      raise ValueError(
        f'deriving requires costs of {space.name}, got {cost.name} with '
        f'{", ".join(wrong.values())}, which it does not have.'
      )


def finite(limits: Limits) -> Limits:
  """The limits that are any: an infinite one limits nothing."""
  return {c: limit for c, limit in limits.items() if limit < math.inf}


def uses(architecture: Architecture, limits: Limits, fill: float) -> bool:
  """Whether it uses `fill` of a limit on an additive cost, if there is one."""
  additive = {c: limit for c, limit in limits.items() if c.reduction == 'sum'}
  return not additive or any(
    c.exact(architecture) >= fill * limit for c, limit in additive.items()
  )


def filled(architecture: Architecture, limits: Limits) -> float | None:
  """Largest share that is used of a limit on an additive cost, if there is one.

  Example:
    >>> from nasjax import cost, spaces
    >>> tiny = spaces.tiny()
    >>> a = Architecture.from_indices(tiny, (0, 0, 0))
    >>> macs = cost.macs(tiny)
    >>> filled(a, {macs: 2 * macs.exact(a)}), filled(a, {})
    (0.5, None)
  """
  shares = [
    c.exact(architecture) / limit if limit else 1.0
    for c, limit in finite(limits).items()
    if c.reduction == 'sum'
  ]
  return max(shares, default=None)


def check_fill(fill: float) -> None:
  """Raises ValueError unless `fill` is a share."""
  if not 0 <= fill <= 1:
    raise ValueError(f'deriving requires a fill of 0 to 1, got {fill}.')


def check_reachable(limits: Limits) -> None:
  """Raises InputError where a limit is NaN or below what its cost reaches."""
  for cost, limit in limits.items():
    if math.isnan(limit):
      raise InputError(f'the limit on {cost.name} is {limit}, not a number')
    low, high = cost.bounds()
    if limit < low:
      raise InputError(
        f'no architecture has {cost.name} <= {limit:.15g}; this space reaches '
        f'{low} to {high} {cost.unit}'
      )


def cost_at_pattern(cost: Cost, index: int) -> Cost:
  """The cost of the architectures of one pattern."""

  def taken(table):
    if 'pattern' not in table.axes:
      return table
    size = len(table.values) // table.shape[0]  # The pattern is the first axis.
    values = table.values[index * size : (index + 1) * size]
    return Table(table.axes[1:], table.shape[1:], values)

  # Of its architectures, which are not those of the cost's own space.
  tables = tuple(map(taken, cost.tables))
  return dataclasses.replace(cost, tables=tables, space=None)

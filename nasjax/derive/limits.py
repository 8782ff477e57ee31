"""Checks of limits and of `fill`: reachable, satisfied, used."""

import math
from collections.abc import Mapping

from nasjax.derive.problem import Limits
from nasjax.errors import InputError
from nasjax.space import Architecture, Axis


def finite(limits: Limits) -> Limits:
  """The finite limits; an infinite limit has no effect."""
  return {c: limit for c, limit in limits.items() if limit < math.inf}


def uses(architecture: Architecture, limits: Limits, fill: float) -> bool:
  """Whether an architecture uses enough of at least one limit.

  Args:
    architecture: its costs are compared.
    limits: cost to the largest value allowed, in the cost's unit; only limits
      on additive costs count.
    fill: minimum fraction of a limit, 0 to 1.

  Returns:
    True if at least one cost is at least `fill` times its limit, or if there is
    no limit on an additive cost.

  Raises:
    ValueError: a cost is of another space.

  Example:
    >>> from nasjax import cost, spaces
    >>> tiny = spaces.tiny()
    >>> a, macs = Architecture.from_indices(tiny, (0, 0, 0)), cost.macs(tiny)
    >>> half = {macs: 2 * macs.exact(a)}
    >>> uses(a, half, 0.5), uses(a, half, 0.6)
    (True, False)
  """
  for cost in limits:
    cost.check_space(architecture.space)
  return uses_at(architecture.index, limits, fill)


def uses_at(index: Mapping[Axis, int], limits: Limits, fill: float) -> bool:
  """As `uses`, for one option of every single choice."""
  additive = {c: limit for c, limit in limits.items() if c.reduction == 'sum'}
  return not additive or any(
    c.at(index) >= fill * limit for c, limit in additive.items()
  )


def filled(architecture: Architecture, limits: Limits) -> float | None:
  """Largest used fraction of a limit on an additive cost; None without one.

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
  """Raises ValueError unless `fill` is from 0 to 1."""
  if not 0 <= fill <= 1:
    raise ValueError(f'deriving requires a fill of 0 to 1, got {fill}.')


def check_reachable(limits: Limits) -> None:
  """Raises InputError if a limit is NaN or below the smallest possible cost.

  Example:
    >>> from nasjax import cost, spaces
    >>> macs = cost.macs(spaces.tiny())
    >>> macs.bounds()
    (2616, 10248)
    >>> check_reachable({macs: macs.bounds()[0]})
    >>> check_reachable({macs: 1})
    Traceback (most recent call last):
    ...
    nasjax.errors.InputError: no architecture has macs <= 1; ...
  """
  for cost, limit in limits.items():
    if math.isnan(limit):
      raise InputError(f'the limit on {cost.name} is {limit}, not a number')
    low, high = cost.bounds()
    if limit < low:
      raise InputError(
        f'no architecture has {cost.name} <= {limit:.15g}; this space reaches '
        f'{low} to {high} {cost.unit}'
      )

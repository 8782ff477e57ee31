"""Why no architecture keeps several limits together."""

import bisect
import functools
import math
import time

import numpy as np

from nasjax.cost import Cost
from nasjax.derive import integer
from nasjax.derive.limits import Limits
from nasjax.space import Space


def explanation(space: Space, limits: Limits, seconds: float) -> str:
  """What each cost can be brought down to within the other limits.

  Args:
    space: the search space.
    limits: finite, and each within the reach of its cost.
    seconds: time limit of all solves together.
  """
  stop = time.monotonic() + seconds
  return '; '.join(_smallest_given(space, limits, c, stop) for c in limits)


def _smallest_given(
  space: Space, limits: Limits, cost: Cost, stop: float
) -> str:
  """What `cost` can be brought down to while the other limits are kept."""
  others = {c: limit for c, limit in limits.items() if c is not cost}
  solve = functools.partial(integer.best, space, _flat(space), stop=stop)
  stopped = False
  if cost.reduction == 'max':
    # The smallest of its values at which something is still feasible.
    low, _ = cost.bounds()
    levels = sorted({v for t in cost.tables for v in t.values if v >= low})

    def feasible(level):
      nonlocal stopped
      found = solve({**others, cost: level})
      stopped |= found.architecture is None and found.bound > -math.inf
      return found.architecture is not None

    place = bisect.bisect_left(levels, True, key=feasible)
    smallest = levels[place] if place < len(levels) else None
  else:
    found = solve(others, objective=cost)
    stopped = found.bound == math.inf
    a = found.architecture
    smallest = None if a is None else cost.exact(a)
  if stopped:
    return f'the smallest {cost.name} within the other limits took too long'
  if smallest is None:
    return f'the limits without that of {cost.name} cannot be kept either'
  return (
    f'{cost.name} is at least {smallest} {cost.unit} within the other limits, '
    f'and the limit is {limits[cost]:.15g}'
  )


def _flat(space: Space) -> list[np.ndarray]:
  """Scores that prefer nothing."""
  return [np.zeros(len(names)) for names in space.choices.values()]

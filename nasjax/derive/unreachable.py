"""Why no architecture keeps several limits together."""

import bisect
import functools
import math
import time

import numpy as np

from nasjax.cost import Cost
from nasjax.derive import (
  milp,
)
from nasjax.derive.problem import Problem


def explanation(problem: Problem, seconds: float) -> str:
  """What each cost can be brought down to within the other limits.

  Args:
    problem: its limits are finite, and each within the reach of its cost.
    seconds: time limit of all solves together.
  """
  stop = time.monotonic() + seconds
  level = {axis: np.zeros(len(s)) for axis, s in problem.scores.items()}
  own = Problem(level, problem.limits)
  return '; '.join(_smallest_given(own, cost, stop) for cost in own.limits)


def _smallest_given(problem: Problem, cost: Cost, stop: float) -> str:
  """What `cost` can be brought down to while the other limits are kept."""
  limits = problem.limits
  others = {c: limit for c, limit in limits.items() if c is not cost}
  solve = functools.partial(milp.best, stop=stop)
  stopped = False
  if cost.reduction == 'max':
    # The smallest of its values at which something is still feasible.
    low, _ = cost.bounds()
    levels = sorted({v for t in cost.tables for v in t.values if v >= low})

    def feasible(level):
      nonlocal stopped
      found = solve(problem._replace(limits={**others, cost: level}))
      stopped |= found.index is None and found.bound > -math.inf
      return found.index is not None

    place = bisect.bisect_left(levels, True, key=feasible)
    smallest = levels[place] if place < len(levels) else None
  else:
    found = solve(problem._replace(limits=others), objective=cost)
    stopped = found.bound == math.inf
    smallest = None if found.index is None else cost.at(found.index)
  if stopped:
    return f'the smallest {cost.name} within the other limits took too long'
  if smallest is None:
    return f'the limits without that of {cost.name} cannot be kept either'
  return (
    f'{cost.name} is at least {smallest} {cost.unit} within the other limits, '
    f'and the limit is {limits[cost]:.15g}'
  )

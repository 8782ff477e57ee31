"""The most probable architectures within limits, in order."""

import heapq
import itertools
from typing import NamedTuple

from nasjax import checks
from nasjax.derive.limits import check_fill, uses_at
from nasjax.derive.problem import (
  Alphas,
  Axis,
  Index,
  Limits,
  Problem,
  check_costs,
  drawn,
  scores_of,
)
from nasjax.derive.solve import SECONDS, check_seconds, solved
from nasjax.errors import InputError
from nasjax.space import Architecture, SearchSpace


class _Part(NamedTuple):
  """The architectures that have the fixed options.

  Attributes:
    fixed: options of the first choices, and one more.
    index: the best of them; None where it is not solved yet.
  """

  fixed: Index
  index: Index | None


def likeliest(
  space: SearchSpace,
  alphas: Alphas,
  limits: Limits,
  number: int,
  *,
  like: Architecture | None = None,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> list[Architecture]:
  """The most probable architectures within limits, the best first.

  Lawler 1972 (A procedure for computing the k best solutions): what remains
  without a solution is split by the first choice in which it differs, and each
  part is solved. Parts whose bound is too low are never solved.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`, finite; any additive
      scores.
    limits: cost of the space to the largest value allowed, in the cost's unit.
    number: how many, at least 1.
    like: only those with its option of the drawn choice, such as its
      downsampling pattern; None allows all.
    fill: minimum fraction of at least one limit that each uses, 0 to 1. If no
      architecture does, `fill` is ignored.
    seconds: time limit of the solver for each part. A part without a solution
      in time is left out.

  Returns:
    Different architectures; fewer than `number` where there are no more. The
    first one is that of `within`, unless `like` excludes it.

  Raises:
    InputError: no architecture satisfies the limits, or none was found in time.
    ValueError: a number is out of its range, alphas are not finite or not of
      the space, or a cost is of another space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs = cost.macs(tiny)
    >>> found = likeliest(tiny, space.init_alphas(tiny), {macs: 6000}, 3)
    >>> len(set(found)), max(map(macs.exact, found)) <= 6000
    (3, True)
  """
  checks.check_least(1, number=number)
  check_fill(fill)
  check_seconds(seconds)
  check_costs(space, limits)
  problem = Problem(scores_of(space, alphas), limits)
  split = drawn(space.choices)
  if like is None or split is None:
    start, best = {}, solved(problem, split, fill, seconds).index
  else:
    start = {split.axis: like.index[split.axis]}
    best = _best_with(space, problem, start, fill, seconds)
    if best is None:
      raise InputError(
        f'no architecture with {split.options[start[split.axis]]} satisfies '
        'the limits, or none was found in time'
      )
  filled = uses_at(best, problem.limits, fill)
  order = itertools.count()  # Of equal values the first comes first.
  heap = [(-problem.value(best), next(order), _Part(start, best))]
  found: list[Index] = []
  while heap and len(found) < number:
    _, _, part = heapq.heappop(heap)
    if part.index is None:
      index = _best_with(space, problem, part.fixed, fill, seconds)
      if index is None or (filled and not uses_at(index, limits, fill)):
        continue
      value = problem.value(index)
      heapq.heappush(heap, (-value, next(order), _Part(part.fixed, index)))
      continue
    found.append(part.index)
    for fixed in _rest(problem, part):
      bound = _bound(problem, fixed)
      heapq.heappush(heap, (-bound, next(order), _Part(fixed, None)))
  return [
    Architecture.from_indices(space, [index[a] for a in problem.scores])
    for index in found
  ]


def _rest(problem: Problem, part: _Part):
  """All architectures of a part but its best, as disjoint parts."""
  assert part.index is not None
  prefix = dict(part.fixed)
  for axis, scores in problem.scores.items():
    if axis in part.fixed:
      continue
    for option in range(len(scores)):
      if option != part.index[axis]:
        yield {**prefix, axis: option}
    prefix[axis] = part.index[axis]


def _bound(problem: Problem, fixed: Index) -> float:
  """The largest sum of scores with the fixed options, without limits."""
  return float(
    sum(
      scores[fixed[axis]] if axis in fixed else scores.max()
      for axis, scores in problem.scores.items()
    )
  )


def _best_with(
  space: SearchSpace,
  problem: Problem,
  fixed: Index,
  fill: float,
  seconds: float,
) -> Index | None:
  """The best architecture with the fixed options; None if there is none."""
  part = problem
  for axis, option in fixed.items():
    part = part.given(axis, option)
  split = drawn(space.choices)
  if split is not None and split.axis in fixed:
    split = None
  try:
    rest: dict[Axis, int] = dict(solved(part, split, fill, seconds).index)
  except InputError:
    return None
  return {**rest, **fixed}

"""The most probable architecture within limits, exactly.

The solver maximises the sum of log-probabilities, one option per choice. With
limits on additive costs this is a multiple-choice knapsack (Kellerer, Pferschy
and Pisinger 2004, chapter 11). SciPy's HiGHS solves it by branch and bound.
Where much of a limit has to be used, or branch and bound takes long,
`nasjax.derive.meet_in_middle` solves it. Every answer is verified in the exact
numbers of the costs.
"""

import functools
import math
import time
from collections.abc import Iterator
from typing import NamedTuple

from nasjax.derive import (
  meet_in_middle,
  milp,
  unreachable,
)
from nasjax.derive.found import NEVER, Found, closed
from nasjax.derive.limits import check_fill, check_reachable, finite, uses_at
from nasjax.derive.problem import (
  Alphas,
  Floor,
  Index,
  Limits,
  Problem,
  Split,
  check_costs,
  drawn,
  scores_of,
)
from nasjax.errors import InputError
from nasjax.space import Architecture, SearchSpace

SECONDS = 10.0
# Usual cases take less than 100. Counted in nodes, so that every machine
# changes to the other solver at the same node.
_NODES = 500
# Branch and bound is slow where more than this fraction has to be used.
_NARROW = 0.99


class Solution(NamedTuple):
  """An architecture with its proven gap.

  Attributes:
    architecture: the most probable one that was found.
    gap: upper bound, in nats, on how much more probable another feasible
      architecture can be. 0: proven optimal.
    fill_open: True if the solver ran out of time before it found an
      architecture that uses `fill`, or proved that there is none;
      `architecture` then uses less.
  """

  architecture: Architecture
  gap: float
  fill_open: bool = False


class Answer(NamedTuple):
  """The options of the best architecture, with their proven gap.

  Attributes:
    index: single choice to the place of its option.
    gap: upper bound, in nats, on how much more probable other feasible options
      can be. 0: proven optimal.
    fill_open: as in `Solution`.
  """

  index: Index
  gap: float
  fill_open: bool = False


def log_prob(architecture: Architecture, alphas: Alphas) -> float:
  """Log-probability of an architecture under `softmax(alphas)`.

  Args:
    architecture: one option for every choice.
    alphas: name of a choice to `f32[*shape, options]`, finite.

  Returns:
    The sum over all choices, in nats, computed in float64.

  Raises:
    ValueError: alphas lack a choice, have other shapes, or are not finite.

  Example:
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> a = Architecture.from_indices(tiny, (0, 0, 0))
    >>> round(log_prob(a, space.init_alphas(tiny)), 4)  # log(1 / 2 / 2 / 3)
    -2.4849
  """
  scores = scores_of(architecture.space, alphas)
  return Problem(scores, {}).value(architecture.index)


def within(
  space: SearchSpace,
  alphas: Alphas,
  limits: Limits,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> Architecture:
  """The most probable architecture that satisfies every limit.

  It does not depend on the temperature: dividing all alphas by the same number
  does not change which architecture is the most probable.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    limits: cost of `space` to the largest value allowed, in the cost's unit; an
      infinite limit is ignored.
    fill: 0 to 1. Returns the most probable architecture among those that use at
      least this fraction of at least one limit on an additive cost. If there is
      none, `fill` is ignored.
    seconds: time limit of the solver. When it is reached, the best architecture
      so far is returned, which may then depend on the machine; `solution` also
      returns the gap. Usual cases are solved exactly in a small part of it.

  Returns:
    An architecture; its `cost.exact` is at most the limit, for every cost.

  Raises:
    InputError: no architecture satisfies the limits; the message names the
      smallest cost that can be reached. Or none was found in time, or a limit
      is NaN.
    ValueError: alphas are not finite or not of the space, a cost is not of the
      space, or `fill` or `seconds` is out of its range.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs = cost.macs(tiny)
    >>> low, high = macs.bounds()
    >>> alphas = space.init_alphas(tiny)
    >>> macs.exact(within(tiny, alphas, {macs: low})) == low
    True
    >>> macs.exact(within(tiny, alphas, {macs: high}, fill=1.0)) == high
    True
  """
  return solution(
    space, alphas, limits, fill=fill, seconds=seconds
  ).architecture


def solution(
  space: SearchSpace,
  alphas: Alphas,
  limits: Limits,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> Solution:
  """The architecture that `within` returns, with its proven gap.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    limits: cost of `space` to the largest value allowed, in the cost's unit; an
      infinite limit is ignored.
    fill: 0 to 1, minimum fraction of at least one limit, as for `within`.
    seconds: time limit of the solver, at least 0. Even with 0, the shortest
      attempt is made.

  Returns:
    The architecture, its gap in nats (0 unless the solver ran out of time), and
    whether `fill` is still open.

  Raises:
    InputError: no architecture satisfies the limits, or none was found in time,
      or a limit is NaN.
    ValueError: a number is out of its range, alphas are not finite or not of
      the space, or a cost is of another space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs, alphas = cost.macs(tiny), space.init_alphas(tiny)
    >>> found = solution(tiny, alphas, {macs: 6000}, fill=0.9)
    >>> found.gap, macs.exact(found.architecture) <= 6000
    (0.0, True)
  """
  check_fill(fill)
  check_seconds(seconds)
  problem = Problem(scores_of(space, alphas), limits)
  check_costs(space, limits)
  answer = solved(problem, drawn(space.choices), fill, seconds)
  indices = [answer.index[axis] for axis in problem.scores]
  found = Architecture.from_indices(space, indices)
  return Solution(found, answer.gap, answer.fill_open)


def solved(
  problem: Problem, split: Split | None, fill: float, seconds: float
) -> Answer:
  """The best options of a problem, with their proven gap.

  Args:
    problem: with limits on costs of its choices, and without a floor.
    split: choice whose options are solved one after the other; None without.
    fill: minimum fraction of at least one limit, 0 to 1.
    seconds: time limit, at least 0.

  Raises:
    InputError: no architecture satisfies the limits, or none was found in time.
  """
  check_reachable(problem.limits)
  problem = problem._replace(limits=finite(problem.limits))
  limits = problem.limits
  if not problem.scores:
    return Answer({}, 0.0)
  floors: list[Floor] = [
    (cost, fill * limit)
    for cost, limit in limits.items()
    if cost.reduction == 'sum' and fill > 0
  ]
  end = time.monotonic() + seconds
  parts = 1 if split is None else len(split.options)
  stops = _stops(end, (1 + len(floors)) * parts)
  most = _best(problem, split, stops, -math.inf)
  if most.index is None:
    if most.bound > -math.inf:
      raise InputError(
        'found no architecture that keeps all limits together in '
        f'{seconds:g} seconds, and no proof that there is none: raise a limit, '
        'leave one out or allow more seconds'
      )
    raise InputError(
      'no architecture keeps all limits together: '
      + unreachable.explanation(problem, seconds)
    )
  if uses_at(most.index, limits, fill):
    return Answer(most.index, _gap(problem, most.index, most.bound))
  best: Index | None = None
  value = bound = -math.inf
  for i, floor in enumerate(floors):
    if i and time.monotonic() > end:
      bound = max(bound, most.bound)  # Of the others that is all there is.
      break
    found = _best(problem._replace(floor=floor), split, stops, value)
    bound = max(bound, found.bound)
    if found.index is None:
      continue
    own = problem.value(found.index)
    if own > value:
      best, value = found.index, own
  if best is None:
    gap = _gap(problem, most.index, most.bound)
    return Answer(most.index, gap, fill_open=bound > -math.inf)
  return Answer(best, _gap(problem, best, min(bound, most.bound)))


def check_seconds(seconds: float) -> None:
  """Raises ValueError unless `seconds` is a time limit."""
  if not seconds >= 0:
    raise ValueError(f'deriving requires at least 0 seconds, got {seconds}.')


def _stops(end: float, solves: int) -> Iterator[float]:
  """The deadline of each solve; time that one leaves goes to the others."""
  for left in range(solves, 0, -1):
    now = time.monotonic()
    # Most solves are short, so the first ones may take more than an equal part.
    yield now + max(0.0, end - now) / min(left, 3)


def _gap(problem: Problem, index: Index, bound: float) -> float:
  """Nats between the value of `index` and the bound; 0 within rounding."""
  value = problem.value(index)
  return 0.0 if closed(bound, value) else float(bound - value)


def _best(problem: Problem, split: Split | None, stops, above: float) -> Found:
  """The solution; by one solve for each option of `split`, if there is one."""
  if split is None:
    return _solved(problem, next(stops), above)
  answers, bound = [], -math.inf
  for i, score in enumerate(problem.scores[split.axis]):
    part = problem.given(split.axis, i)
    found = _solved(part, next(stops), above - score)
    bound = max(bound, score + found.bound)
    if found.index is not None:
      total = score + sum(s[found.index[a]] for a, s in part.scores.items())
      index = {split.axis: i, **found.index}
      answers.append((total, split.options[i], index))
      above = max(above, total)
  if not answers:
    return Found(None, bound)
  *_, index = max(answers, key=lambda answer: answer[:2])
  return Found({axis: index[axis] for axis in problem.scores}, bound)


def _solved(problem: Problem, stop: float, above: float) -> Found:
  """Solves one problem, by one solver after the other.

  Ranking skips architectures that are no better than `above`.
  """
  if not problem.scores:
    return Found({}, 0.0) if problem.kept({}) else NEVER
  floor = problem.floor
  branch = functools.partial(milp.best, problem, stop=stop)
  narrow = floor is not None and floor[1] > _NARROW * problem.limits[floor[0]]
  best, value, bound = None, -math.inf, math.inf
  for way in ('rank', 'branch') if narrow else ('nodes', 'rank', 'branch'):
    if way == 'rank':
      known = max(value, above)
      found = meet_in_middle.best(problem, above=known, stop=stop)
    else:
      found = branch(nodes=_NODES if way == 'nodes' else None)
    if found.index is not None:
      own = problem.value(found.index)
      if own > value:
        best, value = found.index, own
    bound = max(value, min(bound, found.bound))
    if closed(bound, max(value, above)):
      break
    if way == 'rank' and time.monotonic() > stop:
      break
  return Found(best, bound)

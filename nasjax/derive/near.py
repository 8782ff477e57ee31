"""The most probable architectures within a few changes of another one."""

import itertools
from collections.abc import Collection, Iterator

from nasjax import checks
from nasjax.derive.limits import check_fill, uses, uses_at
from nasjax.derive.problem import (
  Alphas,
  Index,
  Limits,
  Problem,
  check_costs,
  drawn,
  scores_of,
)
from nasjax.space import Architecture


def near(
  architecture: Architecture,
  alphas: Alphas,
  limits: Limits,
  number: int,
  *,
  changes: int = 2,
  fill: float = 0.0,
  without: Collection[Architecture] = (),
) -> list[Architecture]:
  """The most probable architectures that differ in a few choices.

  All of them are looked at: with 20 choices of 7 options there are 7,000 with
  at most two changes. The option of the drawn choice, such as the downsampling
  pattern, stays.

  Args:
    architecture: the one to change.
    alphas: name of a choice to `f32[*shape, options]`, finite; any additive
      scores.
    limits: cost of the space to the largest value allowed, in the cost's unit.
    number: how many, at least 1.
    changes: number of single choices in which they differ at most, at least 1.
    fill: minimum fraction of at least one limit that each uses, 0 to 1. If
      `architecture` does not use it, `fill` is ignored.
    without: architectures to leave out.

  Returns:
    Different architectures within the limits, the most probable first, without
    `architecture`; fewer than `number` where there are no more.

  Raises:
    ValueError: a number is out of its range, alphas are not finite or not of
      the space, or a cost is of another space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> first = Architecture.from_indices(tiny, (0, 0, 0))
    >>> macs = cost.macs(tiny)
    >>> found = near(
    ...   first, space.init_alphas(tiny), {macs: macs.bounds()[1]}, 9, changes=1
    ... )
    >>> [a.indices for a in found]
    [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 2)]
  """
  space = architecture.space
  checks.check_least(1, number=number, changes=changes)
  check_fill(fill)
  check_costs(space, limits)
  problem = Problem(scores_of(space, alphas), limits)
  filled = uses(architecture, limits, fill)
  ranked = sorted(
    _changed(problem, architecture.index, _free(architecture), changes),
    key=problem.value,
    reverse=True,
  )
  found: list[Architecture] = []
  for index in ranked:
    if len(found) == number:
      break
    if not problem.kept(index) or (filled and not uses_at(index, limits, fill)):
      continue
    a = Architecture.from_indices(space, [index[x] for x in problem.scores])
    if a not in without:
      found.append(a)
  return found


def _free(architecture: Architecture) -> list:
  """The single choices that may change."""
  split = drawn(architecture.space.choices)
  return [x for x in architecture.index if split is None or x != split.axis]


def _changed(
  problem: Problem, index: Index, free: list, changes: int
) -> Iterator[Index]:
  """Every way to take other options in at most so many choices."""
  for several in range(1, changes + 1):
    for axes in itertools.combinations(free, several):
      others = [
        [i for i in range(len(problem.scores[x])) if i != index[x]]
        for x in axes
      ]
      for options in itertools.product(*others):
        yield {**index, **dict(zip(axes, options, strict=True))}

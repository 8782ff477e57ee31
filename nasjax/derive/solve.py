"""The most probable architecture within limits, exactly.

It maximises the sum of its options' log-probabilities, one option per choice.
With limits on additive costs that is a multiple-choice knapsack (Kellerer,
Pferschy and Pisinger 2004, chapter 11), solved here by branch and bound in
SciPy's HiGHS and verified in the costs' own, exact numbers.
"""

import bisect
import dataclasses
import math
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from nasjax.cost import Cost, Number, Table
from nasjax.derive import integer
from nasjax.errors import InputError
from nasjax.space import Architecture, Space, at_pattern

Limits = Mapping[Cost, Number]


def log_prob(architecture: Architecture, alphas: Mapping) -> float:
  """Log-probability of an architecture under `softmax(alphas)`, float64."""
  slots = zip(architecture.space.choices, architecture.indices, strict=True)
  return float(sum(log_softmax(alphas[slot])[i] for slot, i in slots))


def log_softmax(alphas: jax.Array) -> np.ndarray:
  """Log-probabilities of one choice's options, `f64[options]`.

  Raises:
    ValueError: alphas are not finite.
  """
  a = np.asarray(alphas, np.float64)
  if not np.isfinite(a).all():
    raise ValueError(f'deriving requires finite alphas, got {a}.')
  a = a - a.max()
  return a - np.log(np.exp(a).sum())


def scores_of(
  space: Space, alphas: Mapping[str, jax.Array]
) -> dict[str, np.ndarray]:
  """Log-probabilities of every choice's options, in the order of `choices`.

  Raises:
    ValueError: alphas lack a choice, are of other options, or not finite.
  """
  missing = [name for name in space.choices if name not in alphas]
  if missing:
    raise ValueError(
      f'deriving requires alphas of every choice, got none of '
      f'{", ".join(missing)}.'
    )
  for name, options in space.choices.items():
    shape = np.shape(alphas[name])
    if shape != (len(options),):
      raise ValueError(
        f'deriving requires alphas of {name} of shape {(len(options),)}, got '
        f'{shape}.'
      )
  return {name: log_softmax(alphas[name]) for name in space.choices}


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


def within(
  space: Space,
  alphas: Mapping[str, jax.Array],
  limits: Limits,
  *,
  fill: float = 0.0,
) -> Architecture:
  """The most probable architecture that keeps every limit.

  It does not depend on the temperature: dividing alphas by one does not change
  which architecture is the most probable.

  Args:
    space: what is chosen from.
    alphas: slot or width to `f32[options]`, finite.
    limits: the largest cost allowed, for any number of costs of `space`; an
      infinite one is none.
    fill: 0 to 1. Where the most probable architecture leaves much of every
      limit unused, the most probable one is returned among those that use at
      least this share of one limit on an additive cost; if there is no such
      one, the most probable of all.

  Returns:
    An architecture; `cost.exact` of it is at most the limit, for every cost.

  Raises:
    InputError: no architecture keeps the limits; the message names the
      smallest cost that can be reached. Or a limit is NaN.
    ValueError: alphas are not finite or not of the space, a cost is not of the
      space, or `fill` is out of its range.

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
  check_fill(fill)
  scores = list(scores_of(space, alphas).values())
  check_costs(space, limits)
  check_reachable(limits)
  limits = finite(limits)
  if not scores:
    return Architecture(space, ())
  found = _best(space, scores, limits)
  if found is None:
    reachable = '; '.join(_smallest_given(space, limits, c) for c in limits)
    raise InputError(f'no architecture keeps all limits together: {reachable}')
  if uses(found, limits, fill):
    return found
  fuller = [
    _best(space, scores, limits, floor=(cost, fill * limit))
    for cost, limit in limits.items()
    if cost.reduction == 'sum'
  ]
  by_log_prob = lambda a: log_prob(a, alphas)  # noqa: E731
  return max(filter(None, fuller), key=by_log_prob, default=found)


def finite(limits: Limits) -> Limits:
  """The limits that are any: an infinite one limits nothing."""
  return {c: limit for c, limit in limits.items() if limit < math.inf}


def uses(architecture: Architecture, limits: Limits, fill: float) -> bool:
  """Whether it uses `fill` of a limit on an additive cost, if there is one."""
  additive = {c: limit for c, limit in limits.items() if c.reduction == 'sum'}
  return not additive or any(
    c.exact(architecture) >= fill * limit for c, limit in additive.items()
  )


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


def _best(space, scores, limits, floor=None) -> Architecture | None:
  """The solution; one solve per pattern, which is stronger than one for all."""
  if not space.patterns:
    return integer.best(space, scores, limits, floor)
  solved = []
  for i, score in enumerate(scores[0]):
    within = {cost_at_pattern(c, i): limit for c, limit in limits.items()}
    least = floor and (cost_at_pattern(floor[0], i), floor[1])
    a = integer.best(at_pattern(space, i), scores[1:], within, least)
    if a is not None:
      picked = zip(scores[1:], a.indices, strict=True)
      total = score + sum(s[j] for s, j in picked)
      solved.append((total, (space.patterns[i], *a.choice)))
  if not solved:
    return None
  _, choice = max(solved)
  return Architecture(space, choice)


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


def _smallest_given(space, limits, cost) -> str:
  """What `cost` can be brought down to while the other limits are kept."""
  others = {c: limit for c, limit in limits.items() if c is not cost}
  if cost.reduction == 'max':
    # The smallest of its values at which something is still feasible.
    low, _ = cost.bounds()
    levels = sorted({v for t in cost.tables for v in t.values if v >= low})

    def feasible(level):
      return (
        integer.best(space, _flat(space), {**others, cost: level}) is not None
      )

    place = bisect.bisect_left(levels, True, key=feasible)
    smallest = levels[place] if place < len(levels) else None
  else:
    found = integer.best(space, _flat(space), others, objective=cost)
    smallest = None if found is None else cost.exact(found)
  if smallest is None:
    return f'the limits without that of {cost.name} cannot be kept either'
  return (
    f'{cost.name} is at least {smallest} {cost.unit} within the other limits, '
    f'and the limit is {limits[cost]:.15g}'
  )


def _flat(space: Space) -> list[np.ndarray]:
  """Scores that prefer nothing."""
  return [np.zeros(len(names)) for names in space.choices.values()]

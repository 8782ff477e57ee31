"""From one search, the most probable architecture for every budget."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nasjax.cost import Cost, Number
from nasjax.derive.problem import Alphas, Problem, check_costs, drawn, scores_of
from nasjax.errors import InputError
from nasjax.space import Architecture, Axis, SearchSpace


class Point(NamedTuple):
  """One architecture of a frontier.

  Attributes:
    cost: exact cost, in the cost's unit.
    log_prob: nats; no architecture of this or a lower cost has a higher one.
    architecture: of the space.
  """

  cost: Number
  log_prob: float
  architecture: Architecture


class _Front(NamedTuple):
  """Partial architectures, none of them dominated, cheapest first.

  Attributes:
    costs: `[n]`, ascending, in exact numbers.
    scores: `f64[n]`, ascending.
    trails: `i32[n, choices made]`, option of each choice so far.
  """

  costs: np.ndarray
  scores: np.ndarray
  trails: np.ndarray


def pareto(space: SearchSpace, alphas: Alphas, cost: Cost) -> list[Point]:
  """The most probable architecture for every budget, cheapest first.

  Dynamic programming along the tables, over the cost so far and the choices
  that later tables depend on. A partial architecture that costs at least as
  much as one that is at least as probable is dominated: it is in no answer and
  is dropped (Nemhauser and Ullmann 1969). The last point is the cheapest of the
  most probable architectures, limits ignored. For budgets beyond its cost the
  alphas say nothing.

  Args:
    space: the search space.
    alphas: name of a choice to `f32[*shape, options]`, finite.
    cost: additive, of `space`.

  Returns:
    Points of rising cost and rising log-probability; see `within_budget`.

  Raises:
    ValueError: the cost is a maximum or not of the space, or alphas are not
      finite or not of the space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs, alphas = cost.macs(tiny), space.init_alphas(tiny)
    >>> points = pareto(tiny, alphas, macs)
    >>> points[0].cost == macs.bounds()[0]
    True
  """
  if cost.reduction != 'sum':
    raise ValueError(f'pareto requires an additive cost, got {cost.name}.')
  scores = scores_of(space, alphas)
  check_costs(space, [cost])
  split = drawn(space.choices)
  if split is None:
    front = _front(cost, scores)
  else:
    each, place = [], list(scores).index(split.axis)
    for i, score in enumerate(scores[split.axis]):
      part = Problem(scores, {}).given(split.axis, i)
      own = _front(cost.given(split.axis, i), part.scores)
      trails = np.insert(own.trails, place, i, axis=1)
      each.append(_Front(own.costs, own.scores + score, trails))
    front = _merged(each)
  if cost.digits is not None:
    front = _exact(front, cost, list(scores))
  return [
    Point(c, float(p), Architecture.from_indices(space, trail))
    for c, p, trail in zip(
      front.costs.tolist(), front.scores, front.trails, strict=True
    )
  ]


def within_budget(points: Sequence[Point], budget: Number) -> Point:
  """The most probable point of a frontier that costs at most `budget`.

  Args:
    points: what `pareto` returned, of rising cost.
    budget: the largest cost allowed, in the cost's unit.

  Returns:
    The last point whose cost is at most `budget`.

  Raises:
    InputError: the budget is below the cheapest point, or above the last one.

  Example:
    >>> points = [Point(3, -2.0, None), Point(5, -1.0, None)]
    >>> within_budget(points, 4).cost
    3
  """
  if budget > points[-1].cost:
    raise InputError(
      f'a budget of {budget:.15g} is beyond {points[-1].cost}, what the most '
      'probable architecture costs: search again, with a higher limit'
    )
  kept = [point for point in points if point.cost <= budget]
  if not kept:
    raise InputError(
      f'no architecture costs at most {budget:.15g}; the cheapest needs '
      f'{points[0].cost}'
    )
  return kept[-1]


def _front(cost: Cost, scores: Mapping[Axis, np.ndarray]) -> _Front:
  """The front of some choices; trails in the order of `scores`."""
  last = {a: i for i, table in enumerate(cost.tables) for a in table.axes}
  # Options of the choices that later tables depend on, to their front.
  fronts = {(): _Front(np.array([0]), np.zeros(1), np.zeros((1, 0), np.int32))}
  made: list[Axis] = []
  opened: tuple[Axis, ...] = ()
  for i, table in enumerate(cost.tables):
    for axis in table.axes:
      if axis not in made:
        fronts = _branched(fronts, scores[axis])
        made.append(axis)
        opened = (*opened, axis)
    fronts = {
      key: front._replace(
        costs=front.costs + table.at(dict(zip(opened, key, strict=True)))
      )
      for key, front in fronts.items()
    }
    kept = [n for n, axis in enumerate(opened) if last[axis] > i]
    groups: dict[tuple[int, ...], list[_Front]] = {}
    for key, front in fronts.items():
      groups.setdefault(tuple(key[n] for n in kept), []).append(front)
    fronts = {key: _merged(group) for key, group in groups.items()}
    opened = tuple(opened[n] for n in kept)
  front = _merged(fronts.values())
  # Choices that no table names cost nothing: take the most probable option.
  for axis in [axis for axis in scores if axis not in made]:
    best = int(scores[axis].argmax())
    (front,) = _branched({(): front}, scores[axis], [best]).values()
    made.append(axis)
  order = [made.index(axis) for axis in scores]
  return front._replace(trails=front.trails[:, order])


def _exact(front: _Front, cost: Cost, names: Sequence[Axis]) -> _Front:
  """The front with costs that were not rounded while they were summed."""
  costs = [cost.at(dict(zip(names, t, strict=True))) for t in front.trails]
  return _merged([front._replace(costs=np.array(costs))])


def _branched(
  fronts: Mapping[tuple, _Front],
  scores: np.ndarray,
  options: Iterable[int] | None = None,
) -> dict[tuple, _Front]:
  """Every front with every option of one more choice."""
  found = {}
  for key, front in fronts.items():
    for i in range(len(scores)) if options is None else options:
      column = np.full((len(front.trails), 1), i, np.int32)
      trails = np.append(front.trails, column, axis=1)
      found[*key, i] = _Front(front.costs, front.scores + scores[i], trails)
  return found


def _merged(fronts: Iterable[_Front]) -> _Front:
  """Merges fronts and drops dominated partial architectures."""
  columns = zip(*fronts, strict=True)
  costs, scores, trails = (np.concatenate(column) for column in columns)
  order = np.lexsort((-scores, costs))
  ranked = scores[order]
  best_before = np.maximum.accumulate(np.append(-np.inf, ranked[:-1]))
  order = order[ranked > best_before]
  return _Front(costs[order], scores[order], trails[order])

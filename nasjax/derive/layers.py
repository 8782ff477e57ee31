"""The choices of a space as a layered graph, one layer for each choice.

An architecture is a path through the layers. A node stands for the options of
the choices that later tables still read, an edge for one option of the next
choice. An edge holds the log-probability of its option and what it adds to
every additive cost, so that sums along a path are exact.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nasjax.cost import Cost, Number
from nasjax.space import Axis

_MOST_BITS = 2**24
_LARGEST_INT = 2**53  # Floats hold every integer up to here.


class Layer(NamedTuple):
  """The edges of one choice.

  Attributes:
    name: of the single choice.
    source: `i64[edges]`, node before the choice.
    target: `i64[edges]`, node after it.
    option: `i64[edges]`, which option is taken.
    score: `f64[edges]`, log-probability of the option, nats.
    costs: `[costs, edges]`, what it adds to each; int64 if every cost is whole.
  """

  name: Axis
  source: np.ndarray
  target: np.ndarray
  option: np.ndarray
  score: np.ndarray
  costs: np.ndarray


def layers(
  scores: Mapping[Axis, np.ndarray],
  costs: Sequence[Cost],
  filters: Mapping[Cost, Number],
) -> list[Layer]:
  """Builds the graph; tables without a choice are left out of it.

  Args:
    scores: of each choice, `f64[options]`.
    costs: additive.
    filters: costs that are a maximum, with their limits: a combination over a
      limit has no edge.
  """
  order = _order([*costs, *filters], scores)
  place = {name: i for i, name in enumerate(order)}
  tables = [(k, t) for k, c in enumerate(costs) for t in c.tables]
  caps = [(limit, t) for c, limit in filters.items() for t in c.tables]
  # A table is read at the last of its choices; they stay open until then.
  read_at = lambda t: max(place[axis] for axis in t.axes)  # noqa: E731
  closed_at = dict(place)
  for _, t in (*tables, *caps):
    for axis in t.axes:
      closed_at[axis] = max(closed_at[axis], read_at(t))
  dtype = np.int64 if all(map(whole, costs)) else np.float64
  found, opened = [], []
  for i, name in enumerate(order):
    axes = [*opened, name]
    shape = [len(scores[axis]) for axis in axes]
    grid = np.indices(shape).reshape(len(axes), -1)
    index = dict(zip(axes, grid, strict=True))
    added = np.zeros((len(costs), grid.shape[1]), dtype)
    for k, t in tables:
      if t.axes and read_at(t) == i:
        added[k] += t.array().astype(dtype)[tuple(index[a] for a in t.axes)]
    kept = np.ones(grid.shape[1], bool)
    for limit, t in caps:
      if t.axes and read_at(t) == i:
        kept &= t.array()[tuple(index[a] for a in t.axes)] <= limit
    source = _node(grid[:-1], shape[:-1])
    opened = [axis for axis in axes if closed_at[axis] > i]
    rows = [axes.index(axis) for axis in opened]
    target = _node(grid[rows], [shape[row] for row in rows])
    option = index[name]
    score = scores[name][option]
    columns = source[kept], target[kept], option[kept], score[kept]
    found.append(Layer(name, *columns, added[:, kept]))
  return found


def whole(cost: Cost) -> bool:
  """Whether a cost is of integers that floats hold exactly."""
  return cost.bounds()[1] < _LARGEST_INT and all(
    isinstance(v, int | np.integer) for t in cost.tables for v in t.values
  )


def best_to_end(
  graph: Sequence[Layer], values: Sequence[np.ndarray]
) -> list[np.ndarray]:
  """The largest sum of edges' values from each node to the end.

  Args:
    graph: as `layers` builds it.
    values: for each layer, `[edges]`.

  Returns:
    For the nodes before each layer and after the last one, `[nodes]`; minus
    infinity where no path leads to the end.
  """
  found = [np.zeros(1)]
  for layer, value in zip(reversed(graph), reversed(values), strict=True):
    best = np.full(layer.source.max(initial=0) + 1, -np.inf)
    np.maximum.at(best, layer.source, value + at(found[-1], layer.target))
    found.append(best)
  return found[::-1]


def best_from_start(
  graph: Sequence[Layer], values: Sequence[np.ndarray]
) -> list[np.ndarray]:
  """The largest sum from the start to each node; else as `best_to_end`."""
  found = [np.zeros(1)]
  for layer, value in zip(graph, values, strict=True):
    best = np.full(layer.target.max(initial=0) + 1, -np.inf)
    np.maximum.at(best, layer.target, value + at(found[-1], layer.source))
    found.append(best)
  return found


def reaches(
  graph: Sequence[Layer], row: int, low: Number, high: Number
) -> bool:
  """Whether a path has a whole cost of `low` to `high`, both included.

  The sums with which a node can be reached are the bits of one integer, after
  division by the greatest common divisor of all differences. Where there would
  be too many bits, the answer is True, whether it is or not.

  Args:
    graph: with whole costs.
    row: of the cost.
    low: at least.
    high: at most.
  """
  added = [layer.costs[row].astype(np.int64) for layer in graph]
  firsts = [int(costs.min(initial=_LARGEST_INT)) for costs in added]
  steps = [costs - first for costs, first in zip(added, firsts, strict=True)]
  unit = math.gcd(*(int(np.gcd.reduce(step)) for step in steps)) or 1
  low = max(0, -(-(math.ceil(low) - sum(firsts)) // unit))
  high = (math.floor(high) - sum(firsts)) // unit
  if high < low:
    return False
  if high > _MOST_BITS:
    return True
  mask = (1 << (high + 1)) - 1
  nodes = {0: 1}
  for layer, step in zip(graph, steps, strict=True):
    after: dict[int, int] = {}
    columns = (layer.source, layer.target, step // unit)
    edges = zip(*(column.tolist() for column in columns), strict=True)
    for source, target, step in sorted(set(edges)):
      if step <= high and source in nodes:
        sums = (nodes[source] << step) & mask
        after[target] = after.get(target, 0) | sums
    nodes = after
  return bool(nodes.get(0, 0) >> low)


def at(
  best: np.ndarray, nodes: np.ndarray, missing: float = -np.inf
) -> np.ndarray:
  """The values of nodes, `missing` for those that no edge touches."""
  known = nodes < len(best)
  return np.where(known, best[np.where(known, nodes, 0)], missing)


def _node(grid: np.ndarray, shape: Sequence[int]) -> np.ndarray:
  if not len(shape):
    return np.zeros(grid.shape[1], np.int64)
  return np.ravel_multi_index(tuple(grid), tuple(shape))


def _order(
  costs: Sequence[Cost], scores: Mapping[Axis, np.ndarray]
) -> list[Axis]:
  """The choices in order, as the costs of joint tables name them."""
  joint = sorted(costs, key=lambda c: -max(len(t.axes) for t in c.tables))
  names = [axis for c in joint for t in c.tables for axis in t.axes]
  return list(dict.fromkeys([*names, *scores]))

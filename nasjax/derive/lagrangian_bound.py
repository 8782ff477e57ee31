"""An upper bound of every architecture's log-probability, by prices of costs.

Each cost has a price, the multiplier of its limit in the linear relaxation.
An architecture that keeps the limits is at most as probable as its bound says:
its log-probability, less its priced costs, plus the priced limits (Lagrangian
relaxation; Fisher 1981). Like the log-probability the bound is a sum over the
choices, so what later choices can add to it at best is known.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse

from nasjax.derive import layers
from nasjax.derive.layers import Layer
from nasjax.derive.problem import Problem

_ROUNDING = 1e-9  # Of sums of float costs, as a share of the largest.
# The relaxation is loosened by more than the tolerance of its solver.
_LOOSENED = 1e-5


class Bounds(NamedTuple):
  """A graph of choices, and bounds by prices of its costs.

  Attributes:
    problem: that the graph is of, for exact comparisons.
    graph: its layers.
    most: `[costs]`, the largest sums of edges.
    least: `[costs]`, the smallest sums; minus infinity without a floor.
    slack: `[costs]`, what rounding may add to a sum; 0 for whole costs.
    corner: what the prices add to a bound.
    priced: for each layer, `f64[edges]`, score less priced costs.
    after: largest priced sums from each node to the end, for each layer.
    before: largest priced sums from the start to each node.
    least_after, least_before, most_after, most_before: extremes of each cost,
      a list of layers for each.
  """

  problem: Problem
  graph: list[Layer]
  most: np.ndarray
  least: np.ndarray
  slack: np.ndarray
  corner: float
  priced: list[np.ndarray]
  after: list[np.ndarray]
  before: list[np.ndarray]
  least_after: list[list[np.ndarray]]
  least_before: list[list[np.ndarray]]
  most_after: list[list[np.ndarray]]
  most_before: list[list[np.ndarray]]


def relaxed(problem: Problem) -> Bounds | None:
  """Builds the graph and prices its costs.

  Returns:
    The graph and its bounds; None where nothing is allowed, as the graph or its
    relaxation proves.
  """
  limits, floor = problem.limits, problem.floor
  costs = [c for c in limits if c.reduction == 'sum']
  filters = {c: limit for c, limit in limits.items() if c.reduction == 'max'}
  graph = layers.layers(problem.scores, costs, filters)
  whole = np.array([layers.whole(c) for c in costs], bool)
  span = np.array([float(c.bounds()[1]) or 1.0 for c in costs])
  slack = np.where(whole, 0, _ROUNDING * span)
  # Of whole costs these are whole, too.
  most = np.array(
    [
      (math.floor(limits[c]) if exact else limits[c]) - c.constant
      for c, exact in zip(costs, whole, strict=True)
    ],
    float,
  )
  least = np.full(len(costs), -np.inf)
  filled = None
  if floor is not None:
    filled = costs.index(floor[0])
    used = math.ceil(floor[1]) if whole[filled] else floor[1]
    least[filled] = used - floor[0].constant
  rising = [[layer.costs[k] for layer in graph] for k in range(len(costs))]
  falling = [[-v for v in values] for values in rising]
  negative = lambda lists: [[-v for v in own] for own in lists]  # noqa: E731
  least_after = negative([layers.best_to_end(graph, v) for v in falling])
  least_before = negative([layers.best_from_start(graph, v) for v in falling])
  most_after = [layers.best_to_end(graph, v) for v in rising]
  most_before = [layers.best_from_start(graph, v) for v in rising]
  if any(
    own[0][0] > most[k] + slack[k] or high[0][0] < least[k] - slack[k]
    for k, (own, high) in enumerate(zip(least_after, most_after, strict=True))
  ):
    return None
  if layers.best_to_end(graph, [layer.score for layer in graph])[0][0] == (
    -np.inf
  ):
    return None
  if (
    filled is not None
    and whole[filled]
    and not layers.reaches(graph, filled, least[filled], most[filled])
  ):
    return None
  prices = _prices(graph, most, least, span)
  if prices is None:
    return None
  corners = np.where(prices > 0, most + slack, least - slack)
  corner = float(prices @ np.where(prices == 0, 0, corners))
  priced = [layer.score - prices @ layer.costs for layer in graph]
  return Bounds(
    problem,
    graph,
    most,
    least,
    slack,
    corner,
    priced,
    layers.best_to_end(graph, priced),
    layers.best_from_start(graph, priced),
    least_after,
    least_before,
    most_after,
    most_before,
  )


def _prices(graph, most, least, span) -> np.ndarray | None:
  """Multipliers of the linear relaxation, `f64[costs]`; any are right.

  A price above 0 is of a limit, one below 0 of what has to be used. None where
  nothing keeps the relaxation.
  """
  none = np.zeros(len(most))
  if not len(most):
    return none
  score = np.concatenate([layer.score for layer in graph])
  scale = np.ptp(score) or 1.0
  rows = (
    np.concatenate([layer.costs for layer in graph], axis=1) / span[:, None]
  )
  above, below = np.isfinite(most), np.isfinite(least)
  result = optimize.linprog(
    -score / scale,
    A_ub=np.concatenate([rows[above], -rows[below]]),
    b_ub=np.concatenate([(most / span)[above], -(least / span)[below]])
    + _LOOSENED,
    A_eq=_conservation(graph),
    b_eq=np.eye(1, sum(len(n) for n in _nodes(graph)))[0],
    method='highs',
  )
  if result.status == 2:  # infeasible
    return None
  if result.x is None:
    return none
  duals = -scale * np.minimum(result.ineqlin.marginals, 0)
  price = none.copy()
  price[above] += duals[: above.sum()]
  price[below] -= duals[above.sum() :]
  return price / span


def _nodes(graph: Sequence[Layer]) -> list[np.ndarray]:
  """The nodes before each layer that edges leave."""
  return [np.unique(layer.source) for layer in graph]


def _conservation(graph: Sequence[Layer]) -> sparse.csr_array:
  """One unit leaves the start, and each node as much as enters it."""
  nodes = _nodes(graph)
  starts = np.cumsum([0, *(len(n) for n in nodes)])
  rows, columns, values, edges = [], [], [], 0
  for i, layer in enumerate(graph):
    column = edges + np.arange(len(layer.source))
    edges += len(column)
    rows.append(starts[i] + np.searchsorted(nodes[i], layer.source))
    columns.append(column)
    values.append(np.ones(len(column)))
    if i + 1 < len(graph):
      # A node that nothing leaves keeps what enters it: the relaxation is
      # wider by it, and its prices are as right.
      known = np.isin(layer.target, nodes[i + 1])
      place = np.searchsorted(nodes[i + 1], layer.target[known])
      rows.append(starts[i + 1] + place)
      columns.append(column[known])
      values.append(-np.ones(len(place)))
  entries = (
    np.concatenate(values),
    (np.concatenate(rows), np.concatenate(columns)),
  )
  return sparse.csr_array(entries, shape=(starts[-1], edges))

"""The most probable architecture within limits, by ranking both halves.

Prices of the costs, the multipliers of the linear relaxation, turn every
architecture's log-probability into an upper bound of it that is a sum over its
choices (Lagrangian relaxation; Fisher 1981). The chain is cut in two. Of either
half the parts with the best bounds are listed, and pairs are tried in the order
of their bounds, until no pair that is left can be better than the best one that
keeps all limits (meet in the middle; Horowitz and Sahni 1974). Where lists have
to be cut, the best bound that was cut off says what is still possible, and the
next lists are longer.

That is exact, and fast where much has to fit a limit to the unit: branch and
bound sees no difference between architectures that miss it narrowly.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, sparse

from nasjax.cost import Cost, Number
from nasjax.derive import layers
from nasjax.derive.found import NEVER, Found
from nasjax.derive.layers import Layer
from nasjax.space import Architecture, Space

WIDTHS = (64, 1024, 16384, 131072)  # Parts of either half that are listed.
_PAIRS = 2**22  # Tried beyond what they can prove, in search of any solution.
_FIRST = 2**14  # Pairs of the first band; each later one has 16 times more.
_CHUNK = 2**20  # Pairs at a time.
# The relaxation is loosened by more than the tolerance of its solver.
_LOOSENED = 1e-5
_ROUNDING = 1e-9  # Of sums of floats, as a share of the largest.


def best(
  space: Space,
  scores: Sequence[np.ndarray],
  limits: Mapping[Cost, Number],
  floor: tuple[Cost, Number] | None = None,
  *,
  stop: float = math.inf,
  widths: Sequence[int] = WIDTHS,
) -> Found:
  """Maximises the summed scores within limits.

  Args:
    space: without patterns.
    scores: of each choice, `f64[options]`.
    limits: cost to what it is at most.
    floor: one of these costs, additive, with what it has to be at least.
    stop: when to stop, by `time.monotonic`; the shortest lists are tried all
      the same.
    widths: how many parts of either half are listed, turn by turn.

  Returns:
    The best architecture that was found, and a bound on all others.
  """
  problem = _problem(space, scores, limits, floor)
  if problem is None:
    return NEVER
  chosen: Architecture | None = None
  value = -np.inf
  bound = float(problem.after[0][0] + problem.corner)
  for i, width in enumerate(widths):
    if i and time.monotonic() > stop:
      break
    until = stop if i else math.inf
    heads, tails = _halves(problem, width, value)
    found, proven = _pair(problem, heads, tails, value, until)
    if found is not None:
      chosen = found
      value = float(
        sum(s[j] for s, j in zip(scores, found.indices, strict=True))
      )
    bound = min(bound, max(proven, value))
    if bound <= value + _ROUNDING * max(1.0, abs(value)):
      return Found(chosen, value)
    if bound == -np.inf:
      break
  return Found(chosen, bound)


class _Problem(NamedTuple):
  """A graph with prices.

  Attributes:
    space: that the graph is of.
    graph: its layers.
    limits: of all costs, for exact comparisons.
    floor: as of `best`.
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

  space: Space
  graph: list[Layer]
  limits: Mapping[Cost, Number]
  floor: tuple[Cost, Number] | None
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


def _problem(space, scores, limits, floor) -> _Problem | None:
  """None where a cost by itself cannot be what it has to be."""
  costs = [c for c in limits if c.reduction == 'sum']
  filters = {c: limit for c, limit in limits.items() if c.reduction == 'max'}
  named = dict(zip(space.choices, scores, strict=True))
  graph = layers.layers(named, costs, filters)
  exact = all(map(layers.whole, costs))
  span = np.array([float(c.bounds()[1]) or 1.0 for c in costs])
  slack = np.zeros(len(costs)) if exact else _ROUNDING * span
  most = np.array([limits[c] - c.constant for c in costs], float)
  least = np.full(len(costs), -np.inf)
  if floor is not None:
    least[costs.index(floor[0])] = floor[1] - floor[0].constant
  if exact:
    most, least = np.floor(most), np.ceil(least)
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
  if exact and floor is not None:
    k = costs.index(floor[0])
    if not layers.reaches(graph, k, least[k], most[k]):
      return None
  prices = _prices(graph, most, least, span)
  if prices is None:
    return None
  corners = np.where(prices > 0, most + slack, least - slack)
  corner = float(prices @ np.where(prices == 0, 0, corners))
  priced = [layer.score - prices @ layer.costs for layer in graph]
  return _Problem(
    space,
    graph,
    limits,
    floor,
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


class _Parts(NamedTuple):
  """Parts of architectures on one side of the cut.

  Attributes:
    node: `i64[n]`, at the cut.
    costs: `[costs, n]`.
    score: `f64[n]`.
    priced: `f64[n]`.
    trail: for each layer, the farthest from the cut first: its place in the
      graph, which part each one was made from, and the option it took.
    dropped: no part that is missing has a higher bound than this.
  """

  node: np.ndarray
  costs: np.ndarray
  score: np.ndarray
  priced: np.ndarray
  trail: list[tuple[int, np.ndarray, np.ndarray]]
  dropped: float


def _halves(problem: _Problem, width: int, value: float):
  """The best parts of both sides; the side with fewer of them grows."""
  dtype = problem.graph[0].costs.dtype
  empty = _Parts(
    np.zeros(1, np.int64),
    np.zeros((len(problem.most), 1), dtype),
    np.zeros(1),
    np.zeros(1),
    [],
    -np.inf,
  )
  heads, tails = empty, empty
  first, last = 0, len(problem.graph)
  while first < last:
    if len(heads.node) <= len(tails.node):
      heads = _grown(problem, heads, first, width, value, forward=True)
      first += 1
    else:
      last -= 1
      tails = _grown(problem, tails, last, width, value, forward=False)
  return heads, tails


def _grown(
  problem: _Problem,
  parts: _Parts,
  i: int,
  width: int,
  value: float,
  forward: bool,
) -> _Parts:
  """Every part with every edge of one more layer, the best `width` of them."""
  layer = problem.graph[i]
  near, far = (
    (layer.source, layer.target) if forward else (layer.target, layer.source)
  )
  # Pairs of a part and an edge that meet in a node.
  order = np.argsort(near, kind='stable')
  starts = np.searchsorted(near[order], parts.node, 'left')
  counts = np.searchsorted(near[order], parts.node, 'right') - starts
  part = np.repeat(np.arange(len(counts)), counts)
  edge = order[_ranges(starts, counts)]
  place = i + 1 if forward else i
  # What the other side adds at best.
  rest = problem.after if forward else problem.before
  least = problem.least_after if forward else problem.least_before
  most = problem.most_after if forward else problem.most_before
  node = far[edge]
  priced = parts.priced[part] + problem.priced[i][edge]
  bound = priced + layers.at(rest[place], node) + problem.corner
  kept = bound > value
  costs = parts.costs[:, part] + layer.costs[:, edge]
  for k, own in enumerate(costs):
    slack = problem.slack[k]
    low = own + layers.at(least[k][place], node, np.inf)
    kept &= low <= problem.most[k] + slack
    if problem.least[k] > -np.inf:
      high = own + layers.at(most[k][place], node)
      kept &= high >= problem.least[k] - slack
  chosen = np.flatnonzero(kept)
  dropped = parts.dropped
  score = parts.score[part] + layer.score[edge]
  # Of many, equal ones are looked for among a few times as many as are kept.
  chosen, dropped = _cut(chosen, bound, 4 * width, dropped)
  chosen = _distinct(chosen, node, costs, score)
  chosen, dropped = _cut(chosen, bound, width, dropped)
  trail = [*parts.trail, (i, part[chosen], layer.option[edge[chosen]])]
  return _Parts(
    node[chosen],
    costs[:, chosen],
    score[chosen],
    priced[chosen],
    trail,
    dropped,
  )


def _cut(chosen, bound, width, dropped):
  """The `width` with the best bounds, and the best bound among the others."""
  if len(chosen) <= width:
    return chosen, dropped
  order = np.argsort(-bound[chosen], kind='stable')
  dropped = max(dropped, float(bound[chosen[order[width]]]))
  return np.sort(chosen[order[:width]]), dropped


def _distinct(chosen, node, costs, score):
  """Of parts that end alike and cost the same, the most probable one."""
  if len(chosen) < 2:
    return chosen
  keys = [*costs[:, chosen], node[chosen]]
  order = np.lexsort([-score[chosen], *keys])
  new = np.zeros(len(order), bool)
  new[0] = True
  for key in keys:
    new[1:] |= key[order[1:]] != key[order[:-1]]
  return np.sort(chosen[order[new]])


def _pair(problem: _Problem, heads: _Parts, tails: _Parts, value, stop):
  """Tries pairs in the order of their bounds, a band of bounds at a time.

  Returns:
    The best architecture above `value`, or None; and a bound on everything
    above `value` that was not tried.
  """
  dropped = max(heads.dropped, tails.dropped)
  order = np.lexsort([-tails.priced, tails.node])
  node, rising = tails.node[order], -tails.priced[order]
  nodes, starts = np.unique(node, return_index=True)
  ends = np.append(starts[1:], len(node))
  rows = np.argsort(-heads.priced, kind='stable')
  rows = rows[np.isin(heads.node[rows], nodes)]
  if not len(rows):
    return None, dropped
  own = np.searchsorted(nodes, heads.node)  # The group of tails of each head.
  high = heads.priced[rows] + problem.corner

  def until(least: float, some=slice(None)) -> np.ndarray:
    """Where the tails end whose pairs have a bound of at least `least`."""
    found = np.zeros(len(rows), np.int64)[some]
    group, reach = own[rows[some]], high[some] - least
    for g, (start, end) in enumerate(zip(starts, ends, strict=True)):
      of_group = group == g
      place = np.searchsorted(rising[start:end], reach[of_group], 'right')
      found[of_group] = start + place
    return found

  begins = starts[own[rows]]
  top = float((high - rising[begins]).max())
  bottom = float((high - rising[ends[own[rows]] - 1]).min())
  sampled = slice(None, None, 1 + len(rows) // 2**12)

  def pairs(least: float) -> int:
    """How many pairs have a bound of at least `least`, about."""
    return int((until(least, sampled) - begins[sampled]).sum()) * (sampled.step)

  found, tried, band, number = None, 0, math.inf, _FIRST
  while band > value:
    if band <= dropped and tried > _PAIRS:
      break
    least = _threshold(pairs, bottom, min(band, top), number)
    if least < dropped < band:
      least = dropped  # Down to here pairs prove something.
    start = until(band)
    for some in _chunks(until(least) - start):
      if time.monotonic() > stop:
        return found, max(dropped, min(band, top))
      counts = until(max(least, np.nextafter(value, np.inf)), some)
      counts = np.maximum(counts - start[some], 0)
      head = np.repeat(rows[some], counts)
      tail = order[_ranges(start[some], counts)]
      tried += len(head)
      better = _better(problem, heads, tails, head, tail, value)
      if better is not None:
        found, value = better
    band, number = least, 16 * number
  return found, max(dropped, band)


def _threshold(pairs, low: float, high: float, number: int) -> float:
  """A bound that about `number` pairs have; minus infinity if all do."""
  if pairs(low) <= number:
    return -math.inf
  for _ in range(30):
    middle = (low + high) / 2
    if pairs(middle) <= number:
      high = middle
    else:
      low = middle
  return high


def _chunks(counts: np.ndarray) -> list[slice]:
  """Consecutive rows of about as many pairs."""
  places = np.cumsum(counts) // _CHUNK
  cuts = np.flatnonzero(np.diff(places)) + 1
  return list(map(slice, [0, *cuts.tolist()], [*cuts.tolist(), len(counts)]))


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """`counts[i]` consecutive numbers from each of `starts`, joined."""
  before = np.cumsum(counts) - counts
  return np.arange(counts.sum()) + np.repeat(starts - before, counts)


def _better(problem: _Problem, heads: _Parts, tails: _Parts, head, tail, value):
  """The best of these pairs above `value` that keeps all limits, or None."""
  score = heads.score[head] + tails.score[tail]
  kept = np.flatnonzero(score > value)
  # A cost with a floor leaves fewest.
  for k in np.argsort(np.isinf(problem.least), kind='stable'):
    cost = heads.costs[k][head[kept]] + tails.costs[k][tail[kept]]
    most = problem.most[k] + problem.slack[k]
    least = problem.least[k] - problem.slack[k]
    kept = kept[(cost <= most) & (cost >= least)]
  for i in kept[np.argsort(-score[kept], kind='stable')]:
    a = _architecture(problem, heads, tails, head[i], tail[i])
    # Again in exact numbers: floats may have let too much through.
    if all(c.exact(a) <= limit for c, limit in problem.limits.items()) and (
      problem.floor is None or problem.floor[0].exact(a) >= problem.floor[1]
    ):
      return a, float(score[i])
  return None


def _architecture(problem, heads, tails, head, tail) -> Architecture:
  index = {}
  for parts, i in ((heads, head), (tails, tail)):
    for place, made_from, option in reversed(parts.trail):
      index[problem.graph[place].name] = int(option[i])
      i = made_from[i]
  return Architecture.from_indices(
    problem.space, [index[name] for name in problem.space.choices]
  )

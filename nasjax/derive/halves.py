"""The best parts of architectures on either side of a cut.

Parts grow from the first and the last choice until they meet. Of either side
only the parts with the best bounds are kept. Of parts that end alike and cost
the same, in whole numbers, only the most probable one is: the other choices
cannot tell them apart.
"""

import math
import time
from typing import NamedTuple

import numpy as np

from nasjax.derive import layers
from nasjax.derive.lagrangian_bound import Bounds


class Parts(NamedTuple):
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


def halves(
  bounds: Bounds, width: int, value: float, stop: float = math.inf
) -> tuple[Parts, Parts] | None:
  """The best parts of both sides; the side with fewer of them grows.

  Args:
    bounds: the graph with its prices.
    width: how many parts of either side are kept.
    value: a part whose bound is no better is left out.
    stop: when to stop, by `time.monotonic`.

  Returns:
    Parts from the start to the cut, and from the cut to the end; None where
    there was no time for them.
  """
  dtype = bounds.graph[0].costs.dtype
  empty = Parts(
    np.zeros(1, np.int64),
    np.zeros((len(bounds.most), 1), dtype),
    np.zeros(1),
    np.zeros(1),
    [],
    -np.inf,
  )
  heads, tails = empty, empty
  first, last = 0, len(bounds.graph)
  while first < last:
    if time.monotonic() > stop:
      return None
    if len(heads.node) <= len(tails.node):
      heads = _grown(bounds, heads, first, width, value, forward=True)
      first += 1
    else:
      last -= 1
      tails = _grown(bounds, tails, last, width, value, forward=False)
  return heads, tails


def _grown(
  bounds: Bounds,
  parts: Parts,
  i: int,
  width: int,
  value: float,
  forward: bool,
) -> Parts:
  """Every part with every edge of one more layer, the best `width` of them."""
  layer = bounds.graph[i]
  near, far = (
    (layer.source, layer.target) if forward else (layer.target, layer.source)
  )
  # Pairs of a part and an edge that meet in a node.
  order = np.argsort(near, kind='stable')
  starts = np.searchsorted(near[order], parts.node, 'left')
  counts = np.searchsorted(near[order], parts.node, 'right') - starts
  part = np.repeat(np.arange(len(counts)), counts)
  edge = order[ranges(starts, counts)]
  place = i + 1 if forward else i
  # What the other side adds at best.
  rest = bounds.after if forward else bounds.before
  least = bounds.least_after if forward else bounds.least_before
  most = bounds.most_after if forward else bounds.most_before
  node = far[edge]
  priced = parts.priced[part] + bounds.priced[i][edge]
  bound = priced + layers.at(rest[place], node) + bounds.corner
  kept = bound > value
  costs = parts.costs[:, part] + layer.costs[:, edge]
  for k, own in enumerate(costs):
    slack = bounds.slack[k]
    low = own + layers.at(least[k][place], node, np.inf)
    kept &= low <= bounds.most[k] + slack
    if bounds.least[k] > -np.inf:
      high = own + layers.at(most[k][place], node)
      kept &= high >= bounds.least[k] - slack
  chosen = np.flatnonzero(kept)
  dropped = parts.dropped
  score = parts.score[part] + layer.score[edge]
  # Of many, equal ones are looked for among a few times as many as are kept.
  chosen, dropped = _cut(chosen, bound, 4 * width, dropped)
  chosen = _distinct(chosen, node, costs, score)
  chosen, dropped = _cut(chosen, bound, width, dropped)
  trail = [*parts.trail, (i, part[chosen], layer.option[edge[chosen]])]
  return Parts(
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
  # Sums of floats depend on their order: equal ones may differ in the end.
  if len(chosen) < 2 or costs.dtype != np.int64:
    return chosen
  keys = [*costs[:, chosen], node[chosen]]
  order = np.lexsort([-score[chosen], *keys])
  new = np.zeros(len(order), bool)
  new[0] = True
  for key in keys:
    new[1:] |= key[order[1:]] != key[order[:-1]]
  return np.sort(chosen[order[new]])


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """`counts[i]` consecutive numbers from each of `starts`, joined."""
  before = np.cumsum(counts) - counts
  return np.arange(counts.sum()) + np.repeat(starts - before, counts)

"""The most probable architecture within limits, by ranking both halves.

Prices of the costs, the multipliers of the linear relaxation, turn every
architecture's log-probability into an upper bound of it that is a sum over its
choices (Lagrangian relaxation; Fisher 1981). The choices are cut in two halves.
Of either the parts with the best bounds are listed, and pairs are tried in the
order of their bounds, until no pair that is left can be better than the best
one that keeps all limits (meet in the middle; Horowitz and Sahni 1974). Where
lists have to be cut, the best bound that was cut off says what is still
possible, and the next lists are longer.

That is exact, and fast where much has to fit a limit to the unit: branch and
bound sees no difference between architectures that miss it narrowly.
"""

import math
import time
from collections.abc import Sequence

import numpy as np

from nasjax.derive.found import NEVER, Found, closed
from nasjax.derive.halves import Parts, halves, ranges
from nasjax.derive.lagrangian_bound import Bounds, relaxed
from nasjax.derive.problem import Index, Problem

WIDTHS = (64, 1024, 16384, 131072)  # Parts of either half that are listed.
_TRIED = 2  # Of these widths, at any time limit.
_PAIRS = 2**22  # Tried beyond what they can prove, in search of any solution.
_FIRST = 2**14  # Pairs of the first band; each later one has 16 times more.
_CHUNK = 2**20  # Pairs at a time.


def best(
  problem: Problem,
  *,
  above: float = -math.inf,
  stop: float = math.inf,
  widths: Sequence[int] = WIDTHS,
) -> Found:
  """Maximises the summed scores within limits.

  Args:
    problem: scores, limits, and what has to be used.
    above: what is no better than this is not looked for.
    stop: when to stop, by `time.monotonic`; the shortest lists are tried all
      the same, and the next longer ones where they hold nothing.
    widths: how many parts of either half are listed, turn by turn.

  Returns:
    The best options that were found, and a bound on all others; without any,
    where `above` is a bound, that one.
  """
  # Less than the best option of each choice: small numbers, rounded little.
  most = float(sum(score.max() for score in problem.scores.values()))
  lower = {axis: score - score.max() for axis, score in problem.scores.items()}
  problem = problem._replace(scores=lower)
  bounds = relaxed(problem)
  if bounds is None:
    return NEVER
  chosen: Index | None = None
  value = above - most
  bound = float(bounds.after[0][0] + bounds.corner)
  for i, width in enumerate(widths):
    if closed(bound, value):
      return Found(chosen, most + value)
    timed = i >= (_TRIED if value == -math.inf else 1)
    until = stop if timed else math.inf
    both = halves(bounds, width, value, until)
    if both is None:
      break
    found, proven = _pair(bounds, *both, value, until)
    if found is not None:
      chosen, value = found, problem.value(found)
    bound = min(bound, max(proven, value))
  return Found(chosen, most + max(bound, value))


def _pair(bounds: Bounds, heads: Parts, tails: Parts, value, stop):
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
  high = heads.priced[rows] + bounds.corner

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
      tail = order[ranges(start[some], counts)]
      tried += len(head)
      better = _better(bounds, heads, tails, head, tail, value)
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


def _better(bounds: Bounds, heads: Parts, tails: Parts, head, tail, value):
  """The best of these pairs above `value` that keeps all limits, or None."""
  score = heads.score[head] + tails.score[tail]
  kept = np.flatnonzero(score > value)
  # A cost with a floor leaves fewest.
  for k in np.argsort(np.isinf(bounds.least), kind='stable'):
    cost = heads.costs[k][head[kept]] + tails.costs[k][tail[kept]]
    most = bounds.most[k] + bounds.slack[k]
    least = bounds.least[k] - bounds.slack[k]
    kept = kept[(cost <= most) & (cost >= least)]
  for i in kept[np.argsort(-score[kept], kind='stable')]:
    index = _index(bounds, heads, tails, head[i], tail[i])
    # Again in exact numbers: floats may have let too much through.
    if bounds.problem.kept(index):
      return index, float(score[i])
  return None


def _index(bounds, heads, tails, head, tail) -> Index:
  """The options of a pair of parts."""
  index = {}
  for parts, i in ((heads, head), (tails, tail)):
    for place, made_from, option in reversed(parts.trail):
      index[bounds.graph[place].name] = int(option[i])
      i = made_from[i]
  return {axis: index[axis] for axis in bounds.problem.scores}

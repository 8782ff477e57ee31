"""The most probable architecture within limits, exactly.

It maximises the sum of its options' log-probabilities, one option per choice.
With limits on additive costs that is a multiple-choice knapsack (Kellerer,
Pferschy and Pisinger 2004, chapter 11). SciPy's HiGHS solves it by branch and
bound; where much of a limit has to be used, and where branch and bound takes
long, `nasjax.derive.ranked` does. Every answer is verified in the costs' own,
exact numbers.
"""

import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from nasjax.derive import integer, ranked, unreachable
from nasjax.derive.found import Found, closed
from nasjax.derive.limits import (
  Limits,
  check_costs,
  check_fill,
  check_reachable,
  cost_at_pattern,
  finite,
  uses,
)
from nasjax.errors import InputError
from nasjax.space import Architecture, Space, at_pattern

SECONDS = 10.0
# Usual cases take less than 100. Counted in nodes, so that every machine turns
# to the other way at the same place.
_NODES = 500
# Branch and bound is slow where more than this share has to be used.
_NARROW = 0.99


class Solution(NamedTuple):
  """An architecture, and what is proven of it.

  Attributes:
    architecture: the most probable one that was found.
    gap: nats by which another one that was asked for may be more probable at
      most; 0 where none is, as it was proven.
    fill_open: whether one that uses `fill` may exist, though none was found in
      time; `architecture` is the most probable one that uses less then.
  """

  architecture: Architecture
  gap: float
  fill_open: bool = False


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


def within(
  space: Space,
  alphas: Mapping[str, jax.Array],
  limits: Limits,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> Architecture:
  """The most probable architecture that keeps every limit.

  It does not depend on the temperature: dividing alphas by one does not change
  which architecture is the most probable.

  Args:
    space: the search space.
    alphas: slot or width to `f32[options]`, finite.
    limits: the largest cost allowed, for any number of costs of `space`; an
      infinite one is none.
    fill: 0 to 1. Where the most probable architecture leaves much of every
      limit unused, the most probable one is returned among those that use at
      least this share of one limit on an additive cost; if there is no such
      one, the most probable of all.
    seconds: time limit. Where it ends the solver, the best architecture that is
      known is returned, which may depend on the machine then; `solution` says
      how far from the most probable one it can be. The usual cases are solved
      in a small part of it, and exactly.

  Returns:
    An architecture; `cost.exact` of it is at most the limit, for every cost.

  Raises:
    InputError: no architecture keeps the limits; the message names the
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
  space: Space,
  alphas: Mapping[str, jax.Array],
  limits: Limits,
  *,
  fill: float = 0.0,
  seconds: float = SECONDS,
) -> Solution:
  """The architecture that `within` returns, and what is proven of it.

  Args:
    space: the search space.
    alphas: slot or width to `f32[options]`, finite.
    limits: the largest cost allowed, for any number of costs of `space`; an
      infinite one is none.
    fill: 0 to 1, the share of one limit that is to be used, as for `within`.
    seconds: time limit; at least 0. The shortest attempt is made at any.

  Returns:
    The architecture and its gap: 0 unless the time limit ended the solver.

  Raises:
    InputError: as `within`.
    ValueError: as `within`.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> macs, alphas = cost.macs(tiny), space.init_alphas(tiny)
    >>> found = solution(tiny, alphas, {macs: 6000}, fill=0.9)
    >>> found.gap, macs.exact(found.architecture) <= 6000
    (0.0, True)
  """
  check_fill(fill)
  _check_seconds(seconds)
  scores = list(scores_of(space, alphas).values())
  check_costs(space, limits)
  check_reachable(limits)
  limits = finite(limits)
  if not scores:
    return Solution(Architecture(space, ()), 0.0)
  floors = [
    (cost, fill * limit)
    for cost, limit in limits.items()
    if cost.reduction == 'sum' and fill > 0
  ]
  end = time.monotonic() + seconds
  stops = _stops(end, (1 + len(floors)) * max(1, len(space.patterns)))
  most = _best(space, scores, limits, None, stops, -math.inf)
  if most.architecture is None:
    if most.bound > -math.inf:
      raise InputError(
        'found no architecture that keeps all limits together in '
        f'{seconds:g} seconds, and no proof that there is none: raise a limit, '
        'leave one out or allow more seconds'
      )
    raise InputError(
      'no architecture keeps all limits together: '
      + unreachable.explanation(space, limits, seconds)
    )
  if uses(most.architecture, limits, fill):
    return Solution(most.architecture, _gap(most, scores))
  best: Architecture | None = None
  value = bound = -math.inf
  for i, floor in enumerate(floors):
    if i and time.monotonic() > end:
      bound = max(bound, most.bound)  # Of the others that is all there is.
      break
    found = _best(space, scores, limits, floor, stops, value)
    bound = max(bound, found.bound)
    if found.architecture is None:
      continue
    own = log_prob(found.architecture, alphas)
    if own > value:
      best, value = found.architecture, own
  if best is None:
    gap, still_open = _gap(most, scores), bound > -math.inf
    return Solution(most.architecture, gap, fill_open=still_open)
  return Solution(best, _gap(Found(best, min(bound, most.bound)), scores))


def _check_seconds(seconds: float) -> None:
  if not seconds >= 0:
    raise ValueError(f'deriving requires at least 0 seconds, got {seconds}.')


def _stops(end: float, solves: int) -> Iterator[float]:
  """When each of so many solves has to stop; what one leaves others have."""
  for left in range(solves, 0, -1):
    now = time.monotonic()
    # Most take next to no time: the first ones may have more than their share.
    yield now + max(0.0, end - now) / min(left, 3)


def _value(scores: Sequence[np.ndarray], architecture: Architecture) -> float:
  pairs = zip(scores, architecture.indices, strict=True)
  return float(sum(score[i] for score, i in pairs))


def _gap(found: Found, scores: Sequence[np.ndarray]) -> float:
  """Nats between what was found and what is possible; 0 within rounding."""
  value = _value(scores, found.architecture)
  return 0.0 if closed(found.bound, value) else float(found.bound - value)


def _best(space, scores, limits, floor, stops, above: float) -> Found:
  """The solution; one solve per pattern, which is stronger than one for all."""
  if not space.patterns:
    return _solved(space, scores, limits, floor, next(stops), above)
  solved, bound = [], -math.inf
  for i, score in enumerate(scores[0]):
    own = {cost_at_pattern(c, i): limit for c, limit in limits.items()}
    least = floor and (cost_at_pattern(floor[0], i), floor[1])
    part, known = at_pattern(space, i), above - score
    found = _solved(part, scores[1:], own, least, next(stops), known)
    bound = max(bound, score + found.bound)
    if found.architecture is not None:
      a = found.architecture
      picked = zip(scores[1:], a.indices, strict=True)
      total = score + sum(s[j] for s, j in picked)
      solved.append((total, (space.patterns[i], *a.choice)))
      above = max(above, total)
  if not solved:
    return Found(None, bound)
  _, choice = max(solved)
  return Found(Architecture(space, choice), bound)


def _solved(space, scores, limits, floor, stop: float, above: float) -> Found:
  """One problem without patterns, by one way after the other.

  Ranking does not look for what is no better than `above`.
  """
  problem = (space, scores, limits, floor)
  branch = functools.partial(integer.best, *problem, stop=stop)
  narrow = floor is not None and floor[1] > _NARROW * limits[floor[0]]
  best, value, bound = None, -math.inf, math.inf
  for way in ('rank', 'branch') if narrow else ('nodes', 'rank', 'branch'):
    if way == 'rank':
      known = max(value, above)
      found = ranked.best(*problem, above=known, stop=stop)
    else:
      found = branch(nodes=_NODES if way == 'nodes' else None)
    if found.architecture is not None:
      own = _value(scores, found.architecture)
      if own > value:
        best, value = found.architecture, own
    bound = max(value, min(bound, found.bound))
    if closed(bound, max(value, above)):
      break
    if way == 'rank' and time.monotonic() > stop:
      break
  return Found(best, bound)

"""Random architectures within limits, uniformly.

Uniform draws from all architectures almost never keep a tight limit. So they
are drawn from the exponential tilt `q(a) ~ exp(-sum_k m_k r_k(a))`, with `r_k`
the cost over its limit, and accepted with the probability that undoes the tilt
(von Neumann 1951): `exp(sum_k m_k (r_k(a) - 1))`, at most 1 where every limit
is kept. The tilt factorises over the tables, so it is drawn exactly, choice by
choice; the multipliers minimise `log sum_a q + sum_k m_k`, which makes
acceptance as frequent as it can be.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from nasjax.cost import Cost, Number
from nasjax.derive.solve import Limits, check_fill, uses, within
from nasjax.errors import InputError
from nasjax.space import Architecture, Space

_BATCH = 4096
_MOST_BATCHES = 500


class _Factor(NamedTuple):
  """Part of a log-weight: an array with one axis for each named choice."""

  axes: tuple[str, ...]
  array: np.ndarray


def sample_within(
  space: Space,
  limits: Limits,
  number: int,
  rng: np.random.Generator,
  *,
  fill: float = 0.0,
  distinct: bool = False,
) -> list[Architecture]:
  """Draws uniformly from the architectures that keep every limit.

  Args:
    space: what is drawn from.
    limits: the largest cost allowed, for any number of costs of `space`.
    number: how many.
    rng: NumPy's generator; it moves on.
    fill: 0 to 1; only those are drawn that use at least this share of one
      limit on an additive cost, if there are any.
    distinct: draw without replacement.

  Raises:
    InputError: no architecture keeps the limits, or too few were found.
    ValueError: `fill` is out of its range.

  Example:
    >>> from nasjax import cost, spaces
    >>> small = spaces.mobile_small()
    >>> macs = cost.macs(small)
    >>> drawn = sample_within(
    ...   small, {macs: 5e5}, 3, np.random.default_rng(0), fill=0.9)
    >>> all(4.5e5 <= macs.exact(a) <= 5e5 for a in drawn)
    True
  """
  check_fill(fill)
  # Says by itself what can be reached, where nothing keeps the limits.
  flat = {name: np.zeros(len(o)) for name, o in space.choices.items()}
  if not uses(within(space, flat, limits, fill=fill), limits, fill):
    fill = 0.0
  found: list[Architecture] = []
  seen: set[tuple[int, ...]] = set()
  draws = itertools.chain.from_iterable(
    itertools.islice(_kept(space, limits, rng, fill), _MOST_BATCHES)
  )
  while len(found) < number and (draw := next(draws, None)) is not None:
    indices = tuple(draw.tolist())
    if distinct and indices in seen:
      continue
    seen.add(indices)
    a = Architecture.from_indices(space, indices)
    # Again in exact numbers: floats may have let too much through.
    kept = all(c.exact(a) <= limit for c, limit in limits.items())
    if kept and uses(a, limits, fill):
      found.append(a)
  if len(found) == number:
    return found
  wanted = ', '.join(
    f'{c.name} <= {limit:.15g} {c.unit}' for c, limit in limits.items()
  )
  filled = f', of one of which {fill:.0%} is used' if fill else ''
  raise InputError(
    f'found {len(found)} of {number} random architectures with {wanted}{filled}'
  )


def _kept(
  space: Space, limits: Limits, rng: np.random.Generator, fill: float
) -> Iterator[np.ndarray]:
  """Batches of uniform draws that keep the limits, `i64[n, choices]`."""
  names = list(space.choices)
  sizes = {name: len(o) for name, o in space.choices.items()}
  additive = {c: v for c, v in limits.items() if c.reduction == 'sum'}
  fixed = [_Factor((name,), np.zeros(n)) for name, n in sizes.items()]
  fixed += [
    _Factor(t.axes, np.where(t.array() > limit, -np.inf, 0.0))
    for cost, limit in limits.items()
    if cost.reduction == 'max'
    for t in cost.tables
    if t.axes
  ]
  # With a floor close below the only limit, draws may have to be tilted up.
  both_ways = fill > 0 and len(additive) == 1
  ratios = [_ratio(cost, limit) for cost, limit in additive.items()]
  tilt = _tilt(fixed, ratios, fill if both_ways else 1.0, both_ways)
  factors = _tilted(fixed, ratios, tilt)
  steps, _ = _eliminate(factors)
  # Where the acceptance is certain: at the limit, or, tilted up, at the floor.
  corner = np.where(tilt < 0, fill, 1.0)
  while True:
    index = _draw(steps, rng, _BATCH)
    values = [_values(c, index) / v for c, v in additive.items()]
    r = np.stack(values) if values else np.zeros((0, _BATCH))
    log_accept = tilt @ (r - corner[:, None])
    kept = np.log(rng.random(_BATCH)) <= log_accept
    kept &= (r <= 1).all(0)
    if both_ways:
      kept &= (r >= fill).all(0)
    columns = [index[name] for name in names]
    yield np.stack(columns, 1)[kept]


def _ratio(cost: Cost, limit: Number) -> list[_Factor]:
  """A cost over its limit, as factors."""
  return [_Factor(t.axes, t.array() / limit) for t in cost.tables]


def _tilted(fixed, ratios, tilt) -> list[_Factor]:
  return fixed + [
    factor._replace(array=-m * factor.array)
    for m, factors in zip(tilt, ratios, strict=True)
    for factor in factors
  ]


def _tilt(fixed, ratios, floor: float, both_ways: bool) -> np.ndarray:
  """The multipliers that accept most, `f64[costs]`."""
  if not ratios:
    return np.zeros(0)

  def rejected(tilt):
    corner = np.where(tilt < 0, floor, 1.0)
    return _eliminate(_tilted(fixed, ratios, tilt))[1] + tilt @ corner

  bounds = [(None if both_ways else 0, None)] * len(ratios)
  start = np.zeros(len(ratios))
  return optimize.minimize(rejected, start, bounds=bounds).x


def _eliminate(
  factors: list[_Factor],
) -> tuple[list[tuple[str, _Factor]], float]:
  """Sums the weights over all architectures, one choice after the other.

  Returns:
    For each choice, in the order of elimination, the joint log-weight of it
    (its last axis) and of the choices that are eliminated later; and the log
    of the sum.
  """
  pending, steps = list(factors), []
  left = list(dict.fromkeys(a for f in pending for a in f.axes))
  while left:
    name = min(left, key=lambda a: _joint_size(pending, a))
    left.remove(name)
    here = [f for f in pending if name in f.axes]
    pending = [f for f in pending if name not in f.axes]
    others = dict.fromkeys(a for f in here for a in f.axes if a != name)
    axes = (*others, name)
    joint = functools.reduce(np.add, [_spread(f, axes) for f in here])
    steps.append((name, _Factor(axes, joint)))
    total = special.logsumexp(joint, axis=-1)
    pending.append(_Factor(axes[:-1], total))
  return steps, float(sum(f.array for f in pending))


def _joint_size(factors, name) -> int:
  sizes = {}
  for f in factors:
    if name in f.axes:
      sizes |= dict(zip(f.axes, f.array.shape, strict=True))
  return int(np.prod(list(sizes.values())))


def _spread(factor: _Factor, axes: tuple[str, ...]) -> np.ndarray:
  """The array, broadcastable over all of `axes`."""
  order = sorted(
    range(len(factor.axes)), key=lambda i: axes.index(factor.axes[i])
  )
  sizes = dict(zip(factor.axes, factor.array.shape, strict=True))
  return factor.array.transpose(order).reshape([sizes.get(a, 1) for a in axes])


def _draw(steps, rng, number: int) -> dict[str, np.ndarray]:
  """Draws choices in the reverse order of their elimination."""
  index: dict[str, np.ndarray] = {}
  for name, (axes, joint) in reversed(steps):
    weights = joint[tuple(index[a] for a in axes[:-1])]  # [number, options]
    noise = rng.gumbel(size=(number, joint.shape[-1]))
    index[name] = (weights + noise).argmax(-1)
  return index


def _values(cost: Cost, index: dict[str, np.ndarray]) -> np.ndarray:
  """The cost of every draw, `[n]`."""
  return sum(t.array()[tuple(index[a] for a in t.axes)] for t in cost.tables)

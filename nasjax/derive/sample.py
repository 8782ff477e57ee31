"""Random architectures within limits, uniformly.

Uniform draws from all architectures almost never satisfy a tight limit. So they
are drawn from the exponential tilt `g(a) = exp(sum_k m_k (b_k - r_k(a)))`, with
`r_k` a cost and `b_k` its limit. `g(a)` is at least 1 where every limit is
satisfied, and rejection with the acceptance probability `1 / g(a)` makes the
draws uniform (von Neumann 1951). The tilt factorises over the tables, so it is
drawn exactly, choice by choice. The multipliers minimise the sum of all `g`,
which maximises the acceptance rate. A limit that no architecture exceeds has no
multiplier.

With `fill`, at least one limit must be used. Each limit then has its own tilt,
which is at least 1 for the architectures that use this limit; its multiplier
may be negative, with the required use as `b_k`. A tilt is chosen in proportion
to its sum, and a draw is accepted with `1 / sum g(a)` over all tilts (Karp and
Luby 1983).
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, special

from nasjax.cost import Cost, Number
from nasjax.cost.elimination import Factor, eliminate
from nasjax.derive.limits import check_fill, finite, uses
from nasjax.derive.problem import Limits
from nasjax.derive.solve import SECONDS, solution
from nasjax.errors import InputError
from nasjax.space import Architecture, Axis, SearchSpace, axes

_BATCH = 4096
_MOST_BATCHES = 500
# A sum of what is at least 1 for each that is wanted: below 1 there is none.
# Less than the logarithm of 1, as it is rounded.
_NONE = -1.0


def sample_within(
  space: SearchSpace,
  limits: Limits,
  number: int,
  rng: np.random.Generator,
  *,
  fill: float = 0.0,
  distinct: bool = False,
  seconds: float = SECONDS,
) -> list[Architecture]:
  """Draws uniformly from the architectures that satisfy every limit.

  Args:
    space: the search space.
    limits: cost of `space` to the largest value allowed, in the cost's unit; an
      infinite limit is ignored.
    number: how many architectures.
    rng: NumPy's generator; its state advances.
    fill: 0 to 1; draws only architectures that use at least this fraction of at
      least one limit on an additive cost. Ignored if no architecture does.
    distinct: draw without replacement.
    seconds: time limit of the solver, which first checks that the limits can be
      satisfied. Draws are limited in number, not in time.

  Returns:
    `number` architectures in the order of the draws.

  Raises:
    InputError: no architecture satisfies the limits, or too few were found in 2
      million draws: too few exist, or they are too rare.
    ValueError: a cost is not of the space, or `fill` or `seconds` is out of its
      range.

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
  # Raises an error that says what can be reached if nothing fits the limits.
  flat = {
    name: np.zeros((*choice.shape, len(choice)))
    for name, choice in space.choices.items()
  }
  known = solution(space, flat, limits, fill=fill, seconds=seconds)
  limits = finite(limits)
  if not uses(known.architecture, limits, fill) and not known.fill_open:
    fill = 0.0
  found: list[Architecture] = []
  seen: set[tuple[int, ...]] = set()
  if space.choices:
    draws = itertools.chain.from_iterable(
      itertools.islice(_kept(space, limits, rng, fill), _MOST_BATCHES)
    )
  else:  # A network, the only one there is.
    draws = itertools.repeat(np.zeros(0, int), number)
  while len(found) < number and (draw := next(draws, None)) is not None:
    indices = tuple(draw.tolist())
    if distinct and indices in seen:
      continue
    seen.add(indices)
    a = Architecture.from_indices(space, indices)
    # Check again in exact numbers, since the tilt is computed in floats.
    kept = all(c.exact(a) <= limit for c, limit in limits.items())
    if kept and uses(a, limits, fill):
      found.append(a)
  if len(found) < number:
    raise InputError(
      f'found {len(found)} of {number} random architectures '
      + _description(limits, fill)
    )
  return found


def _description(limits: Limits, fill: float) -> str:
  """The rest of a sentence on what could not be found."""
  wanted = ', '.join(
    f'{c.name} <= {limit:.15g} {c.unit}' for c, limit in limits.items()
  )
  filled = f', of one of which {fill:.0%} is used' if fill else ''
  advice = 'fewer or a lower fill' if fill else 'fewer'
  draws = _BATCH * _MOST_BATCHES
  return f'with {wanted}{filled} in {draws} draws: ask for {advice}'


class _Scaled(NamedTuple):
  """An additive cost and its limit, as shares of the cost's span.

  Attributes:
    factors: what the cost is the sum of.
    span: in the cost's unit; 1 where it is the same for all architectures.
    low: the smallest cost.
    high: the largest cost.
    floor: what uses enough of the limit.
    ceiling: the limit.
  """

  factors: list[Factor]
  span: float
  low: float
  high: float
  floor: float
  ceiling: float


class _Tilt(NamedTuple):
  """Unnormalised `g(a) = exp(multipliers @ (corner - costs of a))`.

  Attributes:
    multipliers: `f64[costs]`.
    corner: `f64[costs]`; it makes `g` at least 1 where `g` is wanted.
    log_sum: of `g` over all architectures.
    joints: from the elimination of all choices.
  """

  multipliers: np.ndarray
  corner: np.ndarray
  log_sum: float
  joints: list[Factor]


def _kept(
  space: SearchSpace, limits: Limits, rng: np.random.Generator, fill: float
) -> Iterator[np.ndarray]:
  """Batches of uniform draws that keep the limits, `i64[n, choices]`."""
  additive = {c: v for c, v in limits.items() if c.reduction == 'sum'}
  costs = [_scaled(c, v, fill) for c, v in additive.items()]
  spans = np.array([c.span for c in costs])[:, None]
  tilts = _tilts(_allowed(space, limits), costs)
  shares = special.softmax([tilt.log_sum for tilt in tilts])
  while True:
    numbers = rng.multinomial(_BATCH, shares)
    drawn = [
      _draw(t.joints, rng, n) for t, n in zip(tilts, numbers, strict=True)
    ]
    index = {
      axis: np.concatenate([one[axis] for one in drawn])
      for axis in axes(space.choices)
    }
    values = np.array([_values(c, index) for c in additive])
    values = values.reshape(len(additive), _BATCH)
    log_g = [
      t.multipliers @ (t.corner[:, None] - values / spans) for t in tilts
    ]
    kept = np.log(rng.random(_BATCH)) <= -special.logsumexp(log_g, axis=0)
    if additive:
      most = np.array(list(additive.values()))[:, None]
      kept &= (values <= most).all(0) & (values >= fill * most).any(0)
    # Shuffled: in a batch, those of one tilt stand together.
    yield rng.permutation(np.stack(list(index.values()), 1)[kept])


def _allowed(space: SearchSpace, limits: Limits) -> list[Factor]:
  """Log-weights of all choices: 0, or -inf where a maximum is exceeded."""
  every = [
    Factor((axis,), np.zeros(len(o))) for axis, o in axes(space.choices).items()
  ]
  return every + [
    Factor(t.axes, np.where(t.array() > limit, -np.inf, 0.0))
    for cost, limit in limits.items()
    if cost.reduction == 'max'
    for t in cost.tables
    if t.axes
  ]


def _scaled(cost: Cost, limit: Number, fill: float) -> _Scaled:
  low, high = cost.bounds()
  span = high - low or 1
  factors = [Factor(t.axes, t.array() / span) for t in cost.tables]
  return _Scaled(
    factors, span, low / span, high / span, fill * limit / span, limit / span
  )


def _tilts(allowed: list[Factor], costs: Sequence[_Scaled]) -> list[_Tilt]:
  """One for each limit that can be filled; one if nothing has to be."""
  if not costs or any(c.floor <= c.low for c in costs):
    return [_tilt(allowed, costs, None)]
  able = [i for i, c in enumerate(costs) if c.floor <= c.high]
  tilts = [_tilt(allowed, costs, i) for i in able]
  return [tilt for tilt in tilts if tilt.log_sum > _NONE]


def _tilt(
  allowed: list[Factor], costs: Sequence[_Scaled], filled: int | None
) -> _Tilt:
  """The tilt of the smallest sum, which accepts most."""
  floors = np.array([c.floor for c in costs])
  ceilings = np.array([c.ceiling for c in costs])

  def tilted(multipliers):
    corner = np.where(multipliers < 0, floors, ceilings)
    weights = allowed + [
      f._replace(array=-m * f.array)
      for m, c in zip(multipliers, costs, strict=True)
      for f in c.factors
    ]
    log_sum, joints = eliminate(weights, np.add, special.logsumexp)
    log_sum = float(log_sum + multipliers @ corner)
    return _Tilt(multipliers, corner, log_sum, joints)

  # Nothing presses down on what cannot exceed its limit, nor up on what is not
  # to be filled.
  bounds = [
    (-np.inf if i == filled else 0, 0 if c.high <= c.ceiling else np.inf)
    for i, c in enumerate(costs)
  ]
  best = np.zeros(len(costs))
  if any(low < high for low, high in bounds):
    # Any multipliers are right: where the best are infinite, few turns do.
    best = optimize.minimize(
      # Where nothing is wanted, it would fall for ever.
      lambda multipliers: max(tilted(multipliers).log_sum, _NONE),
      best,
      method='L-BFGS-B',
      bounds=bounds,
      options={'maxiter': 50},
    ).x
  return tilted(best)


def _draw(
  joints: Sequence[Factor], rng: np.random.Generator, number: int
) -> dict[Axis, np.ndarray]:
  """Draws choices in the reverse order of their elimination, `i64[number]`."""
  index: dict[Axis, np.ndarray] = {}
  for (*others, axis), joint in reversed(joints):
    weights = joint[tuple(index[a] for a in others)]  # [number, options]
    noise = rng.gumbel(size=(number, joint.shape[-1]))
    index[axis] = (weights + noise).argmax(-1)
  return index


def _values(cost: Cost, index: dict[Axis, np.ndarray]) -> np.ndarray:
  """The cost of every draw, `[n]`."""
  values = (t.array()[tuple(index[a] for a in t.axes)] for t in cost.tables)
  return sum(values, start=np.zeros((), int))

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
from scipy import optimize, sparse

from nasjax.cost import Cost, Number, Table
from nasjax.errors import InputError
from nasjax.space import Architecture, Space, at_pattern

Limits = Mapping[Cost, Number]

_OBJECTIVE = 1e5  # what the largest weight of an objective is scaled to
# The solver cuts off what is within its tolerance, 1e-6, of a limit, even below
# it. So it is given more, and what is over is cut off in exact numbers.
_LOOSENED = 1e-5
_MOST_TURNS = 1000


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
    return _solve(space, scores, limits, floor)
  solved = []
  for i, score in enumerate(scores[0]):
    within = {cost_at_pattern(c, i): limit for c, limit in limits.items()}
    least = floor and (cost_at_pattern(floor[0], i), floor[1])
    a = _solve(at_pattern(space, i), scores[1:], within, least)
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


def _solve(
  space: Space,
  scores: list[np.ndarray],
  limits: Limits,
  floor: tuple[Cost, Number] | None = None,
  objective: Cost | None = None,
) -> Architecture | None:
  """Maximises the summed scores, or minimises a cost; None if infeasible.

  `floor` is a cost with what it has to be at least.

  One binary variable stands for each option of each choice. Where several
  choices meet in one table, a continuous variable stands for each combination;
  its sums over the other axes are the binaries, so that at integers it is their
  product. The solver's limits are loosened beyond its tolerance; every answer
  is checked in the costs' own, exact numbers, and cut off where it is over.

  Raises:
    RuntimeError: the solver gives up, or too much is within its tolerance.
  """
  model = _Model({k: len(v) for k, v in space.choices.items()})
  for cost, limit in limits.items():
    model.limit(cost, limit)
  if floor is not None:
    model.limit(*floor, at_least=True)
  if objective is None:
    # Less a constant of each choice, of which one option is always taken.
    weights = np.concatenate([score.max() - score for score in scores])
  else:
    weights = model.row(objective)
  # The solver stops within an absolute 1e-6 of the optimum: nothing here.
  largest = np.abs(weights).max()
  weights = weights * (_OBJECTIVE / largest if largest > 0 else 1.0)
  for _ in range(_MOST_TURNS):
    result = optimize.milp(
      np.pad(weights, (0, model.size - len(weights))),
      constraints=model.constraints(),
      integrality=np.arange(model.size) < model.binaries,
      bounds=optimize.Bounds(0, model.upper()),
      options={'mip_rel_gap': 0},
    )
    if result.status == 2:  # infeasible
      return None
    if result.x is None:
      raise RuntimeError(f'the solver gave up: {result.message}')
    found = Architecture.from_indices(space, model.indices(result.x))
    over = [c for c, limit in limits.items() if c.exact(found) > limit]
    under = floor is not None and floor[0].exact(found) < floor[1]
    if not over and not under:
      return found
    for cost in over:
      model.cut(cost, found)
    if under:
      model.cut(floor[0], found, at_least=True)
  raise RuntimeError(
    f'the solver gave up: {_MOST_TURNS} architectures in a row miss a limit by '
    'less than its tolerance'
  )


class _Model:
  """The constraints of a mixed-integer program over a space's choices."""

  def __init__(self, sizes: Mapping[str, int]):
    starts = np.cumsum([0, *sizes.values()])
    self.columns = {
      (name,): np.arange(start, start + size)
      for (name, size), start in zip(sizes.items(), starts, strict=False)
    }
    self.binaries = self.size = int(starts[-1])
    self._rows: list[tuple[np.ndarray, np.ndarray, float, float]] = []
    self._closed: list[int] = []
    for places in list(self.columns.values()):
      self._add(places, np.ones(len(places)), 1, 1)

  def _add(self, places, values, low, high) -> None:
    self._rows.append((np.ravel(places), np.ravel(values), low, high))

  def _columns_of(self, table: Table) -> np.ndarray:
    """The variables of every combination in a table, in row-major order."""
    if table.axes not in self.columns:
      new = np.arange(self.size, self.size + len(table.values))
      self.size += len(new)
      grid = new.reshape(table.shape)
      for place, axis in enumerate(table.axes):
        for i, single in enumerate(self.columns[axis,]):
          joint = grid.take(i, place).ravel()
          values = np.append(np.ones(len(joint)), -1)
          self._add(np.append(joint, single), values, 0, 0)
      self.columns[table.axes] = new
    return self.columns[table.axes]

  def row(self, cost: Cost) -> np.ndarray:
    """An additive cost's coefficients, its constant part left out."""
    tables = [table for table in cost.tables if table.axes]
    places = [self._columns_of(table) for table in tables]
    row = np.zeros(self.size)
    for table, place in zip(tables, places, strict=True):
      np.add.at(row, place, np.asarray(table.values, float))
    return row

  def limit(self, cost: Cost, limit: float, at_least: bool = False) -> None:
    if cost.reduction == 'max':
      # What alone is too much can stand in no answer, and nothing else can.
      for table in cost.tables:
        if table.axes:
          over = np.asarray(table.values) > limit
          self._closed.extend(self._columns_of(table)[over])
      return
    if not at_least and limit >= cost.bounds()[1]:
      return  # As good as none.
    row, slack = self.row(cost), limit - cost.constant
    # Scaled, so that the solver's tolerance is relative to the slack.
    scale = max(abs(slack), 1e-4 * np.abs(row).max()) or 1.0
    places = np.flatnonzero(row)
    low, high = slack / scale - _LOOSENED, slack / scale + _LOOSENED
    bounds = (low, np.inf) if at_least else (-np.inf, high)
    self._add(places, row[places] / scale, *bounds)

  def cut(
    self, cost: Cost, found: Architecture, at_least: bool = False
  ) -> None:
    """Cuts off what misses a limit, with all that is no better in any table.

    In at least one table the number has to be a better one (a cover
    inequality), which whatever keeps the limit satisfies.
    """
    index = dict(zip(found.space.choices, found.indices, strict=True))
    tables = [table for table in cost.tables if table.axes]
    places = [np.zeros(0, int)]
    for table in tables:
      values, own = np.asarray(table.values), table.at(index)
      no_better = values <= own if at_least else values >= own
      places.append(self._columns_of(table)[no_better])
    joined = np.concatenate(places)
    self._add(joined, np.ones(len(joined)), -np.inf, len(tables) - 1)

  def constraints(self) -> optimize.LinearConstraint:
    places, values, low, high = zip(*self._rows, strict=True)
    rows = np.repeat(np.arange(len(places)), [len(p) for p in places])
    matrix = sparse.csr_array(
      (np.concatenate(values), (rows, np.concatenate(places))),
      shape=(len(places), self.size),
    )
    return optimize.LinearConstraint(matrix, low, high)

  def upper(self) -> np.ndarray:
    upper = np.ones(self.size)
    upper[self._closed] = 0
    return upper

  def indices(self, x: np.ndarray) -> list[int]:
    return [
      int(x[c].argmax()) for axes, c in self.columns.items() if len(axes) == 1
    ]


def _smallest_given(space, limits, cost) -> str:
  """What `cost` can be brought down to while the other limits are kept."""
  others = {c: limit for c, limit in limits.items() if c is not cost}
  if cost.reduction == 'max':
    # The smallest of its values at which something is still feasible.
    low, _ = cost.bounds()
    levels = sorted({v for t in cost.tables for v in t.values if v >= low})

    def feasible(level):
      return _solve(space, _flat(space), {**others, cost: level}) is not None

    place = bisect.bisect_left(levels, True, key=feasible)
    smallest = levels[place] if place < len(levels) else None
  else:
    found = _solve(space, _flat(space), others, objective=cost)
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

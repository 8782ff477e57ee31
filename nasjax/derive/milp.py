"""The choices of a space as a mixed-integer program.

A multiple-choice knapsack (Kellerer, Pferschy and Pisinger 2004, chapter 11),
solved by branch and bound in SciPy's HiGHS.
"""

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import optimize, sparse

from nasjax.cost import Cost, Table
from nasjax.derive.found import NEVER, Found
from nasjax.derive.problem import Index, Problem
from nasjax.space import Axis

_OBJECTIVE = 1e5  # what the largest weight of an objective is scaled to
# The solver cuts off what is within its tolerance, 1e-6, of a limit, even below
# it. So it is given more, and what is over is cut off in exact numbers.
_LOOSENED = 1e-5
_MOST_TURNS = 1000


def best(
  problem: Problem,
  objective: Cost | None = None,
  *,
  stop: float = math.inf,
  nodes: int | None = None,
) -> Found:
  """Maximises the summed scores, or minimises a cost.

  One binary variable stands for each option of each choice. Where several
  choices meet in one table, a continuous variable stands for each combination;
  its sums over the other axes are the binaries, so that at integers it is their
  product. The solver's limits are loosened beyond its tolerance; every answer
  is checked in the costs' own, exact numbers, and cut off where it is over.

  Args:
    problem: scores, limits, and what has to be used.
    objective: an additive cost, to be minimised instead of the scores.
    stop: when to stop, by `time.monotonic`.
    nodes: after how many nodes of branch and bound to stop; None: never.

  Returns:
    The best options and their score; or, stopped before, the best ones that
    are known, if there are any, and a bound on all. Of an objective there is no
    bound: it is infinite then.

  Raises:
    RuntimeError: too much is within the solver's tolerance.
  """
  scores, limits, floor = problem
  model = _Model({axis: len(score) for axis, score in scores.items()})
  for cost, limit in limits.items():
    model.limit(cost, limit)
  if floor is not None:
    model.limit(*floor, at_least=True)
  if objective is None:
    # Less a constant of each choice, of which one option is always taken.
    weights = np.concatenate([s.max() - s for s in scores.values()])
  else:
    weights = model.row(objective)
  # The solver stops within an absolute 1e-6 of the optimum: nothing here.
  largest = np.abs(weights).max()
  scale = _OBJECTIVE / largest if largest > 0 else 1.0
  most = float(sum(score.max() for score in scores.values()))
  options: dict[str, float] = {'mip_rel_gap': 0}
  if nodes is not None:
    options['node_limit'] = nodes
  for _ in range(_MOST_TURNS):
    if stop < math.inf:
      options['time_limit'] = max(0.0, stop - time.monotonic())
    result = _interruptible(
      np.pad(weights * scale, (0, model.size - len(weights))),
      constraints=model.constraints(),
      integrality=np.arange(model.size) < model.binaries,
      bounds=optimize.Bounds(0, model.upper()),
      options=options,
    )
    if result.status == 2:  # infeasible
      return NEVER
    found, over, under = None, [], False
    if result.x is not None:
      found = model.index(result.x)
      over = [c for c, limit in limits.items() if c.at(found) > limit]
      under = floor is not None and floor[0].at(found) < floor[1]
    if result.status != 0 or found is None:  # stopped
      if over or under:
        found = None
      if objective is not None:
        return Found(found, math.inf)
      lost = max(0.0, result.mip_dual_bound or 0.0)
      return Found(found, most - lost / scale)
    if not over and not under:
      return Found(found, problem.value(found))
    for cost in over:
      model.cut(cost, found)
    if floor is not None and under:
      model.cut(floor[0], found, at_least=True)
  raise RuntimeError(
    f'the solver gave up: {_MOST_TURNS} architectures in a row miss a limit by '
    'less than its tolerance'
  )


def _interruptible(*args: Any, **kwargs: Any) -> optimize.OptimizeResult:
  """Calls `scipy.optimize.milp` so that Ctrl-C ends the wait for it.

  The solver runs compiled code that sees no signal, but it releases the
  interpreter: so a thread calls it, and this one waits.
  """
  outcome: list[Any] = []

  def call() -> None:
    try:
      outcome.append(optimize.milp(*args, **kwargs))
    except BaseException as e:  # Raised again where it is waited for.
      outcome.append(e)

  # A daemon, so that a process can end before its solver does.
  thread = threading.Thread(target=call, daemon=True)
  thread.start()
  thread.join()
  (result,) = outcome
  if isinstance(result, BaseException):
    raise result
  return result


class _Model:
  """The constraints of a mixed-integer program over single choices."""

  def __init__(self, sizes: Mapping[Axis, int]):
    starts = np.cumsum([0, *sizes.values()])
    self.columns: dict[tuple[Axis, ...], np.ndarray] = {
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

  def cut(self, cost: Cost, index: Index, at_least: bool = False) -> None:
    """Cuts off what misses a limit, with all that is no better in any table.

    In at least one table the number has to be a better one (a cover
    inequality), which whatever keeps the limit satisfies.
    """
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

  def index(self, x: np.ndarray) -> Index:
    return {
      axes[0]: int(x[c].argmax())
      for axes, c in self.columns.items()
      if len(axes) == 1
    }

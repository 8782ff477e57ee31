"""Tables of what every network of a space is worth: NAS-Bench-Macro's.

`LICENSE.nasbench_macro` beside this file says where the numbers come from.
"""

import csv
import functools
import gzip
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from nasjax import cost, spaces
from nasjax.errors import InputError
from nasjax.space import Architecture, SearchSpace, axes

PATH = pathlib.Path(__file__).parent / 'nasbench_macro.csv.gz'
DEVELOPMENT = 0.2, 0.4, 0.6, 0.8  # Quantiles of MACs, on which to choose.
HELD_OUT = 0.1, 0.3, 0.5, 0.7, 0.9  # Quantiles of MACs that are quoted.
RESOURCES = 'macs', 'params'


class Truth(NamedTuple):
  """A table of accuracies; a row for each network of a space.

  Attributes:
    space: the space.
    indices: `i8[networks, choices]`, the option of every single choice.
    tests: `f64[networks, seeds]`, accuracies in percent, one of each seed.
    costs: resource to `i64[networks]`, or `f64[networks]` if it was measured.
  """

  space: SearchSpace
  indices: np.ndarray
  tests: np.ndarray
  costs: dict[str, np.ndarray]

  @property
  def accuracy(self) -> np.ndarray:
    """`f64[networks]`: the mean over the seeds, in percent."""
    return self.tests.mean(1)

  @property
  def one_hot(self) -> np.ndarray:
    """`f32[networks, choices, options]`."""
    (options,) = {*_sizes(self.space)}
    return np.eye(options, dtype=np.float32)[self.indices]

  def row(self, architecture: Architecture) -> int:
    """The row of a network."""
    return self.rows(np.array([architecture.indices]))[0]

  def rows(self, indices: np.ndarray) -> np.ndarray:
    """The rows of networks, by the option of every choice."""
    return np.ravel_multi_index(tuple(indices.T), _sizes(self.space))

  def architecture(self, row: int) -> Architecture:
    return Architecture.from_indices(self.space, self.indices[row])

  def quantile(self, q: float, resource: str = 'macs') -> float:
    """A limit that the share `q` of all networks keeps."""
    return float(np.quantile(self.costs[resource], q))

  def keeping(
    self, limits: Mapping[str, float], fill: float = 0.0
  ) -> np.ndarray:
    """Rows within all limits that use `fill` of one; resource to limit."""
    within = np.ones(len(self.indices), bool)
    used = np.zeros(len(self.indices), bool)
    for name, limit in limits.items():
      within &= self.costs[name] <= limit
      used |= self.costs[name] >= fill * limit
    return np.flatnonzero(within & used)

  def best(self, limits: Mapping[str, float]) -> float:
    """The best accuracy within limits, in percent."""
    return float(self.accuracy[self.keeping(limits)].max())

  def regret(self, row: int, limits: Mapping[str, float]) -> float:
    """The best accuracy within limits less that of a network, in points.

    Raises:
      ValueError: the network exceeds a limit.
    """
    for name, limit in limits.items():
      if self.costs[name][row] > limit:
        raise ValueError(
          f'network {row} has {self.costs[name][row]} {name}; the limit is '
          f'{limit}.'
        )
    return self.best(limits) - float(self.accuracy[row])

  def chosen(self, rows: Sequence[int]) -> int:
    """Of finalists, the one with the best first test."""
    return int(rows[int(np.argmax(self.tests[list(rows), 0]))])


@functools.cache
def load() -> Truth:
  """Reads the table.

  Raises:
    InputError: the table does not match the space.
  """
  space = spaces.nasbench_macro()
  with gzip.open(PATH, 'rt', newline='') as file:
    rows = list(csv.DictReader(file))
  return read(space, rows)


def read(
  space: SearchSpace,
  rows: Sequence[Mapping[str, str]],
  *,
  named: str = 'arch',
  tests: Sequence[str] = ('test1', 'test2', 'test3'),
  measured: Sequence[str] = (),
) -> Truth:
  """Makes a table of rows, and compares its costs to the space's.

  Args:
    space: the space.
    rows: of every network, in lexicographic order of its digits: a digit for
      each single choice, accuracies, `macs` and `params`.
    named: the column of the digits.
    tests: columns of accuracies, in percent.
    measured: columns of further costs, which nothing is compared to.

  Raises:
    InputError: the first row that does not match the space.
  """
  sizes = _sizes(space)
  expected = np.indices(sizes).reshape(len(sizes), -1).T
  if len(rows) != len(expected):
    raise InputError(
      f'the table has {len(rows)} rows; {space.name} has {len(expected)} '
      'networks'
    )
  for i, (row, digits) in enumerate(zip(rows, expected, strict=True)):
    name = ''.join(map(str, digits))
    if row[named] != name:
      raise InputError(
        f'row {i + 1} of the table is {row[named]!r}; it must be {name!r}'
      )
  costs = {
    name: np.array([int(row[name]) for row in rows]) for name in RESOURCES
  }
  for name in RESOURCES:
    counted = exact_costs(getattr(cost, name)(space), expected)
    differ = np.flatnonzero(counted != costs[name])
    if len(differ):
      i = int(differ[0])
      raise InputError(
        f'row {i + 1} of the table, {rows[i][named]!r}, has '
        f'{costs[name][i]} {name}; its network of {space.name} has '
        f'{counted[i]}'
      )
  costs |= {n: np.array([float(row[n]) for row in rows]) for n in measured}
  accuracies = np.array([[float(row[t]) for t in tests] for row in rows])
  return Truth(space, expected.astype(np.int8), accuracies, costs)


def exact_costs(own: cost.Cost, indices: np.ndarray) -> np.ndarray:
  """The exact cost of many networks, `i64[networks]`, from the cost's tables.

  Args:
    own: an additive cost with whole numbers.
    indices: `int[networks, choices]`, the option of every single choice.
  """
  places = {axis: i for i, axis in enumerate(axes(own.space.choices))}
  total = np.zeros(len(indices), np.int64)
  for part in own.tables:
    at = tuple(indices[:, places[axis]] for axis in part.axes)
    total += part.array()[at]
  return total


def _sizes(space: SearchSpace) -> list[int]:
  """The number of options of every single choice."""
  return [len(options) for options in axes(space.choices).values()]

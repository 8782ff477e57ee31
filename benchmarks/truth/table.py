"""NAS-Bench-Macro's table: what every network of the space is worth.

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
from nasjax.space import Architecture, SearchSpace

PATH = pathlib.Path(__file__).parent / 'nasbench_macro.csv.gz'
DEVELOPMENT = 0.2, 0.4, 0.6, 0.8  # Quantiles of MACs, on which to choose.
HELD_OUT = 0.1, 0.3, 0.5, 0.7, 0.9  # Quantiles of MACs that are quoted.
RESOURCES = 'macs', 'params'


class Truth(NamedTuple):
  """A table of accuracies; a row for each network of a space.

  Attributes:
    space: the space.
    indices: `i8[networks, choices]`, the option of every choice.
    tests: `f64[networks, 3]`, test accuracies in percent, one of each seed.
    costs: resource to `i64[networks]`.
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
    sizes = {len(c) for c in self.space.choices.values()}
    (options,) = sizes
    return np.eye(options, dtype=np.float32)[self.indices]

  def row(self, architecture: Architecture) -> int:
    """The row of a network."""
    return self.rows(np.array([architecture.indices]))[0]

  def rows(self, indices: np.ndarray) -> np.ndarray:
    """The rows of networks, by the option of every choice."""
    sizes = [len(c) for c in self.space.choices.values()]
    return np.ravel_multi_index(tuple(indices.T), sizes)

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


def read(space: SearchSpace, rows: Sequence[Mapping[str, str]]) -> Truth:
  """Makes a table of rows, and compares its costs to the space's.

  Args:
    space: the space.
    rows: of every network, in lexicographic order of its digits: `arch`, a
      digit for each choice, `test1` to `test3`, `macs` and `params`.

  Raises:
    InputError: the first row that does not match the space.
  """
  sizes = [len(c) for c in space.choices.values()]
  expected = np.indices(sizes).reshape(len(sizes), -1).T
  if len(rows) != len(expected):
    raise InputError(
      f'the table has {len(rows)} rows; {space.name} has {len(expected)} '
      'networks'
    )
  for i, (row, digits) in enumerate(zip(rows, expected, strict=True)):
    named = ''.join(map(str, digits))
    if row['arch'] != named:
      raise InputError(
        f'row {i + 1} of the table is {row["arch"]!r}; it must be {named!r}'
      )
  costs = {
    name: np.array([int(row[name]) for row in rows]) for name in RESOURCES
  }
  tests = [[float(row[f'test{i}']) for i in (1, 2, 3)] for row in rows]
  truth = Truth(space, expected.astype(np.int8), np.array(tests), costs)
  for name in RESOURCES:
    counted = _counted(truth, name)
    differ = np.flatnonzero(counted != costs[name])
    if len(differ):
      i = int(differ[0])
      raise InputError(
        f'row {i + 1} of the table, {rows[i]["arch"]!r}, has '
        f'{costs[name][i]} {name}; its network of {space.name} has '
        f'{counted[i]}'
      )
  return truth


def _counted(truth: Truth, name: str) -> np.ndarray:
  """The exact cost of every network."""
  exact = getattr(cost, name)(truth.space).exact
  return np.array(
    [exact(truth.architecture(i)) for i in range(len(truth.indices))]
  )

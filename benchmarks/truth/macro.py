"""Where to downsample and widen: finalists judged by a table.

  python -m benchmarks.truth.macro

prints regrets of eight look-ups in TransNAS-Bench-101's macro space: 3,256
networks of 4 to 6 modules, each of two ResNet blocks, that may double the
channels or halve the resolution. No supernet ranks them here: their order is
random. So what differs is which networks are trained after the first ones.
`LICENSE.trans_nas_bench_macro` says where the numbers come from.
"""

import csv
import functools
import gzip
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from absl import app

from benchmarks.truth import table
from benchmarks.truth.given import CHANGES, FILL, FINALISTS, TOGETHER
from nasjax import cost
from nasjax.errors import InputError
from nasjax.ops import Basic, Classifier, Conv
from nasjax.space import Slot, Space

PATH = pathlib.Path(__file__).parent / 'trans_nas_macro.csv.gz'
TASKS = 'class_object', 'class_scene', 'jigsaw', 'segmentsemantic'
SEEDS = 100


def network(digits: str) -> Space:
  """A network of the space, as its convolutions are counted.

  Args:
    digits: of each module, 1: plain, 2: twice the channels, 3: half of the
      resolution, 4: both.

  Example:
    >>> macs = cost.macs(network('1114'))
    >>> macs.constant
    2438471552
  """
  features = 64
  slots = [
    Slot('stem_1', (Conv(3, 'relu'),), 32, 2),
    Slot('stem_2', (Conv(3, 'identity'),), 64, 2),
  ]
  for i, digit in enumerate(digits, 1):
    features *= 2 if digit in '24' else 1
    stride = 2 if digit in '34' else 1
    slots.append(Slot(f'module_{i}_1', (Basic(),), features, stride))
    slots.append(Slot(f'module_{i}_2', (Basic(),), features))
  slots.append(Slot('classifier', (Classifier(),), 63))
  return Space(f'trans_nas_{digits}', 256, 3, tuple(slots))


class Truth(NamedTuple):
  """The table.

  Attributes:
    digits: of every network.
    scores: name of a task to `f64[networks]`, in percent.
    macs: `i64[networks]`.
    params: `i64[networks]`.
  """

  digits: tuple[str, ...]
  scores: dict[str, np.ndarray]
  macs: np.ndarray
  params: np.ndarray

  @property
  def modules(self) -> np.ndarray:
    """Number of modules of every network, `i64[networks]`."""
    return np.array([len(d) for d in self.digits])

  def band(self, limit: float) -> np.ndarray:
    """The networks that use at least `FILL` of a limit on MACs."""
    return np.flatnonzero((self.macs <= limit) & (self.macs >= FILL * limit))

  def changes(self, row: int, rows: Sequence[int]) -> np.ndarray:
    """In how many modules networks differ; many, if in their number."""
    own = self.digits[row]
    return np.array(
      [
        sum(a != b for a, b in zip(own, self.digits[i], strict=True))
        if len(self.digits[i]) == len(own)
        else 99
        for i in rows
      ]
    )


@functools.cache
def load() -> Truth:
  """Reads the table."""
  with gzip.open(PATH, 'rt', newline='') as file:
    rows = list(csv.DictReader(file))
  return Truth(
    tuple(row['arch'] for row in rows),
    {task: np.array([float(row[task]) for row in rows]) for task in TASKS},
    np.array([int(row['macs']) for row in rows]),
    np.array([int(row['params']) for row in rows]),
  )


def check(truth: Truth, rows: Sequence[int]) -> None:
  """Compares costs of the table to those of the networks.

  Raises:
    InputError: the first row that does not match.
  """
  for row in rows:
    own = network(truth.digits[row])
    for name, measure in (('macs', cost.macs), ('params', cost.params)):
      counted = measure(own).constant
      kept = int(getattr(truth, name)[row])
      if counted != kept:
        raise InputError(
          f'row {row + 1} of the table, {truth.digits[row]!r}, has {kept} '
          f'{name}; its network has {counted}'
        )


def at_random(order: list[int], score: np.ndarray) -> list[int]:
  """The first eight."""
  del score
  return order[:FINALISTS]


def near_the_best(order: list[int], score: np.ndarray) -> list[int]:
  """The first two, then by twos the next near the best so far."""
  return _followed(order[:TOGETHER], order, score)


def stratified(order: list[int], score: np.ndarray) -> list[int]:
  """The first of each number of modules, then by twos near the best.

  So does `nasjax.run.finalists` where a choice cannot be mixed.
  """
  modules = load().modules
  first = {modules[row]: row for row in reversed(order)}
  return _followed(sorted(first.values(), key=order.index), order, score)


def _followed(
  found: list[int], order: list[int], score: np.ndarray
) -> list[int]:
  truth, found = load(), list(found)
  while len(found) < min(FINALISTS, len(order)):
    best = found[int(np.argmax(score[found]))]
    rest = [row for row in order if row not in found]
    far = truth.changes(best, rest) > CHANGES
    # Stable: in each group the order stays.
    following = [rest[i] for i in np.argsort(far, kind='stable')]
    found += following[: min(TOGETHER, FINALISTS - len(found))]
  return found


WAYS: dict[str, Callable[[list[int], np.ndarray], list[int]]] = {
  'random': at_random,
  'near the best': near_the_best,
  'stratified, then near the best': stratified,
}


def regrets(way: str, task: str, quantiles: Sequence[float]) -> np.ndarray:
  """Regret of the best of eight look-ups, `f64[seeds]`, mean over limits."""
  truth = load()
  score, found = truth.scores[task], []
  for q in quantiles:
    limit = float(np.quantile(truth.macs, q))
    best = score[truth.macs <= limit].max()
    for seed in range(SEEDS):
      rng = np.random.default_rng(seed)
      order = rng.permutation(truth.band(limit)).tolist()
      looked_up = WAYS[way](order, score)
      found.append(best - score[looked_up].max())
  return np.reshape(found, (len(quantiles), SEEDS)).mean(0)


def report(quantiles: Sequence[float] = table.HELD_OUT) -> str:
  """A Markdown table: mean regret in points, and its standard error."""
  lines = [f'| way | {" | ".join(TASKS)} |', '|---|' + '---:|' * len(TASKS)]
  for way in WAYS:
    cells = []
    for task in TASKS:
      own = regrets(way, task, quantiles)
      error = own.std(ddof=1) / len(own) ** 0.5
      cells.append(f'{own.mean():.2f} ± {error:.2f}')
    lines.append(f'| {way} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def main(argv: Sequence[str]) -> None:
  del argv
  print(report())


if __name__ == '__main__':
  app.run(main)

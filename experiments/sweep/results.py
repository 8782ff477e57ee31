"""The trainings of a sweep as rows: by network, in groups, and the best."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nasjax.report import intervals
from nasjax.report.intervals import Interval

from .networks import (
  ARGMAX,
  CONTROL,
  HANDMADE,
  RANDOM,
  SEARCHED,
  ZOO,
  Entry,
  Plan,
)
from .plan import Level, Training

GROUPS = (SEARCHED, ARGMAX, CONTROL, RANDOM)  # Their unit is a network.
STALLED = 2  # Times what guessing has, up to which a training learnt nothing.
Results = Mapping[Training, Mapping[str, Any]]


class Scored(NamedTuple):
  """A network in its role, with what its trainings gave.

  Attributes:
    entry: which.
    tests: test accuracy of each training.
    valids: accuracy on the validation images.
    macs: of the network.
    params: of the network.
  """

  entry: Entry
  tests: tuple[float, ...]
  valids: tuple[float, ...]
  macs: int
  params: int

  @property
  def test(self) -> float:
    return statistics.fmean(self.tests)

  @property
  def valid(self) -> float:
    return statistics.fmean(self.valids)

  @property
  def stalled(self) -> int:
    """How many of its trainings learnt nothing."""
    most = STALLED / self.entry.network.num_classes
    return sum(test <= most for test in self.tests)


def scored(plan: Plan, results: Results) -> list[Scored]:
  """Every entry of a plan of which all is trained."""
  by_folder: dict[str, list] = {}
  for one, result in results.items():
    by_folder.setdefault(one.folder, []).append(result)
  return [
    Scored(
      entry,
      tuple(r['test_accuracy'] for r in by_folder[entry.folder]),
      tuple(r['valid_accuracy'] for r in by_folder[entry.folder]),
      by_folder[entry.folder][0]['macs'],
      by_folder[entry.folder][0]['params'],
    )
    for entry in plan.entries
  ]


class Group(NamedTuple):
  """Networks of one row of the table.

  Attributes:
    level: where.
    kind: of an entry.
    label: what the row is called.
    scored: one for each network; several searches may have found it.
    interval: of the mean over networks or, of a single one, over its trainings
      with pooled noise.
    chosen: whether it is the best of its kind on the validation images.
    searches: how many found them; 0 where none did.
  """

  level: Level
  kind: str
  label: str
  scored: tuple[Scored, ...]
  interval: Interval
  chosen: bool = False
  searches: int = 0


def groups(levels: Sequence[Level], found: Sequence[Scored]) -> list[Group]:
  """Searched, argmax, control and random each as one; others one by one."""
  noises = noises_of(found)
  rows = []
  for level in levels:
    own = [s for s in found if s.entry.level == level]
    for kind in GROUPS:
      every = of_kind(own, kind)
      if every:
        each = distinct(every)
        mean = intervals.mean_interval(s.test for s in each)
        by = 0 if kind == RANDOM else len(every)
        rows.append(Group(level, kind, kind, each, mean, searches=by))
    for kind in (HANDMADE, ZOO):
      best = best_of(own, kind)
      for s in own:
        if s.entry.kind == kind:
          rows.append(_single(s, noises[kind == ZOO], s == best))
  return rows


def budgets(levels: Sequence[Level], found: Iterable[float]) -> list[float]:
  """What figures draw as limits: nothing where strengths are prices."""
  return [] if levels[0].limit is None else sorted(set(found))


def drawn(found: Sequence[Group]) -> list[Group]:
  """Without single networks of which a training learnt nothing.

  They would make all others look alike. Where there are no others, all.
  """
  own = [g for g in found if g.kind in GROUPS or not g.scored[0].stalled]
  return own or list(found)


def noises_of(found: Sequence[Scored]) -> dict[bool, intervals.Noise]:
  """Between trainings of one network: of published ones (True), and of others.

  Networks of the space are much alike; published ones are deeper, and may
  differ more from training to training. A network of which a training learnt
  nothing says nothing of those that learn: it is left out where there are such.
  """
  noises = {}
  for published in (False, True):
    own = [s for s in found if (s.entry.kind == ZOO) == published]
    learnt = [s for s in own if not s.stalled]
    by_folder = {s.entry.folder: s.tests for s in learnt or own}
    noises[published] = intervals.pooled(by_folder.values())
  return noises


def _single(one: Scored, noise: intervals.Noise, chosen: bool) -> Group:
  n = len(one.tests)
  half, label = noise.half(n), label_of(one.entry)
  if 0 < one.stalled < n:
    half = math.nan  # The noise is not of such.
  interval = Interval(one.test, one.test - half, one.test + half, n)
  return Group(one.entry.level, one.entry.kind, label, (one,), interval, chosen)


def label_of(entry: Entry) -> str:
  """Name of an entry, without its level."""
  return entry.name.removesuffix(f'_{entry.level.name}')


def distinct(found) -> tuple[Scored, ...]:
  """Of entries that are the same network the first."""
  by_folder: dict[str, Scored] = {}
  for one in found:
    by_folder.setdefault(one.entry.folder, one)
  return tuple(by_folder.values())


def best_of(found: Sequence[Scored], kind: str) -> Scored | None:
  """The best of a kind on the validation images; of equal ones the first."""
  own = [s for s in found if s.entry.kind == kind]
  return max(own, key=lambda s: s.valid, default=None)


def of_kind(found: Sequence[Scored], kind: str) -> list[Scored]:
  """The networks of a kind."""
  return [s for s in found if s.entry.kind == kind]


def csv_rows(
  plan: Plan, results: Results, inherited: Mapping[str, float]
) -> list[dict[str, Any]]:
  """A row for each training of each entry."""
  rows = []
  for entry in plan.entries:
    for one, result in results.items():
      if one.folder != entry.folder:
        continue
      rows.append(
        {
          'name': entry.name,
          'kind': entry.kind,
          'level': entry.level.name,
          'budget': entry.budget,
          'search': entry.member,
          'trained_as': entry.folder,
          'network': result['network'],
          'seed': one.seed,
          'macs': result['macs'],
          'params': result['params'],
          'valid_accuracy': result['valid_accuracy'],
          'test_accuracy': result['test_accuracy'],
          'supernet_accuracy': inherited.get(entry.folder),
        }
      )
  return rows

"""What the trainings of a sweep came to: groups, choices, differences."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from nasjax.report import intervals
from nasjax.report.intervals import Difference, Interval

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
FEWEST = 3  # Searches of which something is claimed.
STALLED = 2  # Times what guessing has, up to which a training learnt nothing.
_OTHERS = {
  RANDOM: 'random ones',
  ARGMAX: 'the plain argmax',
  CONTROL: 'finalists of alphas that learnt nothing (control)',
}
# In a sentence, and what there is one of for each.
_WHOSE = {
  SEARCHED: ('searched networks', 'searches'),
  CONTROL: ('networks of the control', 'controls'),
}
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
      every = _of(own, kind)
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
  half, label = noise.half(n), _label(one.entry)
  if 0 < one.stalled < n:
    half = math.nan  # The noise is not of such.
  interval = Interval(one.test, one.test - half, one.test + half, n)
  return Group(one.entry.level, one.entry.kind, label, (one,), interval, chosen)


def _label(entry: Entry) -> str:
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


class Comparison(NamedTuple):
  """Networks of a level against others.

  Attributes:
    level: where.
    label: of the others, as in a sentence.
    difference: these less others, in accuracies of 0 to 1.
    macs: means of these and of the others.
    kind: of these, what was searched or the control.
  """

  level: Level
  label: str
  difference: Difference
  macs: tuple[float, float]
  kind: str = SEARCHED

  @property
  def claim(self) -> int:
    """1 or -1 where searched networks are better or worse, else 0.

    Of fewer than three searches, or controls, nothing is claimed: two that
    happen to be alike have an interval that is too narrow.
    """
    return self.difference.sign if self.difference.n[0] >= FEWEST else 0


def comparisons(
  levels: Sequence[Level], found: Sequence[Scored]
) -> list[Comparison]:
  """Of each level: against random, argmax, control, the best of other kinds.

  The control is compared with random ones as well: that is what trying several
  gives.

  The unit of what was searched is the search, of random ones the architecture:
  trainings are averaged first. Networks that several searches found count once.
  Of a single network the unit is the training, with pooled noise. The best
  random one is what one gets without a search, by training all of them and
  choosing as for the others.
  """
  rows, noises = [], noises_of(found)
  for level in levels:
    own = [s for s in found if s.entry.level == level]
    searched = distinct(_of(own, SEARCHED))
    if not searched:
      continue
    for kind, label in _OTHERS.items():
      others = distinct(_of(own, kind))
      if others:
        rows.append(_means(level, label, searched, others))
    control, random = (distinct(_of(own, kind)) for kind in (CONTROL, RANDOM))
    if control and random:
      one = _means(level, _OTHERS[RANDOM], control, random)
      rows.append(one._replace(kind=CONTROL))
    for kind in (ZOO, HANDMADE, RANDOM):
      best = best_of(own, kind)
      if best is not None and (kind != RANDOM or len(_of(own, kind)) > 1):
        label = f'{_label(best.entry)} (best {kind})'
        noise = noises[kind == ZOO]
        tests = [s.test for s in searched]
        difference = intervals.welch(tests, best.tests, noise=noise)
        macs = _mean_macs(searched), float(best.macs)
        rows.append(Comparison(level, label, difference, macs))
  return rows


def _means(level, label, these, others) -> Comparison:
  """Of two groups, whose unit is a network."""
  difference = intervals.welch(
    [s.test for s in these], [s.test for s in others]
  )
  macs = _mean_macs(these), _mean_macs(others)
  return Comparison(level, label, difference, macs)


def _mean_macs(found: Sequence[Scored]) -> float:
  return statistics.fmean(s.macs for s in found)


def _of(found: Sequence[Scored], kind: str) -> list[Scored]:
  return [s for s in found if s.entry.kind == kind]


def verdict(one: Comparison) -> str:
  """What a comparison shows, in words; never more than its interval."""
  d, (whose, each) = one.difference, _WHOSE[one.kind]
  seen = f'{100 * d.mean:+.2f} points'
  if math.isnan(d.low):
    return (
      f'{one.level.name}: no statement on {whose} against {one.label}: {seen}, '
      f'and no interval (n = {d.n[0]} and {d.n[1]}).'
    )
  numbers = (
    f'{seen}, 95 % interval {100 * d.low:+.2f} to {100 * d.high:+.2f}; '
    f'{100 * d.mean / d.base:+.2f} % of {100 * d.base:.2f} %; n = {d.n[0]} and '
    f'{d.n[1]}; {one.macs[0]:,.0f} and {one.macs[1]:,.0f} MACs'
  )
  if d.n[0] < FEWEST:
    return (
      f'{one.level.name}: no statement on {whose} against {one.label}: '
      f'{d.n[0]} {each} are too few for one ({numbers}).'
    )
  if not d.sign:
    return (
      f'{one.level.name}: **no difference is shown** between {whose} and '
      f'{one.label} ({numbers}).'
    )
  word = 'better' if d.sign > 0 else 'worse'
  return (
    f'{one.level.name}: {whose} are **{word}** than {one.label} ({numbers}).'
  )


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

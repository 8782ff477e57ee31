"""Searched networks against others: differences, and what they show."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from nasjax.report import intervals
from nasjax.report.intervals import Difference

from .networks import ARGMAX, CONTROL, HANDMADE, RANDOM, SEARCHED, ZOO
from .plan import Level
from .results import Scored, best_of, distinct, label_of, noises_of, of_kind

FEWEST = 3  # Searches of which something is claimed.
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
    searched = distinct(of_kind(own, SEARCHED))
    if not searched:
      continue
    for kind, label in _OTHERS.items():
      others = distinct(of_kind(own, kind))
      if others:
        rows.append(_means(level, label, searched, others))
    control, random = (
      distinct(of_kind(own, kind)) for kind in (CONTROL, RANDOM)
    )
    if control and random:
      one = _means(level, _OTHERS[RANDOM], control, random)
      rows.append(one._replace(kind=CONTROL))
    for kind in (ZOO, HANDMADE, RANDOM):
      best = best_of(own, kind)
      if best is not None and (kind != RANDOM or len(of_kind(own, kind)) > 1):
        label = f'{label_of(best.entry)} (best {kind})'
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

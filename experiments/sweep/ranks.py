"""How a supernet ranks networks of the space, beside how training does."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nasjax.report import intervals
from nasjax.report.intervals import Correlation

from . import results
from .networks import ARGMAX, HANDMADE, RANDOM

# Kind, accuracy with a supernet's weights, test accuracy after training.
Pair = tuple[str, float, float]


class Ranks(NamedTuple):
  """Networks of the space by a supernet and by training.

  Attributes:
    member: the search whose supernet it is.
    pairs: of networks within one limit.
    correlation: of the ranks.
    unchosen: the same of random and hand-made networks alone.
  """

  member: str
  pairs: list[Pair]
  correlation: Correlation
  unchosen: Correlation


def of(
  found: Sequence[results.Scored], inherited: Mapping[str, float], member: str
) -> Ranks:
  """Compares networks of the middle level.

  The plain argmax may cost more than the others, and a network that costs more
  is better by any weights. So it is left out.

  Args:
    found: all networks in their roles.
    inherited: by folder, the accuracy with the supernet's weights, 0 to 1.
    member: the search whose supernet it is.
  """
  pairs = [
    (s.entry.kind, inherited[s.entry.folder], s.test)
    for s in results.distinct(found)
    if s.entry.folder in inherited
    and s.entry.level.middle
    and s.entry.kind != ARGMAX
  ]
  unchosen = [p for p in pairs if p[0] in (RANDOM, HANDMADE)]
  return Ranks(member, pairs, _correlation(pairs), _correlation(unchosen))


def _correlation(pairs: Sequence[Pair]) -> Correlation:
  return intervals.spearman([p[1] for p in pairs], [p[2] for p in pairs])

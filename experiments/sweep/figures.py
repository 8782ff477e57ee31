"""The figures of a sweep's page."""

import pathlib
from collections.abc import Sequence

from nasjax import report
from nasjax.report import gallery
from nasjax.report import sweep as figures

from . import comparisons as comparisons_lib
from . import networks, results, sweep_flags
from .networks import HANDMADE, SEARCHED
from .plan import Level
from .ranks import Ranks
from .results import Group, Scored

_MOST_PICTURES = 24
# Whichever of them a sweep has, each has the same mark in its figures.
_PUBLISHED = tuple(
  f'{name}_{pixels}px'
  for name in sweep_flags.ZOO.split(',')
  for pixels in networks.LAST_MAPS
)


def draw(
  folder: pathlib.Path,
  resource: str,
  levels: Sequence[Level],
  found: Sequence[Scored],
  ranks: Ranks,
) -> None:
  """Draws every figure that `page.blocks` names.

  Args:
    folder: where the PNG files go.
    resource: that is limited, `'macs'` or `'params'`.
    levels: of the sweep.
    found: all networks in their roles.
    ranks: of supernet and training.
  """
  groups = results.groups(levels, found)
  limits = results.budgets(levels, (s.entry.budget for s in found))
  for x in ('macs', 'params'):
    report.accuracy_figure(
      folder / f'{x}.png',
      [_mark(group, x) for group in results.drawn(groups)],
      x=x,
      limits=limits if x == resource else (),
      known=_PUBLISHED,
    )
  comparisons = comparisons_lib.comparisons(levels, found)
  if comparisons:
    report.differences_figure(
      folder / 'differences.png',
      [
        (f'{c.level.name}: {c.label}', c.difference, bool(c.claim))
        for c in comparisons
        if c.kind == SEARCHED
      ],
    )
  if ranks.pairs:
    report.ranks_figure(folder / 'ranks.png', ranks.pairs, ranks.correlation)
  report.gallery_figure(folder / 'architectures.png', _pictures(found))


def _mark(group: Group, x: str) -> figures.Mark:
  """A group as the figures take it."""
  each = [(getattr(s, x), s.test) for s in group.scored]
  return figures.Mark(
    group.kind,
    group.label,
    sum(p[0] for p in each) / len(each),
    group.interval.mean,
    group.interval.low,
    group.interval.high,
    each if group.kind in results.GROUPS else (),
    group.chosen,
  )


def _pictures(found: Sequence[Scored]) -> list[gallery.Picture]:
  """Of the searched networks, and of the hand-made ones beside them."""
  kinds = SEARCHED, HANDMADE
  shown = results.distinct(s for s in found if s.entry.kind in kinds)
  # Where there is not room for all, the searched ones come first.
  shown = sorted(shown, key=lambda s: kinds.index(s.entry.kind))
  return [
    gallery.Picture(
      s.entry.network,
      s.entry.name,
      f'test {100 * s.test:.2f} %, n = {len(s.tests)}',
    )
    for s in shown[:_MOST_PICTURES]
  ]

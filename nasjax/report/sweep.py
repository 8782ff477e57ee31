"""Figures of a sweep: groups of networks with what may be chance."""

import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from nasjax.printable import printable
from nasjax.report import canvas
from nasjax.report.comparison import draw_limits, scale
from nasjax.report.intervals import Correlation, Difference
from nasjax.report.table import UNITS

_COLOURS = {
  'searched': (canvas.BLUE, 'o'),
  'argmax': (canvas.SKY, 'P'),
  'control': (canvas.PURPLE, 'v'),
  'random': (canvas.GREY, 'X'),
  'hand-made': (canvas.GREEN, '^'),
  'zoo': (canvas.VERMILION, 's'),
}
# In points, of what has the same budget; published ones use some part of it.
_BESIDE = {'control': -16, 'random': -8, 'hand-made': 8}
# Marks of one kind whose labels differ: those of matplotlib that are told apart
# when small. The last but one are stars of four and of eight points.
_Marker = str | tuple[int, Literal[0, 1, 2], int]
_MORE: tuple[_Marker, ...] = (*'sDv^<>*dpPX', (4, 1, 0), (8, 1, 0), 'o')
_SLIM = '*', (4, 1, 0), (8, 1, 0)  # They need more room for as much ink.


class Mark(NamedTuple):
  """A network, or the mean of a group of them.

  Attributes:
    kind: what colour it has.
    label: what the legend says; marks of one label look alike.
    x: of the resource.
    mean: accuracy, 0 to 1.
    low: lower end of its interval; nan draws none.
    high: upper end of its interval; nan draws none.
    members: `(x, accuracy)` of those that it is the mean of.
    chosen: whether it is pointed out.
  """

  kind: str
  label: str
  x: float
  mean: float
  low: float = math.nan
  high: float = math.nan
  members: Sequence[tuple[float, float]] = ()
  chosen: bool = False


def accuracy_figure(
  path: str | pathlib.Path,
  marks: Sequence[Mark],
  *,
  x: str = 'macs',
  limits: Sequence[float] = (),
  known: Sequence[str] = (),
) -> pathlib.Path:
  """Draws test accuracy against a resource, with intervals.

  Args:
    path: of the PNG file.
    marks: at least one; a line joins those of the searched, in this order.
    x: the resource.
    limits: of it, which are drawn.
    known: labels that have the same markers in every figure, if there are more
      than one of their kind.

  Returns:
    The path, written whole.

  Example:
    >>> import tempfile
    >>> marks = [Mark('searched', 'searched', 1e6, 0.9, 0.89, 0.91)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = accuracy_figure(f'{folder}/a.png', marks, limits=[1.2e6])
    ...   path.name, path.stat().st_size > 1000
    ('a.png', True)
  """
  return canvas.save(_accuracy(marks, x, limits, known), path)


def _accuracy(
  marks: Sequence[Mark],
  x: str,
  limits: Sequence[float],
  known: Sequence[str] = (),
) -> Figure:
  figure = canvas.new(9.5, 5.6, layout='constrained')
  axes = figure.subplots()
  canvas.plain(axes)
  styles = _styles(marks, known)
  for mark in marks:
    colour, marker = styles[mark.label]
    # What has the same budget stands beside each other, not on each other.
    place = axes.transData
    if limits:
      shift = _BESIDE.get(mark.kind, 0) / 72
      place += ScaledTranslation(shift, 0, figure.dpi_scale_trans)
    if mark.members:
      axes.scatter(
        [p[0] for p in mark.members],
        [100 * p[1] for p in mark.members],
        s=13,
        color=colour,
        alpha=0.45,
        linewidths=0,
        zorder=2,
        transform=place,
      )
    if not math.isnan(mark.low):
      ends = [100 * mark.low, 100 * mark.high]
      style = {'color': colour, 'linewidth': 1.6, 'alpha': 0.75}
      axes.plot([mark.x] * 2, ends, transform=place, **style)
    edge = canvas.INK if mark.chosen else 'white'
    axes.scatter(
      [mark.x],
      [100 * mark.mean],
      s=(78 if mark.members else 52) * (2 if marker in _SLIM else 1),
      color=colour,
      marker=marker,
      edgecolors=edge,
      linewidths=1.4 if mark.chosen else 0.8,
      zorder=4 if mark.kind == 'searched' else 3,
      transform=place,
    )
  _joined(axes, marks, styles)
  draw_limits(axes, sorted(limits))
  everywhere = [m.x for m in marks]
  everywhere += [p[0] for m in marks for p in m.members]
  scale(axes, [*everywhere, *limits])
  _height(axes, marks)
  unit = UNITS.get(x, x)
  axes.set_xlabel(unit, fontsize=10)
  axes.set_ylabel('test accuracy (%)', fontsize=10)
  axes.set_title(
    f'Test accuracy against {unit}, with 95 % intervals',
    fontsize=11,
    loc='left',
    pad=30 if limits else 8,
  )
  axes.legend(
    handles=_legend(marks, styles),
    loc='center left',
    bbox_to_anchor=(1.01, 0.5),
    frameon=False,
    fontsize=9.5,
  )
  return figure


def _styles(
  marks: Sequence[Mark], known: Sequence[str] = ()
) -> dict[str, tuple[str, _Marker]]:
  """Colour and marker of each label: the first of a kind has the kind's."""
  found: dict[str, tuple[str, _Marker]] = {}
  for kind in dict.fromkeys([*_COLOURS, *(m.kind for m in marks)]):
    colour, first = _COLOURS.get(kind, (canvas.PURPLE, 'o'))
    own = dict.fromkeys(m.label for m in marks if m.kind == kind)
    labels = dict.fromkeys([*known, *own]) if own.keys() & set(known) else own
    others = itertools.cycle(c for c in _MORE if c != first)
    markers = itertools.chain([first], others)
    each = dict(zip(labels, markers, strict=False))
    found |= {label: (colour, each[label]) for label in own}
  return found


def _joined(axes: Axes, marks: Sequence[Mark], styles) -> None:
  """A line through the searched, from limit to limit, whatever x is."""
  own = [(m.x, 100 * m.mean) for m in marks if m.kind == 'searched']
  if len(own) > 1:
    colour = _COLOURS['searched'][0]
    axes.plot(*zip(*own, strict=True), color=colour, alpha=0.35, linewidth=1.2)


def _height(axes: Axes, marks: Sequence[Mark]) -> None:
  """As high as the networks are apart, however long their intervals."""
  seen = [m.mean for m in marks] + [p[1] for m in marks for p in m.members]
  low, high = 100 * min(seen), 100 * max(seen)
  room = 0.25 * (high - low) or 1.0
  axes.set_ylim(low - room, high + room)


def _legend(marks: Sequence[Mark], styles) -> list[Line2D]:
  handles = []
  for label, (colour, marker) in styles.items():
    style = {'color': colour, 'marker': marker, 'markersize': 7}
    handles.append(Line2D([], [], linestyle='', label=label, **style))
  if any(m.chosen for m in marks):
    style = {'marker': 's', 'color': 'white', 'markeredgecolor': canvas.INK}
    label = 'best of its kind\non validation images'
    handles.append(Line2D([], [], linestyle='', label=label, **style))
  if any(m.members for m in marks):
    style = {'marker': '.', 'color': canvas.GREY, 'alpha': 0.6}
    handles.append(Line2D([], [], linestyle='', label='one network', **style))
  return handles


def differences_figure(
  path: str | pathlib.Path, found: Sequence[tuple[str, Difference, bool]]
) -> pathlib.Path:
  """Draws differences of accuracy with their intervals, a row for each.

  Args:
    path: of the PNG file.
    found: what is compared, what came out, in accuracies of 0 to 1, and whether
      it is told to be one: then it is blue.

  Returns:
    The path, written whole.

  Example:
    >>> import tempfile
    >>> from nasjax.report.intervals import welch
    >>> found = welch([0.91, 0.92, 0.93], [0.89, 0.90, 0.91])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   rows = [('searched less random', found, bool(found.sign))]
    ...   path = differences_figure(f'{folder}/d.png', rows)
    ...   path.name, path.stat().st_size > 1000
    ('d.png', True)
  """
  return canvas.save(_differences(found), path)


def _differences(found: Sequence[tuple[str, Difference, bool]]) -> Figure:
  figure = canvas.new(9.5, 1.3 + 0.36 * len(found), layout='constrained')
  axes = figure.subplots()
  canvas.plain(axes)
  axes.grid(visible=False, axis='y')
  axes.grid(axis='x', color='#E8E8E8', linewidth=0.7)
  axes.axvline(0, color=canvas.INK, linewidth=1)
  for y, (_, one, told) in enumerate(found):
    colour = canvas.BLUE if told else canvas.GREY
    bare = math.isnan(one.low)
    if not bare:
      axes.plot([100 * one.low, 100 * one.high], [y, y], color=colour, lw=2)
    face = 'white' if bare else colour
    axes.plot([100 * one.mean], [y], 'o', color=colour, markerfacecolor=face)
    axes.annotate(
      _numbers(one),
      (1.01, y),
      xycoords=('axes fraction', 'data'),
      va='center',
      fontsize=9,
      color=canvas.INK,
    )
  names = [printable(row[0]) for row in found]
  axes.set_yticks(range(len(found)), names, fontsize=9.5)
  axes.set_ylim(len(found) - 0.4, -0.6)
  means = [abs(d.mean) for _, d, _ in found]
  ends = [abs(e) for _, d, _ in found for e in (d.low, d.high) if e == e]
  # A single wide interval leaves the picture, and the others to be seen.
  reach = 110 * min(max([*ends, *means]), max(3 * max(means), 0.01))
  axes.set_xlim(-reach, reach)
  axes.set_xlabel('points of test accuracy', fontsize=10)
  axes.set_title(
    'Searched networks less others, with 95 % intervals (blue: a difference)',
    fontsize=11,
    loc='left',
  )
  return figure


def _numbers(one: Difference) -> str:
  text = f'{100 * one.mean:+.2f}'
  if math.isnan(one.low):
    return f'{text}, no interval (n = {one.n[0]}, {one.n[1]})'
  return (
    f'{text} [{100 * one.low:+.2f}, {100 * one.high:+.2f}] '
    f'(n = {one.n[0]}, {one.n[1]})'
  )


def ranks_figure(
  path: str | pathlib.Path,
  found: Sequence[tuple[str, float, float]],
  correlation: Correlation,
) -> pathlib.Path:
  """Draws accuracy after training against that with a supernet's weights.

  Args:
    path: of the PNG file.
    found: kind, accuracy of the supernet's part, accuracy after training.
    correlation: of the ranks.

  Returns:
    The path, written whole.

  Example:
    >>> import tempfile
    >>> from nasjax.report.intervals import spearman
    >>> shared, trained = [0.5, 0.6, 0.7, 0.8], [0.90, 0.91, 0.93, 0.92]
    >>> rows = [('random', *pair) for pair in zip(shared, trained)]
    >>> rho = spearman(shared, trained)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = ranks_figure(f'{folder}/r.png', rows, rho)
    ...   path.name, path.stat().st_size > 1000
    ('r.png', True)
  """
  return canvas.save(_ranks(found, correlation), path)


def _ranks(
  found: Sequence[tuple[str, float, float]], correlation: Correlation
) -> Figure:
  figure = canvas.new(7.5, 5, layout='constrained')
  axes = figure.subplots()
  canvas.plain(axes)
  axes.grid(axis='x', color='#E8E8E8', linewidth=0.7)
  for kind in dict.fromkeys(kind for kind, _, _ in found):
    colour, marker = _COLOURS.get(kind, (canvas.PURPLE, 'o'))
    own = [(100 * a, 100 * b) for k, a, b in found if k == kind]
    style = {'color': colour, 'marker': marker, 's': 46, 'linewidths': 0}
    axes.scatter(*zip(*own, strict=True), label=kind, alpha=0.85, **style)
  axes.set_xlabel(
    "with the supernet's weights: accuracy (%) on images of the alphas",
    fontsize=10,
  )
  axes.set_ylabel('after training: test accuracy (%)', fontsize=10)
  rho = 'none' if math.isnan(correlation.rho) else f'{correlation.rho:.2f}'
  axes.set_title(
    f'Rank correlation {rho} over {correlation.n} networks',
    fontsize=11,
    loc='left',
  )
  axes.legend(frameon=False, fontsize=9.5, loc='best')
  axes.margins(0.08)
  return figure

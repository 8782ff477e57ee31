"""Networks against each other: accuracy over a resource, with budgets."""

import pathlib
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter

from nasjax.printable import printable
from nasjax.report import canvas
from nasjax.report.numbers import si, spread
from nasjax.report.table import UNITS, Row

_STYLES = {
  'searched': (canvas.BLUE, 'o'),
  'random': (canvas.GREY, 'x'),
  'MobileNetV2': (canvas.VERMILION, 's'),
  'control': (canvas.INK, '+'),
}
_OTHERS = (
  (canvas.GREEN, '^'),
  (canvas.PURPLE, 'D'),
  (canvas.ORANGE, 'v'),
  (canvas.SKY, 'P'),
)


def comparison_figure(
  path: str | pathlib.Path,
  rows: Sequence[Row],
  *,
  x: str = 'macs',
  limited: str = 'macs',
  title: str | None = None,
) -> pathlib.Path:
  """Draws test accuracy against a resource, a mark and colour per kind.

  Args:
    path: of the PNG file.
    rows: as `comparison_table` takes them; without accuracy they are left out.
    x: the resource, `macs` or `params`; its axis is logarithmic where values
      differ by more than a factor of 3.
    limited: what the limits are of; they are drawn where that is `x`.
    title: above the figure; None says what is seen.

  Returns:
    The path, written whole.

  Example:
    >>> import tempfile
    >>> row = {'name': 'a', 'kind': 'searched', 'macs': 1500, 'params': 20}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = comparison_figure(
    ...     f'{folder}/c.png', [{**row, 'limit': 2000, 'test_accuracy': 0.9}])
    ...   path.name, path.stat().st_size > 1000
    ('c.png', True)
  """
  figure = _comparison(rows, x=x, limited=limited, title=title)
  return canvas.save(figure, path)


def _comparison(
  rows: Sequence[Row], *, x: str, limited: str, title: str | None
) -> Figure:
  figure = canvas.new(8, 5.2, layout='constrained')
  axes = figure.subplots()
  canvas.plain(axes)
  rows = [row for row in rows if row.get('test_accuracy') is not None]
  unit = UNITS.get(x, x)
  _marks(axes, rows, x)
  limits = {row['limit'] for row in rows if row.get('limit') is not None}
  limits = sorted(limits) if x == limited else []
  draw_limits(axes, limits)
  scale(axes, [*(row[x] for row in rows), *limits])
  axes.set_xlabel(unit, fontsize=10)
  axes.set_ylabel('test accuracy (%)', fontsize=10)
  axes.set_title(
    title or f'Test accuracy against {unit}',
    fontsize=11,
    loc='left',
    pad=30 if limits else 6,
  )
  if rows:
    axes.legend(
      loc='center left', bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=10
    )
  else:
    axes.text(
      0.5,
      0.5,
      'no network has been tested',
      transform=axes.transAxes,
      ha='center',
    )
    axes.set(xticks=[], yticks=[])
  axes.margins(0.1, 0.12)
  _label(figure, axes, rows, x)
  return figure


def _marks(axes: Axes, rows: Sequence[Row], x: str) -> None:
  """A mark per network; the searched ones also have a line."""
  others = iter(_OTHERS * len(rows))
  for kind in dict.fromkeys(row['kind'] for row in rows):
    colour, marker = _STYLES.get(kind) or next(others)
    own = [row for row in rows if row['kind'] == kind]
    if kind == 'searched':
      steps = _means(own, x)
      repeated = len(steps[0]) < len(own)
      label = 'mean of searched' if repeated else None
      axes.plot(*steps, color=colour, alpha=0.6, label=label)
    axes.scatter(
      [row[x] for row in own],
      [100 * row['test_accuracy'] for row in own],
      color=colour,
      marker=marker,
      s=46,
      linewidths=1.6,
      label=kind.replace('_', ' '),
      zorder=3,
    )


def draw_limits(axes: Axes, limits: Sequence[float]) -> None:
  """A line at each limit, which is named above the axes."""
  for limit in limits:
    axes.axvline(limit, color=canvas.FAINT, linewidth=1, zorder=1)
    axes.annotate(
      f'budget\n{si(limit)}',
      (limit, 1),
      xycoords=('data', 'axes fraction'),
      xytext=(0, 2),
      textcoords='offset points',
      ha='center',
      va='bottom',
      fontsize=8.5,
      color=canvas.GREY,
    )


def _means(rows: Sequence[Row], x: str) -> tuple[list[float], list[float]]:
  """Where the line goes: through the mean of each budget."""
  groups: dict[Any, list[Row]] = {}
  for row in rows:
    key = row['name'] if row.get('limit') is None else row['limit']
    groups.setdefault(key, []).append(row)
  points = sorted(
    (
      spread(row[x] for row in group).mean,
      100 * spread(row['test_accuracy'] for row in group).mean,
    )
    for group in groups.values()
  )
  return [p[0] for p in points], [p[1] for p in points]


def scale(axes: Axes, values: Sequence[float]) -> None:
  """Scales the horizontal axis for some values, and names them shortly.

  Its ends are set, as marks that are moved aside are not seen by matplotlib's
  own choice of them.
  """
  low, high = min(values, default=0), max(values, default=0)
  if low > 0 and high > 3 * low:
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    room = (high / low) ** 0.06
    axes.set_xlim(low / room, high * room)
  else:
    room = max(0.06 * (high - low), 0.05 * (abs(high) or 1.0))
    axes.set_xlim(low - room, high + room)
  canvas.in_si(axes.xaxis)


def _label(figure: Figure, axes: Axes, rows: Sequence[Row], x: str) -> None:
  """Names the networks that stand alone in their kind and budget.

  Of the places around a mark the first is taken where the name covers no mark
  and no other name. Repeats are told by their mark alone.
  """
  canvas.literal(figure)
  figure.draw_without_rendering()
  renderer = canvas.renderer(figure)
  groups: dict[Any, list[Row]] = {}
  for row in rows:
    key = row['kind'], row.get('limit')
    groups.setdefault(key, []).append(row)
  place = lambda row: (row[x], 100 * row['test_accuracy'])  # noqa: E731
  marks = [axes.transData.transform(place(row)) for row in rows]
  taken = []
  for group in groups.values():
    if len(group) > 1 and group[0].get('limit') is not None:
      continue
    for row in group:
      for dx, dy, ha, va in _PLACES:
        text = axes.annotate(
          printable(row['name']),
          place(row),
          xytext=(dx, dy),
          textcoords='offset points',
          ha=ha,
          va=va,
          fontsize=8.5,
          color=canvas.INK,
          parse_math=False,
          arrowprops=_leader(ha, va) if max(abs(dx), abs(dy)) > 10 else None,
          bbox={'color': 'white', 'alpha': 0.75, 'pad': 0.5},
        )
        # An annotation's own extent would take in its leader.
        text.update_positions(renderer)
        box = Text.get_window_extent(text, renderer)
        inside = axes.bbox.count_contains([box.min, box.max]) == 2
        free = not any(box.padded(8).contains(*mark) for mark in marks)
        if inside and free and not any(box.overlaps(b) for b in taken):
          break
        text.remove()
      else:
        continue
      taken.append(box)


def _leader(ha: str, va: str) -> dict[str, Any]:
  """A thin line from the side of a name that faces its mark."""
  side = {'left': 0, 'bottom': 0, 'center': 0.5, 'right': 1, 'top': 1}
  return {
    'arrowstyle': '-',
    'color': canvas.GREY,
    'relpos': (side[ha], side[va]),
    'shrinkB': 4,
  }


# Offset in points and alignment of a name; the far ones get a leader.
_PLACES = (
  (0, 7, 'center', 'bottom'),
  (0, -7, 'center', 'top'),
  (8, 0, 'left', 'center'),
  (-8, 0, 'right', 'center'),
  (6, 6, 'left', 'bottom'),
  (6, -6, 'left', 'top'),
  (-6, 6, 'right', 'bottom'),
  (-6, -6, 'right', 'top'),
  (0, 20, 'center', 'bottom'),
  (0, -20, 'center', 'top'),
  (16, -16, 'left', 'top'),
  (-16, 16, 'right', 'bottom'),
)

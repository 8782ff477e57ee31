"""Networks of one space side by side."""

import math
import pathlib
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from nasjax.ops import MBConv, Op
from nasjax.report import canvas
from nasjax.report.architecture import Block, blocks, is_neutral
from nasjax.report.numbers import si
from nasjax.space import Space

# In inches.
_COLUMN, _ROW, _NAMES, _TOP, _BOX, _GAP = 1.68, 0.27, 0.95, 0.85, 0.62, 0.3
_ACROSS = 6
_NEUTRAL = '#8C8C8C'


class Picture(NamedTuple):
  """A network and what stands above it.

  Attributes:
    network: one op in every slot.
    title: a line or two.
    below: a line in grey, as its accuracy.
  """

  network: Space
  title: str
  below: str = ''


def gallery_figure(
  path: str | pathlib.Path, pictures: Sequence[Picture]
) -> pathlib.Path:
  """Draws networks as columns, a row per slot; boxes are as wide as features.

  Args:
    path: of the PNG file.
    pictures: at least one; of the same slots.

  Returns:
    The path, written whole.

  Example:
    >>> import tempfile
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> network = tiny.fix(space.argmax(tiny, space.init_alphas(tiny)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = gallery_figure(f'{folder}/g.png', [Picture(network, 'tiny')])
    ...   path.name, path.stat().st_size > 1000
    ('g.png', True)
  """
  return canvas.save(_gallery(pictures), path)


def _gallery(pictures: Sequence[Picture]) -> Figure:
  each = [blocks(p.network) for p in pictures]
  across = min(_ACROSS, len(pictures))
  down = math.ceil(len(pictures) / across)
  rows = max(map(len, each))
  tall = _TOP + _ROW * rows + _GAP
  size = _NAMES + _COLUMN * across + 0.1, tall * down + 0.1
  figure = canvas.new(*size)
  axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))
  axes.set_axis_off()
  ops = [b.slot.ops[0] for found in each for b in found]
  colours = canvas.colours(op for op in ops if not is_neutral(op))
  widest = max(b.slot.fixed_features for found in each for b in found[:-1])
  for i, (picture, found) in enumerate(zip(pictures, each, strict=True)):
    top = 0.1 + tall * (i // across)
    left = _NAMES + _COLUMN * (i % across)
    if i % across == 0:
      _slots(axes, found, top + _TOP)
    _head(axes, picture, found, left, top)
    _column(axes, picture.network, found, left, top + _TOP, widest, colours)
  return figure


def _slots(axes: Axes, found: Sequence[Block], top: float) -> None:
  for i, block in enumerate(found):
    _write(axes, 0.1, top + _ROW * (i + 0.5), block.slot.name, canvas.GREY)


def _head(axes: Axes, picture: Picture, found, left: float, top: float) -> None:
  macs, params = sum(b.macs for b in found), sum(b.params for b in found)
  words = picture.title.replace('_', ' ')
  lines = textwrap.wrap(words, 21, max_lines=2, placeholder=' ...')
  for i, line in enumerate(reversed(lines)):
    _write(axes, left, top + 0.3 - 0.17 * i, line, canvas.INK, size=9.5)
  numbers = f'{si(macs)} MACs, {si(params)} params'
  _write(axes, left, top + 0.5, numbers, canvas.GREY, size=7.5)
  _write(axes, left, top + 0.66, picture.below, canvas.GREY, size=7.5)


def _column(
  axes: Axes,
  network: Space,
  found: Sequence[Block],
  left: float,
  top: float,
  widest: int,
  colours,
) -> None:
  _bands(axes, network, found, left, top)
  for i, block in enumerate(found):
    y, op = top + _ROW * (i + 0.5), block.slot.ops[0]
    features = block.slot.fixed_features
    width = _BOX * math.sqrt(min(1, features / widest))
    middle, skipped = left + 0.28 + _BOX / 2, op.name == 'skip'
    axes.add_patch(
      FancyBboxPatch(
        (middle - width / 2, y - 0.085),
        width,
        0.17,
        boxstyle='round,pad=0,rounding_size=0.03',
        facecolor='white' if skipped else colours.get(op.name, _NEUTRAL),
        edgecolor=canvas.FAINT if skipped else 'none',
        linestyle='--',
        linewidth=0.9,
        zorder=2,
      )
    )
    ink = canvas.GREY if skipped else canvas.INK
    words = _words(op) if skipped else f'{_words(op)} {features}'
    _write(axes, left + 0.34 + _BOX, y, words, ink, size=7.5)


def _bands(axes, network, found, left: float, top: float) -> None:
  """Shades every other run of rows of one resolution, and says which."""
  sizes = [b.size for b in found]
  start = shade = 0
  for i in range(1, len(sizes) + 1):
    if i < len(sizes) and sizes[i] == sizes[start]:
      continue
    y, height = top + _ROW * start, _ROW * (i - start)
    if shade % 2 == 0:
      axes.add_patch(
        Rectangle(
          (left - 0.02, y), _COLUMN - 0.1, height, color=canvas.SHADE, zorder=0
        )
      )
    if start < len(sizes) - 1:  # A classifier has no pixels.
      where = left + 0.02, y + height / 2
      _write(axes, *where, f'{sizes[start]}', canvas.GREY, size=7.5)
    start, shade = i, shade + 1


def _words(op: Op) -> str:
  if isinstance(op, MBConv) and op.mid is None:
    return f'{op.kernel}x{op.kernel} e{op.expand}{" SE" if op.se else ""}'
  return canvas.words(op).replace(' conv', '').replace('classifier', 'logits')


def _write(axes, x: float, y: float, text: str, color, size: float = 8) -> None:
  axes.text(x, y, text, va='center_baseline', fontsize=size, color=color)

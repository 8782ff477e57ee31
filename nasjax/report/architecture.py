"""A picture of a network: what stands where, how wide, and at what price."""

import math
import pathlib
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from nasjax import cost
from nasjax.cost import Number
from nasjax.ops import Classifier, Conv, ConvClassifier, MaxPool, Op
from nasjax.printable import printable
from nasjax.report import canvas
from nasjax.space import Architecture, Slot, Space, as_chain

# Places in inches from the left edge.
_NAME, _OP, _DOWN, _BOX, _SIZE, _BAR = 0.2, 1.35, 2.95, 4.5, 6.1, 6.95
_WIDTH, _ROW, _WIDEST, _LONGEST = 9.6, 0.36, 2.0, 1.6
_NEUTRAL = '#8C8C8C'
_FONT = 10  # Points.


class Block(NamedTuple):
  """One slot of a network, with what it computes.

  Attributes:
    slot: with one op.
    size: height and width that come out.
    macs: of this slot.
    params: of this slot.
  """

  slot: Slot
  size: int
  macs: Number
  params: Number


def blocks(space: Space) -> tuple[Block, ...]:
  """The slots of a network, with their sizes and costs.

  Args:
    space: one op per slot.

  Raises:
    ValueError: a slot leaves a choice.
  """
  if space.choices:
    raise ValueError(
      'a picture requires one op per slot; fix an architecture first: '
      f'{", ".join(space.choices)} leave a choice.'
    )
  found, shape = [], (1, space.image_size, space.image_size, space.channels)
  for slot in space.slots:
    place = slot.ops[0], slot.fixed_features, slot.fixed_stride, shape
    shape = cost.op_shape(*place)
    size = shape[1] if len(shape) == 4 else 1  # A classifier pools.
    found.append(
      Block(slot, size, cost.op_macs(*place), cost.op_params(*place))
    )
  return tuple(found)


def architecture_figure(
  path: str | pathlib.Path,
  network: Architecture | Space,
  *,
  title: str | None = None,
) -> pathlib.Path:
  """Draws a network from image to logits, a row per slot.

  Args:
    path: of the PNG file.
    network: an architecture, or a space with one op per slot.
    title: above the picture; None names the space.

  Returns:
    The path, written whole.

  Raises:
    InputError: the architecture's space is no chain of slots.
    ValueError: the space leaves a choice.

  Example:
    >>> import tempfile
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> found = space.argmax(tiny, space.init_alphas(tiny))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   path = architecture_figure(f'{folder}/a.png', found)
    ...   path.name, path.stat().st_size > 1000
    ('a.png', True)
  """
  if isinstance(network, Architecture):
    title = title or f'Architecture derived from {network.space.name}'
    network = as_chain(network.space).fix(network)
  return canvas.save(draw_network(network, title), path)


def draw_network(space: Space, title: str | None = None) -> Figure:
  """A picture of a network from image to logits, a row per slot.

  Args:
    space: one op per slot.
    title: above the picture; None names the space.

  Raises:
    ValueError: the space leaves a choice.

  Example:
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> network = tiny.fix(space.argmax(tiny, space.init_alphas(tiny)))
    >>> draw_network(network).axes[0].texts[1].get_text()
    '3,160 MACs, 752 parameters'
  """
  rows = blocks(space)
  height = _ROW * (len(rows) + 1) + 1.15
  figure = canvas.new(_WIDTH, height)
  # Data are inches, downwards, so that texts and boxes keep their distances.
  axes = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH), ylim=(height, 0))
  axes.set_axis_off()
  macs, params = sum(b.macs for b in rows), sum(b.params for b in rows)
  axes.text(_NAME, 0.3, title or space.name, fontsize=13, color=canvas.INK)
  axes.text(
    _NAME,
    0.55,
    f'{macs:,} MACs, {params:,} parameters',
    fontsize=10,
    color=canvas.GREY,
  )
  top = 0.95
  for x, text in (
    (_NAME, 'slot'),
    (_OP, 'op'),
    (_SIZE, 'pixels'),
    (_BAR, 'MACs'),
  ):
    _write(axes, x, top - 0.1, text, canvas.GREY)
  _write(axes, _BOX, top - 0.1, 'features', canvas.GREY, ha='center')
  _bands(axes, space, rows, top)
  _image(axes, space, top + _ROW / 2)
  ops = [b.slot.ops[0] for b in rows]
  colours = canvas.colours(op for op in ops if not is_neutral(op))
  for i, (block, op) in enumerate(zip(rows, ops, strict=True)):
    y = top + _ROW * (i + 1.5)
    _row(axes, block, y, rows, colours.get(op.name, _NEUTRAL))
  return figure


def is_neutral(op: Op) -> bool:
  """Whether an op belongs to the frame, not to what is usually searched."""
  return isinstance(op, (Conv, Classifier, ConvClassifier, MaxPool))


def _row(axes: Axes, block: Block, y: float, rows, colour) -> None:
  slot, op = block.slot, block.slot.ops[0]
  skipped = op.name == 'skip'
  ink = canvas.GREY if skipped else canvas.INK
  _write(axes, _NAME, y, slot.name, canvas.GREY, fit=_OP - _NAME - 0.1)
  _write(axes, _OP, y, canvas.words(op), ink, fit=_DOWN - _OP - 0.1)
  if slot.fixed_stride > 1:
    _write(
      axes,
      _DOWN,
      y,
      f'\N{DOWNWARDS ARROW} {slot.stride}',
      canvas.INK,
      weight='bold',
    )
  # Area would mislead in a row of fixed height, and 16 to 1280 features fit
  # no linear scale.
  widest = max(b.slot.fixed_features for b in rows)
  width = _WIDEST * math.sqrt(slot.fixed_features / widest)
  axes.plot(
    [_BOX, _BOX],
    [y - _ROW + 0.1, y],
    color=canvas.FAINT,
    linewidth=1.5,
    zorder=1,
  )
  axes.add_patch(
    FancyBboxPatch(
      (_BOX - width / 2, y - 0.12),
      width,
      0.24,
      boxstyle='round,pad=0,rounding_size=0.04',
      facecolor='white' if skipped else colour,
      edgecolor=canvas.FAINT if skipped else colour,
      linestyle='--' if skipped else '-',
      linewidth=1.2,
      zorder=2,
    )
  )
  _write(axes, _BOX + width / 2 + 0.07, y, f'{slot.features}', ink)
  length = _LONGEST * block.macs / max(1, max(b.macs for b in rows))
  axes.add_patch(
    Rectangle((_BAR, y - 0.08), length, 0.16, color=canvas.SKY, linewidth=0)
  )
  _write(axes, _BAR + length + 0.06, y, f'{block.macs:,}', ink)


def _bands(axes: Axes, space: Space, rows, top: float) -> None:
  """Shades every other run of rows of one resolution, and says which."""
  sizes = [space.image_size, *(b.size for b in rows)]
  start = shade = 0
  for i in range(1, len(sizes) + 1):
    if i < len(sizes) and sizes[i] == sizes[start]:
      continue
    y = top + _ROW * start
    if shade % 2 == 0:
      axes.add_patch(
        Rectangle(
          (_NAME - 0.1, y),
          _WIDTH - 2 * (_NAME - 0.1),
          _ROW * (i - start),
          color=canvas.SHADE,
          zorder=0,
        )
      )
    _write(
      axes, _SIZE, y + _ROW / 2, f'{sizes[start]}x{sizes[start]}', canvas.INK
    )
    start, shade = i, shade + 1


def _image(axes: Axes, space: Space, y: float) -> None:
  _write(axes, _NAME, y, 'image', canvas.GREY)
  _write(axes, _BOX, y, f'{space.channels}', canvas.INK, ha='center')


def _write(
  axes: Axes,
  x: float,
  y: float,
  text: str,
  color: str,
  fit: float = math.inf,
  ha: str = 'left',
  weight: str = 'normal',
) -> None:
  """Writes text, smaller where it would be wider than `fit` inches."""
  written = axes.text(
    x,
    y,
    printable(text),
    parse_math=False,
    ha=ha,
    va='center_baseline',
    fontsize=_FONT,
    weight=weight,
    color=color,
  )
  if math.isfinite(fit):
    width = written.get_window_extent().width / axes.figure.dpi
    if width > fit:
      written.set_fontsize(_FONT * fit / width)

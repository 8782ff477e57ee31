"""What the figures share: colours, words for ops, and how a file is written."""

import io
import itertools
import math
import pathlib
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter

from nasjax import files
from nasjax.ops import (
  Classifier,
  Conv,
  ConvClassifier,
  MaxPool,
  MBConv,
  Op,
)
from nasjax.printable import printable

DPI = 130

# Okabe and Ito 2008, "Color universal design": told apart by all kinds of
# colour vision.
BLUE, VERMILION, GREEN = '#0072B2', '#D55E00', '#009E73'
PURPLE, ORANGE, SKY = '#CC79A7', '#E69F00', '#56B4E9'
HUES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
INK, GREY, FAINT = '#222222', '#666666', '#BBBBBB'
SHADE = '#F0F0F0'


def new(width: float, height: float, **kwargs) -> Figure:
  """An empty figure of so many inches, on a canvas that can measure text."""
  figure = Figure(figsize=(width, height), dpi=DPI, **kwargs)
  FigureCanvasAgg(figure)
  return figure


def renderer(figure: Figure) -> RendererAgg:
  """Measures the text of a figure that `new` made."""
  if not isinstance(figure.canvas, FigureCanvasAgg):
    raise TypeError(f'{figure.canvas} cannot measure text; take canvas.new')
  return figure.canvas.get_renderer()


def save(figure: Figure, path: str | pathlib.Path) -> pathlib.Path:
  """Writes a PNG, whole or not at all."""
  path = pathlib.Path(path)
  literal(figure)
  drawn = io.BytesIO()
  figure.savefig(drawn, format='png', dpi=DPI)
  files.write_bytes(path, drawn.getvalue())
  return path


def literal(figure: Figure) -> None:
  """Makes all text of a figure mean itself: no `$` of a name starts a formula.

  Whatever is drawn or measured before it is saved needs this first.
  """
  for text in figure.findobj(Text):
    text.set_parse_math(False)
    if not (shown := text.get_text()).isprintable():
      text.set_text('\n'.join(map(printable, shown.split('\n'))))


def plain(axes: Axes) -> None:
  """Takes away what says nothing, and makes the rest light."""
  axes.spines[['top', 'right']].set_visible(False)
  axes.spines[['left', 'bottom']].set_color(FAINT)
  axes.tick_params(labelsize=9, color=FAINT, labelcolor=INK)
  axes.grid(axis='y', color='#E8E8E8', linewidth=0.7)
  axes.set_axisbelow(True)


def in_si(axis: Axis) -> None:
  """Tick labels such as 1.6M, with as many digits as tell them apart."""
  axis.set_major_formatter(EngFormatter(sep=''))


def tint(colour: str, strength: float) -> tuple[float, ...]:
  """The colour mixed with white; strength 1 leaves it as it is."""
  return tuple(1 - strength * (1 - c) for c in to_rgb(colour))


def name(op: Op | str) -> str:
  """The name of an op; an option is its name."""
  return op if isinstance(op, str) else op.name


def words(op: Op | str) -> str:
  """An op as people say it; an option by its name.

  Example:
    >>> words(MBConv(kernel=5, expand=6)), words(Conv(1))
    ('5x5, expand 6', '1x1 conv')
  """
  match op:
    case MBConv():
      width = f'expand {op.expand}' if op.mid is None else f'{op.mid} wide'
      gate = ', SE' if op.se else ''
      return f'{op.kernel}x{op.kernel}, {width}{gate}'
    case Conv():
      return f'{op.kernel}x{op.kernel} conv'
    case Classifier() | ConvClassifier():
      return 'classifier'
    case MaxPool():
      return f'{op.kernel}x{op.kernel} max pool'
  return name(op)


def colours(ops: Iterable[Op | str]) -> dict[str, tuple[float, ...]]:
  """A colour for each op or option: hue is the kernel, depth the expansion.

  A block with kernel and expansion looks the same in all figures. Skip is
  grey; whatever else there is has hues of its own.
  """
  found = {}
  others = itertools.cycle((PURPLE, ORANGE, SKY, GREEN))
  for op in ops:
    own = name(op)
    kernel, expand = getattr(op, 'kernel', None), getattr(op, 'expand', None)
    if own in found:
      continue
    if own == 'skip':
      found[own] = tint(GREY, 1)
    elif kernel and expand:
      hue = HUES[(kernel // 2 - 1) % len(HUES)]
      depth = min(1, math.log(expand) / math.log(6))
      found[own] = tint(hue, 0.4 + 0.6 * depth)
    else:
      found[own] = tint(next(others), 1)
  return found

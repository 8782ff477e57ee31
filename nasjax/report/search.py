"""What a search did: probabilities, costs and losses over the steps."""

import collections
import functools
import math
import operator
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from nasjax.cost import Cost
from nasjax.ops import Op
from nasjax.report import canvas
from nasjax.report.numbers import si
from nasjax.report.table import UNITS
from nasjax.space import Axis, SearchSpace, slot_ops
from nasjax.space import axes as axes_of
from nasjax.space import label as label_of

Rows = Sequence[Mapping[str, Any]]


def search_figures(
  workdir: str | pathlib.Path,
  rows: Rows,
  space: SearchSpace,
  limits: Mapping[Cost, float],
) -> list[pathlib.Path]:
  """Draws `alphas.png` and `cost.png`.

  Args:
    workdir: where the files go; exists.
    rows: of `metrics.jsonl`, in order. Each has `step` and, as far as known,
      `train_loss`, `valid_loss`, `probs` (choice to nested lists) and, for
      every cost under constraint, `NAME` (expected) and `NAME_strict` (of the
      most probable ops). Rows without costs are the warm-up.
    space: what was searched.
    limits: of the costs.

  Returns:
    The files, written whole.

  Example:
    >>> import tempfile
    >>> from nasjax import cost, spaces
    >>> tiny = spaces.tiny()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...   paths = search_figures(folder, [], tiny, {cost.macs(tiny): 6000})
    ...   [path.name for path in paths]
    ['alphas.png', 'cost.png']
  """
  workdir = pathlib.Path(workdir)
  return [
    canvas.save(draw_alphas(rows, space), workdir / 'alphas.png'),
    canvas.save(draw_costs(rows, limits), workdir / 'cost.png'),
  ]


def draw_alphas(rows: Rows, space: SearchSpace) -> Figure:
  """One panel per choice: the probability of each option over the steps.

  Args:
    rows: of `metrics.jsonl`, see `search_figures`.
    space: what was searched.

  Example:
    >>> from nasjax import spaces
    >>> figure = draw_alphas([], spaces.tiny())
    >>> [axes.get_title(loc='left') for axes in figure.axes if axes.axison]
    ['stage1_1', 'stage2_1', 'stage2_2']
  """
  choices = axes_of(space.choices)
  if not choices:
    figure = canvas.new(5, 2)
    figure.text(0.5, 0.5, f'{space.name} leaves nothing to choose', ha='center')
    return figure
  known = {a: own for a, own in _ops(space).items() if a in choices}
  ops = {canvas.name(op): op for own in known.values() for op in own}
  styles = _op_styles(ops)
  columns = min(len(choices), 5, math.ceil(math.sqrt(1.5 * len(choices))))
  lines = math.ceil(len(choices) / columns)
  figure = canvas.new(
    1.7 + 2.5 * max(2, columns), 1 + 1.9 * lines, layout='constrained'
  )
  panels = figure.subplots(
    lines, columns, sharex=True, sharey=True, squeeze=False
  ).ravel()
  warmup = []
  for (axis, options), axes in zip(choices.items(), panels, strict=False):
    own = styles if axis in known else _option_styles(options)
    warmup = _panel(axes, rows, axis, [own[option] for option in options])
    if axis not in known:  # Its options stand in no other panel.
      axes.legend(handles=axes.lines, frameon=False, fontsize=8, ncols=2)
  for axes in panels[len(choices) :]:
    axes.set_axis_off()
  for i, axes in enumerate(panels[: len(choices)]):
    # The lowest panel of each column has the numbers of the steps.
    lowest = i + columns >= len(choices)
    axes.tick_params(labelbottom=lowest)
    if lowest:
      axes.set_xlabel('step', fontsize=10)
    if i % columns == 0:
      axes.set_ylabel('probability', fontsize=10)
  figure.suptitle(
    'Probability of each option; titles name the most probable one at the end',
    fontsize=11,
  )
  shared = [Line2D([], [], linewidth=3, **styles[name]) for name in ops]
  figure.legend(
    handles=shared + warmup,
    loc='outside right center',
    frameon=False,
    fontsize=10,
  )
  return figure


def _ops(space: SearchSpace) -> dict[Axis, Sequence[Op | str]]:
  """What stands in the legend of all panels: the ops of each choice of ops.

  Of a space that does not say what its ops are, options that stand in several
  panels.
  """
  if known := slot_ops(space):
    return {**known}
  options = axes_of(space.choices)
  numbers = collections.Counter(options.values())
  return {axis: own for axis, own in options.items() if numbers[own] > 1}


def _op_styles(ops: Mapping[str, Op | str]) -> dict[str, dict[str, Any]]:
  """How the line of each op is drawn, the same in every panel."""
  colours = canvas.colours(ops.values())
  return {
    name: {
      'color': colours[name],
      'linestyle': '--' if name == 'skip' else '-',
      'label': canvas.words(op),
    }
    for name, op in ops.items()
  }


def _option_styles(options: Sequence[str]) -> dict[str, dict[str, Any]]:
  """The same for options that stand in one panel alone, darker one by one."""
  last = max(1, len(options) - 1)
  depths = [0.3 + 0.7 * i / last for i in range(len(options))]
  return {
    option: {'color': canvas.tint(canvas.GREEN, depth), 'label': option}
    for option, depth in zip(options, depths, strict=True)
  }


def _panel(
  axes: Axes, rows: Rows, axis: Axis, styles: Sequence[Mapping[str, Any]]
) -> list[Patch]:
  """Draws one choice; returns what a legend needs of the warm-up."""
  canvas.plain(axes)
  name, place = (axis, ()) if isinstance(axis, str) else axis
  known = [row for row in rows if name in row.get('probs', {})]
  steps = [row['step'] for row in known]
  probs = [
    functools.reduce(operator.getitem, place, row['probs'][name])
    for row in known
  ]
  for i, style in enumerate(styles):
    axes.plot(
      steps,
      [own[i] for own in probs],
      linewidth=1.8,
      **style,
      **_marker(known),
    )
  ends = ''
  last = probs[-1] if probs else []
  if last.count(max(last, default=0)) == 1:
    ends = f': {styles[last.index(max(last))]["label"]}'
  axes.set_title(f'{label_of(axis)}{ends}', fontsize=10, loc='left')
  axes.set_ylim(0, 1)
  return _from_alphas(axes, rows)


def draw_costs(rows: Rows, limits: Mapping[Cost, float]) -> Figure:
  """Each cost against its limit, and the losses below.

  Args:
    rows: of `metrics.jsonl`, see `search_figures`.
    limits: of the costs.

  Example:
    >>> from nasjax import cost, spaces
    >>> macs = cost.macs(spaces.tiny())
    >>> rows = [{'step': 0, 'macs': 6213, 'macs_strict': 5000}]
    >>> figure = draw_costs(rows, {macs: 6000})
    >>> figure.axes[0].get_title(loc='left')
    'Cost in MACs against the limit of 6.00k'
  """
  units = UNITS | {cost.name: cost.unit for cost in limits}
  values = {cost.name: limit for cost, limit in limits.items()}
  found = {key: None for row in rows for key in row if f'{key}_strict' in row}
  names = list(dict.fromkeys([*values, *found]))
  figure = canvas.new(8, 1 + 2.6 * (len(names) + 1), layout='constrained')
  *panels, losses = figure.subplots(
    len(names) + 1,
    1,
    sharex='all' if not _hidden(rows) else 'none',
    squeeze=False,
  ).ravel()
  for name, axes in zip(names, panels, strict=True):
    _cost(axes, rows, name, units.get(name, name), values.get(name))
    _from_alphas(axes, rows)
    _name_lines(axes)
  for key, label, colour in (
    ('train_loss', 'weights, on train', canvas.BLUE),
    ('valid_loss', 'alphas, on valid', canvas.VERMILION),
  ):
    _line(losses, rows, key, color=colour, label=label)
  _finish(losses, 'Loss of the task', 'cross-entropy (nats)')
  _steps(losses)
  _shade_warmup(losses, rows)
  _name_lines(losses)
  losses.set_xlabel('step', fontsize=10)
  return figure


def _cost(
  axes: Axes, rows: Rows, name: str, unit: str, limit: float | None
) -> None:
  known = _line(axes, rows, name, color=canvas.BLUE, label='expected') + _line(
    axes,
    rows,
    f'{name}_strict',
    color=canvas.VERMILION,
    label='most probable ops',
    drawstyle='steps-post',
  )
  title = f'Cost in {unit}'
  if limit is not None:
    title += f' against the limit of {si(limit)}'
    axes.axhline(
      limit,
      color=canvas.INK,
      linestyle='--',
      linewidth=1.2,
      label=f'limit {si(limit)}',
    )
  canvas.in_si(axes.yaxis)
  if not known:
    axes.set_ylim(0, 1.5 * (limit or 1))
    axes.text(
      0.5,
      0.3,
      'not measured: the alphas have not been trained yet',
      transform=axes.transAxes,
      ha='center',
      fontsize=10,
      color=canvas.GREY,
    )
  _finish(axes, title, unit)


def _finish(axes: Axes, title: str, label: str) -> None:
  canvas.plain(axes)
  axes.set_title(title, fontsize=11, loc='left')
  axes.set_ylabel(label, fontsize=10)


def _name_lines(axes: Axes) -> None:
  if axes.get_legend_handles_labels()[0]:
    axes.legend(
      loc='center left', bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9.5
    )


def _from_alphas(axes: Axes, rows: Rows) -> list[Patch]:
  """Steps with the warm-up greyed, or without a long one.

  Returns:
    What a legend needs of the warm-up.
  """
  if first := _hidden(rows):
    _steps(axes, first)
    return []
  _steps(axes)
  return _shade_warmup(axes, rows)


def _hidden(rows: Rows) -> int:
  """The last step of a warm-up that would leave alphas no room; else 0."""
  warmup = _warmup(rows)
  return warmup if warmup > 2 / 3 * max(_at(rows), default=0) else 0


def _at(rows: Rows) -> list[int]:
  return [row['step'] for row in rows]


def _warmup(rows: Rows) -> int:
  """The last step before alphas were trained; 0 if none is known.

  While there are no others, it has to be shown.
  """
  trained = [row for row in rows if 'valid_loss' in row]
  if not trained:
    return 0
  return max(_at([r for r in rows if 'valid_loss' not in r]), default=0)


def _steps(axes: Axes, first: int = 0) -> None:
  axes.set_xlim(left=first)
  axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def _line(axes: Axes, rows: Rows, key: str, **style) -> int:
  """Draws what rows say about `key`; returns how many do."""
  known = [row for row in rows if row.get(key) is not None]
  if known:
    axes.plot(
      [row['step'] for row in known],
      [row[key] for row in known],
      linewidth=1.8,
      **_marker(known),
      **style,
    )
  return len(known)


def _marker(rows: Rows) -> dict[str, Any]:
  """A single point makes no line: it needs a mark."""
  return {'marker': 'o', 'markersize': 5} if len(rows) == 1 else {}


def _shade_warmup(axes: Axes, rows: Rows) -> list[Patch]:
  """Greys the steps before the alphas were trained; what a legend needs."""
  warmup = [row['step'] for row in rows if 'valid_loss' not in row]
  if not warmup:
    return []
  style = {'color': canvas.SHADE, 'linewidth': 0, 'zorder': 0}
  return [axes.axvspan(0, max(warmup), label='warm-up', **style)]

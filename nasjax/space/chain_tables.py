"""What a measure says of a chain: a table for every slot.

A slot has a number for every combination of the choices that meet in it: its
op, and the widths that come in and go out, where those are choices.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import flax.linen as nn

from nasjax.ops import Numerics, Op
from nasjax.space import block as block_lib
from nasjax.space.block import Measure, Shape
from nasjax.space.slots import Slot, Width
from nasjax.space.table import Number, Table

if TYPE_CHECKING:
  from nasjax.space.chain import Space

_CLOSED = ('macs', 'params', 'memory')


@dataclasses.dataclass(frozen=True)
class OpBlock:
  """One op at one place of a chain.

  Attributes:
    op: the op.
    features: channels that come out.
    stride: spatial reduction.

  Example:
    >>> from nasjax import ops
    >>> OpBlock(ops.Conv(3), 16, 2).output_shape((1, 8, 8, 3))
    (1, 4, 4, 16)
  """

  op: Op
  features: int
  stride: int

  def module(self, numerics: Numerics) -> nn.Module:
    """The op's module for these features and this stride."""
    return self.op.module(self.features, self.stride, numerics)

  def closed_form(self, resource: str, shape: Shape) -> Number | None:
    """`'macs'`, `'params'` or `'memory'` by the op's own formula, or None."""
    form = self._form(resource, shape)
    if form is None:
      return None
    return form(self.op, shape[-1], self.features, self.stride, shape[1])

  def output_shape(self, shape: Shape) -> Shape:
    """The shape that leaves the op."""
    if any(self._form(resource, shape) for resource in _CLOSED):
      # Only ops that keep to `ceil(in / stride)` have closed forms.
      size = math.ceil(shape[1] / self.stride)
      return (1, size, size, self.features)
    return block_lib.traced_shape(self, shape)

  def _form(self, resource: str, shape: Shape) -> Callable | None:
    """The method of the op's class, where it has one that can be trusted."""
    # An inherited closed form may not fit a module that is overridden.
    form = vars(type(self.op)).get(resource)
    square = len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2]
    return form if square and callable(form) else None


def stacked(spaces: Sequence['Space'], measure: Measure) -> tuple[Table, ...]:
  """A table for every slot.

  Args:
    spaces: the chain at each of its patterns; without patterns the chain alone.
    measure: `measure(block, input shape) -> number`; blocks are `OpBlock`s.

  Returns:
    Tables in the order of the chain; where patterns differ in one, its first
    axis is the pattern.

  Raises:
    ValueError: ops of one slot differ in the shape that leaves them.
  """
  each = [_tables(space, measure) for space in spaces]
  return tuple(map(_stack, zip(*each, strict=True)))


def _stack(tables: tuple[Table, ...]) -> Table:
  """One table over the patterns, where they differ."""
  first, *others = tables
  if all(other == first for other in others):
    return first
  return Table(
    ('pattern', *first.axes),
    (len(tables), *first.shape),
    tuple(value for table in tables for value in table.values),
  )


def _tables(space: 'Space', measure: Measure) -> tuple[Table, ...]:
  """A table for every slot of a space without patterns."""
  tables, size, before = [], space.image_size, None
  for slot in space.slots:
    blocks = {
      (op.name, n, m): OpBlock(op, m, slot.fixed_stride)
      for op, n, m in space.places(before, slot)
    }
    found = {
      place: measure(block, (1, *_square(size), place[1]))
      for place, block in blocks.items()
    }
    axes = _axes(before, slot)
    values = tuple(
      found[_place(space, before, slot, dict(zip(axes, index, strict=True)))]
      for index in itertools.product(*map(range, axes.values()))
    )
    tables.append(Table(tuple(axes), tuple(axes.values()), values))
    size = _output_size(slot, blocks, size)
    before = slot
  return tuple(tables)


def _square(size: int | None) -> tuple[int, ...]:
  """Height and width; none of them behind a pooling to a vector."""
  return () if size is None else (size, size)


def _axes(before: Slot | None, slot: Slot) -> dict[str, int]:
  """The choices that meet in a slot, with their numbers of options."""
  axes = {}
  for features in (getattr(before, 'features', None), slot.features):
    if isinstance(features, Width):
      axes[features.name] = len(features.options)
  if len(slot.ops) > 1:
    axes[slot.name] = len(slot.ops)
  return axes


def _place(space, before, slot, index) -> tuple[str, int, int]:
  """`(op name, channels in, channels out)` at an index of `_axes`."""

  def channels(features):
    if isinstance(features, Width):
      return features.options[index[features.name]]
    return features

  inputs = space.channels if before is None else channels(before.features)
  op = slot.ops[index.get(slot.name, 0)]
  return op.name, inputs, channels(slot.features)


def _output_size(slot, blocks, size) -> int | None:
  """Height that leaves a slot; all its ops and widths must agree on it."""
  found = {}
  # Sizes do not depend on widths: each op is looked at once, at its largest.
  largest = {name: (n, block) for (name, n, _), block in blocks.items()}
  for name, (n, block) in largest.items():
    shape = block.output_shape((1, *_square(size), n))
    found[name] = shape[1:-1]
    if shape[-1] != block.features:
      raise ValueError(
        f'op {name!r} of slot {slot.name!r} requires {block.features} '
        f'features, got the output shape {shape}.'
      )
  if len(set(found.values())) > 1:
    raise ValueError(f'ops of slot {slot.name!r} differ in size: {found}')
  return next(iter(next(iter(found.values()))), None)

"""What one block costs, at one place and at every place where it can stand.

An op at a place is counted from the program of its built module, or by the
op's own closed form, which is held to equal that. A slot then has a table with
a number for every combination of the choices that meet in it: its op, and the
widths that come in and go out, where those are choices.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import count
from nasjax.ops import Numerics, Op
from nasjax.space import (
  Slot,
  Space,
  Width,
  at_pattern,
  check_image_size,
)

Number = int | float
Shape = tuple[int, ...]
Measure = Callable[[Op, int, int, Shape], int]

_COUNTED = Numerics(lowering='native')
_CLOSED = ('macs', 'params', 'memory')


# --- One op at one place -----------------------------------------------------


def op_macs(op: Op, features: int, stride: int, shape: Shape) -> int:
  """MACs of one op on an input of `shape`, `(1, height, width, channels)`.

  Example:
    >>> from nasjax import ops
    >>> op_macs(ops.Conv(3), 16, 2, (1, 8, 8, 3)) == 4 * 4 * 16 * 3 * 3 * 3
    True
  """
  return _counted('macs', op, features, stride, shape)


def op_params(op: Op, features: int, stride: int, shape: Shape) -> int:
  """Trainable parameters of one op on an input of `shape`.

  Example:
    >>> from nasjax import ops
    >>> op_params(ops.Conv(3), 16, 2, (1, 8, 8, 3)) == 3 * 3 * 3 * 16 + 2 * 16
    True
  """
  return _counted('params', op, features, stride, shape)


def op_memory(op: Op, features: int, stride: int, shape: Shape) -> int:
  """Peak bytes of float32 activations while one op runs on `shape`.

  Example:
    >>> from nasjax import ops
    >>> op_memory(ops.Conv(3), 16, 2, (1, 8, 8, 3)) == 4 * (8*8*3 + 4*4*16)
    True
  """
  return _counted('memory', op, features, stride, shape)


def op_shape(op: Op, features: int, stride: int, shape: Shape) -> Shape:
  """The shape that leaves one op.

  Example:
    >>> from nasjax import ops
    >>> op_shape(ops.Conv(3), 16, 2, (1, 8, 8, 3))
    (1, 4, 4, 16)
  """
  if any(_closed_form(op, resource, shape) for resource in _CLOSED):
    size = math.ceil(shape[1] / stride)  # Only such ops have closed forms.
    return (1, size, size, features)
  return traced_shape(op, features, stride, shape)


def _counted(resource, op, features, stride, shape):
  form = _closed_form(op, resource, shape)
  if form is None:
    return traced(resource, op, features, stride, shape)
  return form(op, shape[-1], features, stride, shape[1])


def _closed_form(op: Op, resource: str, shape: Shape) -> Callable | None:
  """The method of the op's class, where it has one that can be trusted."""
  # An inherited one knows nothing of the module that may be overridden.
  form = vars(type(op)).get(resource)
  square = len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2]
  return form if square and callable(form) else None


@functools.cache
def traced(
  resource: str, op: Op, features: int, stride: int, shape: Shape
) -> int:
  """`'macs'`, `'params'` or `'memory'` of one op, closed forms or not.

  Example:
    >>> from nasjax import ops
    >>> place = ops.MBConv(3, 6), 16, 2, (1, 8, 8, 3)
    >>> traced('macs', *place) == op_macs(*place)
    True
  """
  program, variables, x = _program(op, features, stride, shape)
  if resource == 'macs':
    return count.macs(program, variables, x)
  if resource == 'params':
    return count.params(variables)
  return count.peak_memory(program, variables, x).bytes


def traced_shape(op: Op, features: int, stride: int, shape: Shape) -> Shape:
  """The shape that leaves one op, closed forms or not."""
  return jax.eval_shape(*_program(op, features, stride, shape)).shape


@functools.cache
def _program(op: Op, features: int, stride: int, shape: Shape):
  """The op's apply function, and the shapes of its variables and input."""
  module = op.module(features, stride, _COUNTED)
  x = jax.ShapeDtypeStruct(shape, jnp.float32)
  key = jax.eval_shape(jax.random.key, 0)
  variables = jax.eval_shape(lambda k, x: module.init(k, x, False), key, x)
  # Under jit it is traced once for all that is asked of it.
  apply = jax.jit(lambda v, x: module.apply(v, x, False))
  return apply, variables, x


# --- Every block of a space --------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Table:
  """A cost for every combination of the choices that meet in one slot.

  Attributes:
    axes: names of the choices; none where nothing is to choose.
    shape: number of options of each.
    values: in row-major order, the last choice running fastest.

  Example:
    >>> Table(('width', 'op'), (2, 2), (1, 2, 3, 4)).at({'width': 1, 'op': 0})
    3
  """

  axes: tuple[str, ...]
  shape: tuple[int, ...]
  values: tuple[Number, ...]

  def array(self) -> np.ndarray:
    """`i64[*shape]`, or `f64[*shape]` where a number is no int of 64 bits."""
    values = np.array(self.values)
    exact = values.dtype.kind in 'bi'
    return values.astype(np.int64 if exact else float).reshape(self.shape)

  def at(self, index: Mapping[str, int]) -> Number:
    """The cost at one option of every choice."""
    flat = 0
    for axis, size in zip(self.axes, self.shape, strict=True):
      flat = flat * size + index[axis]
    return self.values[flat]


def slot_tables(space: Space, measure: Measure) -> tuple[Table, ...]:
  """What every block of a space measures, a table for every slot.

  Args:
    space: any.
    measure: `measure(op, features, stride, input shape)`, such as `op_macs`.

  Returns:
    Tables in the order of the chain; where patterns differ in one, its first
    axis is the pattern.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import spaces
    >>> [t.axes for t in slot_tables(spaces.tiny(), op_macs)][:2]
    [(), ('stage1_1',)]
  """
  check_image_size(space)
  if not space.patterns:
    return _tables(space, measure)
  each = [
    _tables(at_pattern(space, i), measure) for i in range(len(space.patterns))
  ]
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


def _tables(space: Space, measure: Measure) -> tuple[Table, ...]:
  """A table for every slot of a space without patterns."""
  tables, size, before = [], space.image_size, None
  for slot in space.slots:
    found = {
      (op.name, n, m): measure(op, m, slot.stride, (1, *_square(size), n))
      for op, n, m in space.places(before, slot)
    }
    axes = _axes(before, slot)
    values = tuple(
      found[_place(space, before, slot, dict(zip(axes, index, strict=True)))]
      for index in itertools.product(*map(range, axes.values()))
    )
    tables.append(Table(tuple(axes), tuple(axes.values()), values))
    size = _output_size(space, before, slot, size)
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


def _output_size(space, before, slot, size) -> int | None:
  """Height that leaves a slot; all its ops and widths must agree on it."""
  found = {}
  # Sizes do not depend on widths: each op is looked at once, at its largest.
  largest = {op.name: (op, n, m) for op, n, m in space.places(before, slot)}
  for op, n, m in largest.values():
    shape = op_shape(op, m, slot.stride, (1, *_square(size), n))
    found[op.name] = shape[1:-1]
    if shape[-1] != m:
      raise ValueError(
        f'op {op.name!r} of slot {slot.name!r} requires {m} features, '
        f'got the output shape {shape}.'
      )
  if len(set(found.values())) > 1:
    raise ValueError(f'ops of slot {slot.name!r} differ in size: {found}')
  return next(iter(next(iter(found.values()))), None)

"""What a choice costs: expected, exact, and within which bounds.

A cost is a function of probs and of nothing else. It holds a number for every
slot and op, and, where widths are choices, for every width that can come in and
go out: traced from the built module, or by the op's own closed form, which is
held to equal that. No product formula is assumed, nothing is estimated.
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
from nasjax.errors import InputError
from nasjax.ops import Numerics, Op
from nasjax.space import Architecture, Slot, Space, Width, at_pattern

Number = int | float


@dataclasses.dataclass(frozen=True)
class Table:
  """A cost for every combination of the choices that meet in one slot.

  Attributes:
    axes: names of the choices; none where nothing is to choose.
    shape: number of options of each.
    values: in row-major order, the last choice running fastest.
  """

  axes: tuple[str, ...]
  shape: tuple[int, ...]
  values: tuple[Number, ...]

  def array(self) -> np.ndarray:
    """`[*shape]`, of Python's exact numbers where they are large."""
    return np.array(self.values).reshape(self.shape)

  def at(self, index: Mapping[str, int]) -> Number:
    """The cost at one option of every choice."""
    flat = 0
    for axis, size in zip(self.axes, self.shape, strict=True):
      flat = flat * size + index[axis]
    return self.values[flat]


@dataclasses.dataclass(frozen=True)
class Cost:
  """A resource of a space. Static: hashable, holds no arrays.

  Attributes:
    name: of the resource, such as `macs`.
    unit: what it counts.
    tables: one for every slot, in the order of the chain.
    reduction: `'sum'` for what adds up along the chain (MACs, parameters,
      latency, energy), `'max'` for what is used again by every slot (memory).

  Example:
    >>> from nasjax import relax, space, spaces
    >>> tiny = spaces.tiny()
    >>> cost = macs(tiny)
    >>> probs = relax.softmax(space.init_alphas(tiny))
    >>> low, high = cost.bounds()
    >>> low < float(cost(probs)) < high
    True
  """

  name: str
  unit: str
  tables: tuple[Table, ...]
  reduction: str = 'sum'

  def __call__(self, probs: Mapping[str, jax.Array]) -> jax.Array:
    """Cost of a distribution over architectures, `f32[]`, differentiable.

    For `reduction='sum'` it is the exact expectation when every choice is
    drawn independently: with `p = softmax(alpha / t)` its derivative in
    `alpha_j` is `p_j (c_j - E) / t`, where `E` is the expectation and `c_j`
    that given option j. For `'max'` it is the largest of the slots' exact
    expectations: exact at one-hot probs, elsewhere a lower bound of the
    expected maximum (Jensen).

    Args:
      probs: slot or width to `f32[options]`, each summing to 1.
    """
    parts = []
    for table in self.tables:
      dtype = probs[table.axes[-1]].dtype if table.axes else float
      part = jnp.asarray(table.array(), dtype=dtype)
      for axis in reversed(table.axes):
        part = part @ probs[axis]
      parts.append(part)
    combine = jnp.add if self.reduction == 'sum' else jnp.maximum
    return functools.reduce(combine, parts)

  def exact(self, architecture: Architecture) -> Number:
    """Cost of the derived network, to the unit."""
    names = architecture.space.choices
    index = dict(zip(names, architecture.indices, strict=True))
    return self._reduce(table.at(index) for table in self.tables)

  @property
  def constant(self) -> Number:
    """What the tables without a choice come to; all of it in a network."""
    return self._reduce(t.values[0] for t in self.tables if not t.axes)

  def bounds(self) -> tuple[Number, Number]:
    """Smallest and largest cost that an architecture can have."""
    return self._extreme(np.min), self._extreme(np.max)

  def _reduce(self, values) -> Number:
    return sum(values) if self.reduction == 'sum' else max(values, default=0)

  def _extreme(self, best: Callable) -> Number:
    """Variable elimination: choices meet with neighbours only, so it is short.

    Each choice in turn is optimised away from the tables in which it stands,
    the one with the smallest joint table first.
    """
    combine = np.add if self.reduction == 'sum' else np.maximum
    pending = [(table.axes, table.array()) for table in self.tables]
    sizes = {
      axis: size
      for table in self.tables
      for axis, size in zip(table.axes, table.shape, strict=True)
    }
    left = dict.fromkeys(sizes)

    def joint_size(name):
      meeting = {a for axes, _ in pending if name in axes for a in axes}
      return math.prod(sizes[a] for a in meeting)

    while left:
      name = min(left, key=joint_size)
      del left[name]
      here = [(axes, array) for axes, array in pending if name in axes]
      pending = [(axes, array) for axes, array in pending if name not in axes]
      axes = tuple(dict.fromkeys(a for axes, _ in here for a in axes))
      joint = functools.reduce(
        combine, [_spread(array, own, axes) for own, array in here]
      )
      place = axes.index(name)
      pending.append((axes[:place] + axes[place + 1 :], best(joint, place)))
    return functools.reduce(combine, [array for _, array in pending]).item()


def _spread(array: np.ndarray, own: tuple, axes: tuple) -> np.ndarray:
  """`array` over `own` axes, broadcastable over all of `axes`."""
  order = sorted(range(len(own)), key=lambda i: axes.index(own[i]))
  sizes = dict(zip(own, array.shape, strict=True))
  return array.transpose(order).reshape([sizes.get(a, 1) for a in axes])


def _traced(
  space: Space,
  name: str,
  unit: str,
  measure: Callable[..., int],
  reduction: str = 'sum',
) -> Cost:
  """`measure(op, features, stride, input shape)` of everything, in a `Cost`."""
  if not space.patterns:
    return Cost(name, unit, _tables(space, measure), reduction)
  each = [
    _tables(at_pattern(space, i), measure) for i in range(len(space.patterns))
  ]
  stacked = tuple(map(_stack, zip(*each, strict=True)))
  return Cost(name, unit, stacked, reduction)


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


def _tables(space: Space, measure: Callable[..., int]) -> tuple[Table, ...]:
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


def macs(space: Space) -> Cost:
  """Multiply-accumulates of one inference; the literature's "FLOPs".

  Convolutions and linear layers, padding taps included; see `nasjax.count`.
  """
  return _traced(space, 'macs', 'MACs', op_macs)


def params(space: Space) -> Cost:
  """Trainable parameters: batch norm's scale and bias in, statistics out."""
  return _traced(space, 'params', 'parameters', op_params)


def memory(space: Space) -> Cost:
  """Peak bytes of activations of one float32 inference, weights apart.

  What a slot needs while it runs, the largest along the chain; see
  `nasjax.count.peak_memory` for the rule. It is a maximum: what `cost(probs)`
  is of it, `Cost.__call__` says, and `nasjax.derive` treats a limit on it as a
  filter on candidates.
  """
  return _traced(space, 'memory', 'bytes', op_memory, 'max')


def table(
  space: Space,
  name: str,
  unit: str,
  candidates: Mapping[str, Mapping[str, Number]],
  fixed: Number = 0,
) -> Cost:
  """A cost of the user's own: one number per candidate.

  Args:
    space: whose candidates they are.
    name: of the resource.
    unit: what the numbers are in.
    candidates: slot or width to option to number.
    fixed: what every architecture costs besides.

  Raises:
    InputError: candidates without a number (all are listed), numbers that are
      negative or not finite, or names that the space does not have.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> price = table(tiny, 'energy', 'mJ', {
    ...   slot: {op: 0.5 for op in ops} for slot, ops in tiny.choices.items()})
    >>> price.bounds()
    (1.5, 1.5)
  """
  wanted = {(s, o) for s, options in space.choices.items() for o in options}
  given = {
    (s, o): number
    for s, options in candidates.items()
    for o, number in options.items()
  }
  for what, names in (
    ('lacks', wanted - set(given)),
    ('names what the space does not have:', set(given) - wanted),
  ):
    if names:
      listed = ', '.join(f'{s}/{o}' for s, o in sorted(names))
      raise InputError(f'table {name!r} {what} {listed}')
  for (s, o), number in {**given, ('fixed', 'part'): fixed}.items():
    if not (math.isfinite(number) and number >= 0):
      raise InputError(
        f'table {name!r} has {number} at {s}/{o}; costs are finite and at '
        'least 0'
      )
  tables = [Table((), (), (fixed,))]
  for s, options in space.choices.items():
    values = tuple(given[s, o] for o in options)
    tables.append(Table((s,), (len(options),), values))
  return Cost(name, unit, tuple(tables))


# --- One op at one place -----------------------------------------------------

_COUNTED = Numerics(depthwise='native')
_CLOSED = ('macs', 'params', 'memory')
Shape = tuple[int, ...]


def op_macs(op: Op, features: int, stride: int, shape: Shape) -> int:
  """MACs of one op on an input of `shape`, `(1, height, width, channels)`."""
  return _counted('macs', op, features, stride, shape)


def op_params(op: Op, features: int, stride: int, shape: Shape) -> int:
  """Parameters of one op on an input of `shape`."""
  return _counted('params', op, features, stride, shape)


def op_memory(op: Op, features: int, stride: int, shape: Shape) -> int:
  """Peak bytes of activations while one op runs on an input of `shape`."""
  return _counted('memory', op, features, stride, shape)


def op_shape(op: Op, features: int, stride: int, shape: Shape) -> Shape:
  """The shape that leaves one op."""
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
  """`'macs'`, `'params'` or `'memory'` of one op, closed forms or not."""
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

"""What a choice costs: expected, exact, and within which bounds.

A cost is a function of probs and of nothing else: the exact expectation when
every choice is drawn independently. It holds integers that were traced from
the built modules, slot by slot and op by op; nothing is estimated.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from nasjax import count
from nasjax.ops import Numerics, Op
from nasjax.space import Architecture, Slot, Space


@dataclasses.dataclass(frozen=True)
class Cost:
  """An additive resource of a space. Static: hashable, holds no arrays.

  Attributes:
    name: of the resource, such as `macs`.
    unit: what it counts.
    constant: the part that no choice changes.
    tables: `(slot, cost of each op)` for every slot with a choice.

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
  constant: int
  tables: tuple[tuple[str, tuple[int, ...]], ...]

  def __call__(self, probs: Mapping[str, jax.Array]) -> jax.Array:
    """Expected cost, `f32[]`, differentiable in `probs`.

    With `p = softmax(alpha / t)` its derivative in `alpha_j` is
    `p_j (c_j - E) / t`, where `E` is the slot's own expectation.

    Args:
      probs: slot to `f32[ops]`, each summing to 1.
    """
    total = jnp.asarray(self.constant, dtype=float)
    for slot, table in self.tables:
      total = total + probs[slot] @ jnp.asarray(table, dtype=probs[slot].dtype)
    return total

  def exact(self, architecture: Architecture) -> int:
    """Cost of the derived network, to the unit."""
    pairs = zip(self.tables, architecture.indices, strict=True)
    return self.constant + sum(table[i] for (_, table), i in pairs)

  def bounds(self) -> tuple[int, int]:
    """Smallest and largest cost that an architecture can have."""
    low = sum(min(table) for _, table in self.tables)
    high = sum(max(table) for _, table in self.tables)
    return self.constant + low, self.constant + high


def _additive(
  space: Space, name: str, unit: str, measure: Callable[..., int]
) -> Cost:
  """`measure(op, features, stride, input shape)` of every op, as a `Cost`."""
  constant, tables = 0, []
  shape = (1, space.image_size, space.image_size, space.channels)
  for slot in space.slots:
    place = slot.features, slot.stride, shape
    table = tuple(measure(op, *place) for op in slot.ops)
    if len(table) == 1:
      constant += table[0]
    else:
      tables.append((slot.name, table))
    shape = _output_shape(slot, shape)
  return Cost(name, unit, constant, tuple(tables))


def macs(space: Space) -> Cost:
  """Multiply-accumulates of one inference; the literature's "FLOPs".

  Convolutions and linear layers, padding taps included; see `nasjax.count`.
  """
  return _additive(space, 'macs', 'MACs', op_macs)


def params(space: Space) -> Cost:
  """Trainable parameters: batch norm's scale and bias in, statistics out."""
  return _additive(space, 'params', 'parameters', op_params)


# --- One op at one place, cached: equal blocks are traced once ---------------

_COUNTED = Numerics(depthwise='native')
Shape = tuple[int, ...]


@functools.cache
def _traceable(op: Op, features: int, stride: int, shape: Shape):
  """The op's apply function, and the shapes of its variables and input."""
  module = op.module(features, stride, _COUNTED)
  x = jax.ShapeDtypeStruct(shape, jnp.float32)
  key = jax.eval_shape(jax.random.key, 0)
  variables = jax.eval_shape(lambda k, x: module.init(k, x, False), key, x)
  return (lambda v, x: module.apply(v, x, False)), variables, x


@functools.cache
def op_macs(op: Op, features: int, stride: int, shape: Shape) -> int:
  """MACs of one op on an input of `shape`, `(1, height, width, channels)`."""
  return count.macs(*_traceable(op, features, stride, shape))


@functools.cache
def op_params(op: Op, features: int, stride: int, shape: Shape) -> int:
  """Parameters of one op on an input of `shape`."""
  return count.params(_traceable(op, features, stride, shape)[1])


@functools.cache
def op_shape(op: Op, features: int, stride: int, shape: Shape) -> Shape:
  """The shape that leaves one op."""
  return jax.eval_shape(*_traceable(op, features, stride, shape)).shape


def _output_shape(slot: Slot, shape: Shape) -> Shape:
  """The shape that leaves a slot; all its ops must agree on it."""
  found = {
    op.name: op_shape(op, slot.features, slot.stride, shape) for op in slot.ops
  }
  if len(set(found.values())) > 1:
    raise ValueError(f'ops of slot {slot.name!r} differ in shape: {found}')
  return next(iter(found.values()))

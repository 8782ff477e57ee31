"""Blocks: the parts of a network that a measure counts or times."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp

from nasjax.ops import Numerics

Shape = tuple[int, ...]

_COUNTED = Numerics(lowering='native')


class Block(Protocol):
  """One part of a network with all that is chosen in it. Hashable.

  It may have closed forms besides, so that no program has to be traced:

  * `closed_form(resource, *input_shapes)`, the number of `'macs'`, `'params'`
    or `'memory'`, or None where it has none;
  * `output_shape(*input_shapes)`.

  Example:
    >>> import dataclasses
    >>> @dataclasses.dataclass(frozen=True)
    ... class Dense:
    ...   features: int
    ...   def module(self, numerics):
    ...     class Layer(nn.Module):
    ...       features: int
    ...       @nn.compact
    ...       def __call__(self, x, train):
    ...         return nn.Dense(self.features)(x)
    ...     return Layer(self.features)
    >>> output_shape(Dense(3), (1, 8))
    (1, 3)
  """

  def module(self, numerics: Numerics) -> nn.Module:
    """A Linen module, called `(*inputs, train)`."""
    ...


# `measure(block, *input_shapes) -> number`; shapes are those of a batch of 1.
Measure = Callable[..., int | float]


@functools.cache
def program(block: Block, *shapes: Shape) -> tuple[Callable, Any, list]:
  """A block's apply function with the shapes of its variables and inputs.

  Args:
    block: what to build.
    *shapes: of its inputs, float32.

  Returns:
    A function `(variables, *inputs) -> outputs` of the block in inference, and
    what it takes, as `jax.ShapeDtypeStruct`.

  Example:
    >>> from nasjax import count, ops
    >>> from nasjax.cost.blocks import OpBlock
    >>> block = OpBlock(ops.Conv(3), 16, 2)
    >>> apply, variables, inputs = program(block, (1, 8, 8, 3))
    >>> count.macs(apply, variables, *inputs)  # 4*4*16 * 3*3*3
    6912
  """
  module = block.module(_COUNTED)
  inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  key = jax.eval_shape(jax.random.key, 0)
  init = lambda k, *x: module.init(k, *x, False)  # noqa: E731
  variables = jax.eval_shape(init, key, *inputs)
  # Under jit it is traced once for all that is asked of it.
  apply = jax.jit(lambda v, *x: module.apply(v, *x, False))
  return apply, variables, inputs


def output_shape(block: Block, *shapes: Shape) -> Shape:
  """The shape that leaves a block, by its closed form if it has one.

  Example:
    >>> from nasjax import ops
    >>> from nasjax.cost.blocks import OpBlock
    >>> output_shape(OpBlock(ops.Conv(3), 16, 2), (1, 8, 8, 3))
    (1, 4, 4, 16)
  """
  known = getattr(block, 'output_shape', None)
  return known(*shapes) if known else traced_shape(block, *shapes)


def traced_shape(block: Block, *shapes: Shape) -> Shape:
  """The shape that leaves a block's module.

  Example:
    >>> from nasjax import ops
    >>> from nasjax.cost.blocks import OpBlock
    >>> traced_shape(OpBlock(ops.Conv(3), 16, 2), (1, 8, 8, 3))
    (1, 4, 4, 16)
  """
  apply, variables, inputs = program(block, *shapes)
  return jax.eval_shape(apply, variables, *inputs).shape

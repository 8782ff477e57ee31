"""What one block costs, at one place.

A block is counted from the program of its built module, or by its own closed
form, which is held to equal that. `measure_macs`, `measure_params` and
`measure_memory` are what `SearchSpace.tables` takes; `op_macs` and its siblings
count one op of a chain.
"""

import functools

from nasjax import count
from nasjax.ops import Op
from nasjax.space import (
  Block,
  Number,
  OpBlock,
  Shape,
  output_shape,
  program,
)
from nasjax.space import traced_shape as traced_block_shape


def measure_macs(block: Block, *shapes: Shape) -> Number:
  """MACs of one block on inputs of these shapes, for a batch of 1.

  Example:
    >>> from nasjax import ops, space
    >>> block = space.OpBlock(ops.Conv(3), 16, 2)
    >>> measure_macs(block, (1, 8, 8, 3)) == 4 * 4 * 16 * 3 * 3 * 3
    True
  """
  return _counted('macs', block, *shapes)


def measure_params(block: Block, *shapes: Shape) -> Number:
  """Trainable parameters of one block on inputs of these shapes.

  Example:
    >>> from nasjax import ops, space
    >>> block = space.OpBlock(ops.Conv(3), 16, 2)
    >>> measure_params(block, (1, 8, 8, 3)) == 3 * 3 * 3 * 16 + 2 * 16
    True
  """
  return _counted('params', block, *shapes)


def measure_memory(block: Block, *shapes: Shape) -> Number:
  """Peak bytes of float32 activations while one block runs.

  Example:
    >>> from nasjax import ops, space
    >>> block = space.OpBlock(ops.Conv(3), 16, 2)
    >>> measure_memory(block, (1, 8, 8, 3)) == 4 * (8*8*3 + 4*4*16)
    True
  """
  return _counted('memory', block, *shapes)


def _counted(resource: str, block: Block, *shapes: Shape) -> Number:
  form = getattr(block, 'closed_form', None)
  number = form(resource, *shapes) if form else None
  return _traced(resource, block, *shapes) if number is None else number


@functools.cache
def _traced(resource: str, block: Block, *shapes: Shape) -> int:
  apply, variables, inputs = program(block, *shapes)
  if resource == 'macs':
    return count.macs(apply, variables, *inputs)
  if resource == 'params':
    return count.params(variables)
  return count.peak_memory(apply, variables, *inputs).bytes


# --- One op of a chain -------------------------------------------------------


def op_macs(op: Op, features: int, stride: int, shape: Shape) -> Number:
  """MACs of one op on an input of `shape`, `(1, height, width, channels)`.

  Example:
    >>> from nasjax import ops
    >>> op_macs(ops.Conv(3), 16, 2, (1, 8, 8, 3)) == 4 * 4 * 16 * 3 * 3 * 3
    True
  """
  return measure_macs(OpBlock(op, features, stride), shape)


def op_params(op: Op, features: int, stride: int, shape: Shape) -> Number:
  """Trainable parameters of one op on an input of `shape`.

  Example:
    >>> from nasjax import ops
    >>> op_params(ops.Conv(3), 16, 2, (1, 8, 8, 3)) == 3 * 3 * 3 * 16 + 2 * 16
    True
  """
  return measure_params(OpBlock(op, features, stride), shape)


def op_memory(op: Op, features: int, stride: int, shape: Shape) -> Number:
  """Peak bytes of float32 activations while one op runs on `shape`.

  Example:
    >>> from nasjax import ops
    >>> op_memory(ops.Conv(3), 16, 2, (1, 8, 8, 3)) == 4 * (8*8*3 + 4*4*16)
    True
  """
  return measure_memory(OpBlock(op, features, stride), shape)


def op_shape(op: Op, features: int, stride: int, shape: Shape) -> Shape:
  """The shape that leaves one op.

  Example:
    >>> from nasjax import ops
    >>> op_shape(ops.Conv(3), 16, 2, (1, 8, 8, 3))
    (1, 4, 4, 16)
  """
  return output_shape(OpBlock(op, features, stride), shape)


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
  return _traced(resource, OpBlock(op, features, stride), shape)


def traced_shape(op: Op, features: int, stride: int, shape: Shape) -> Shape:
  """The shape that leaves one op, closed forms or not.

  Example:
    >>> from nasjax import ops
    >>> traced_shape(ops.Conv(3), 16, 2, (1, 8, 8, 3))
    (1, 4, 4, 16)
  """
  return traced_block_shape(OpBlock(op, features, stride), shape)

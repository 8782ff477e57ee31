"""The key of a block: all that changes what a device runs."""

from nasjax.ops import Skip
from nasjax.space import Block, OpBlock, Shape


def block_key(block: Block, *shapes: Shape, dtype: str) -> str | None:
  """The key under which the time of a block stands in a table.

  The name of an op has its kernel, expansion, activation and squeeze-excite,
  and ops that differ have different names. The input is added where the stride
  is 1 and the channels do not change, so a key does not say it.

  Args:
    block: as `SearchSpace.tables` measures it.
    *shapes: of its inputs, `(1, height, width, channels)`.
    dtype: that the device computes in, such as `float32` or `int8`.

  Returns:
    The key, which two blocks share only if a device runs the same for both;
    None for the identity, for which a device runs nothing.

  Example:
    >>> from nasjax import ops
    >>> block = OpBlock(ops.MBConv(5, 3), 40, 2)
    >>> block_key(block, (1, 28, 28, 24), dtype='float32')
    'mbconv_k5_e3-input:28x28x24-output:40-stride:2-dtype:float32'
    >>> block_key(OpBlock(ops.Skip(), 24, 1), (1, 28, 28, 24), dtype='int8')
  """
  inputs = '+'.join('x'.join(map(str, shape[1:])) for shape in shapes)
  if not isinstance(block, OpBlock):
    # Blocks are frozen dataclasses, whose text has all their fields.
    return f'{block!r}-input:{inputs}-dtype:{dtype}'
  if isinstance(block.op, Skip):
    return None
  return (
    f'{block.op.name}-input:{inputs}-output:{block.features}'
    f'-stride:{block.stride}-dtype:{dtype}'
  )

"""The tables that ProxylessNAS and Once-for-All publish, as tables of ours.

Their keys say less than ours: no dtype, and ProxylessNAS' no activation. So
each block of a space is looked up by the key that it would have there, and the
table that is made has the blocks of that space alone.
"""

from collections.abc import Callable, Mapping

from nasjax.errors import InputError
from nasjax.latency.keys import block_key
from nasjax.latency.table import LatencyTable
from nasjax.ops import Classifier, Conv, MBConv
from nasjax.space import Block, OpBlock, SearchSpace, Shape

Keys = Callable[[OpBlock, Shape], tuple[str, ...]]
_DTYPE = 'float32'
_RELUS = ('relu', 'relu6')
_ACTIVATIONS = (*_RELUS, 'hard_swish')


def proxylessnas(
  space: SearchSpace, entries: Mapping[str, float]
) -> LatencyTable:
  """A table of a space from one that ProxylessNAS publishes.

  Args:
    space: a chain of `MBConv`, with a `Conv` of 3x3 at the start and one of 1x1
      before a `Classifier`, such as `nasjax.spaces.proxylessnas`. Activations
      are ReLU or ReLU6, without squeeze-excite: the keys tell neither.
    entries: key to ms, as `nasjax.latency.read_yaml` returns them.

  Returns:
    A table of `kind='blocks'` in float32.

  Raises:
    InputError: a block has no key there, or no entry; all are listed.

  Example:
    >>> from nasjax import ops
    >>> block = OpBlock(ops.MBConv(3, 6), 24, 1)
    >>> proxylessnas_keys(block, (1, 56, 56, 24))
    ('expanded_conv-input:56x56x24-output:56x56x24-expand:6-kernel:3-stride:1\
-idskip:1',)
  """
  return _table(space, entries, proxylessnas_keys)


def once_for_all(
  space: SearchSpace, entries: Mapping[str, float]
) -> LatencyTable:
  """A table of a space from one that Once-for-All publishes.

  Args:
    space: a chain of `MBConv`, with a `Conv` of 3x3 at the start and one of 1x1
      before a `Classifier`, which may have a hidden layer. Activations are
      ReLU, ReLU6 or hard-swish. A squeeze-excite reduces the expanded width to
      a quarter.
    entries: key to ms, as `nasjax.latency.read_yaml` returns them.

  Returns:
    A table of `kind='blocks'` in float32.

  Raises:
    InputError: a block has no key there, or no entry; all are listed.

  Example:
    >>> from nasjax import ops
    >>> once_for_all_keys(OpBlock(ops.Classifier(), 1000, 1), (1, 7, 7, 1152))
    ('AvgPool2D-input:7x7x1152-output:1x1x1152', \
'Logits-input:1x1x1152-output:1000')
  """
  return _table(space, entries, once_for_all_keys)


def _table(
  space: SearchSpace, entries: Mapping[str, float], keys: Keys
) -> LatencyTable:
  found: dict[str, float] = {}
  missing: set[str] = set()

  def measure(block: Block, *shapes: Shape) -> float:
    own = block_key(block, *shapes, dtype=_DTYPE)
    if own is None:
      return 0.0
    theirs = keys(block, *shapes) if isinstance(block, OpBlock) else ()
    if not theirs:
      missing.add(f'{own} (which has no key there)')
    elif lacking := [key for key in theirs if key not in entries]:
      missing.update(lacking)
    else:
      found[own] = sum(entries[key] for key in theirs)
    return 0.0

  space.tables(measure)
  if missing:
    raise InputError(
      f'the table lacks, of {space.name}: {", ".join(sorted(missing))}'
    )
  return LatencyTable(
    space.name,
    found,
    image_size=getattr(space, 'image_size', None),
    num_classes=getattr(space, 'num_classes', None),
    dtype=_DTYPE,
    statistic='mean',
  )


def proxylessnas_keys(block: OpBlock, shape: Shape) -> tuple[str, ...]:
  """The keys of a block there; empty where it has none.

  Example:
    >>> from nasjax import ops
    >>> proxylessnas_keys(OpBlock(ops.Conv(3), 32, 2), (1, 224, 224, 3))
    ('Conv-input:224x224x3-output:112x112x32',)
  """
  op = block.op
  if isinstance(op, Classifier) and op.hidden is None:
    return (f'Logits-input:{_size(shape)}-output:{block.features}',)
  if isinstance(op, Conv) and op.activation in _RELUS:
    return _conv(op, block, shape)
  if not isinstance(op, MBConv) or op.activation not in _RELUS or op.se:
    return ()
  expand, rest = divmod(op.expanded(shape[-1]), shape[-1])
  if rest or not _plain(op, block, shape):
    return ()
  return (_mbconv(op, block, shape, expand),)


def once_for_all_keys(block: OpBlock, shape: Shape) -> tuple[str, ...]:
  """The keys of a block there; empty where it has none.

  Example:
    >>> from nasjax import ops
    >>> op = ops.MBConv(3, 6, 'hard_swish', se=4)
    >>> once_for_all_keys(OpBlock(op, 192, 1), (1, 7, 7, 192))
    ('expanded_conv-input:7x7x192-output:7x7x192-expand:1152-kernel:3-stride:1\
-idskip:1-se:1-hs:1',)
  """
  op = block.op
  if isinstance(op, Classifier):
    return _classifier(op, block, shape)
  if isinstance(op, Conv) and op.activation in _ACTIVATIONS:
    return _conv(op, block, shape)
  if not isinstance(op, MBConv) or op.activation not in _ACTIVATIONS:
    return ()
  known = op.se in (0, 4) and op.se_from == 'expanded'
  if not known or not _plain(op, block, shape):
    return ()
  key = _mbconv(op, block, shape, op.expanded(shape[-1]))
  swish = int(op.activation == 'hard_swish')
  return (f'{key}-se:{int(op.se > 0)}-hs:{swish}',)


def _size(shape: Shape) -> str:
  return 'x'.join(map(str, shape[1:]))


def _output(block: OpBlock, shape: Shape) -> str:
  """The size that leaves a block that pads as `SAME`."""
  height, width = (-(-edge // block.stride) for edge in shape[1:3])
  return f'{height}x{width}x{block.features}'


def _classifier(
  op: Classifier, block: OpBlock, shape: Shape
) -> tuple[str, ...]:
  """Keys of the pooling and of one or two layers."""
  channels = shape[-1]
  keys = [f'AvgPool2D-input:{_size(shape)}-output:1x1x{channels}']
  if op.hidden is not None:
    keys.append(f'Conv_2-input:1x1x{channels}-output:1x1x{op.hidden}')
    channels = op.hidden
  return (*keys, f'Logits-input:1x1x{channels}-output:{block.features}')


def _conv(op: Conv, block: OpBlock, shape: Shape) -> tuple[str, ...]:
  """The key of the first convolution, 3x3, or of the last one, 1x1."""
  name = {(3, 2): 'Conv', (1, 1): 'Conv_1'}.get((op.kernel, block.stride))
  if name is None or op.padding != 'same':
    return ()
  return (f'{name}-input:{_size(shape)}-output:{_output(block, shape)}',)


def _plain(op: MBConv, block: OpBlock, shape: Shape) -> bool:
  """Whether a block is not grouped, and adds its input wherever it fits."""
  return op.groups == 1 and (op.residual or not _fits(block, shape))


def _fits(block: OpBlock, shape: Shape) -> bool:
  return block.stride == 1 and shape[-1] == block.features


def _mbconv(op: MBConv, block: OpBlock, shape: Shape, expand: int) -> str:
  return (
    f'expanded_conv-input:{_size(shape)}-output:{_output(block, shape)}'
    f'-expand:{expand}-kernel:{op.kernel}-stride:{block.stride}'
    f'-idskip:{int(_fits(block, shape))}'
  )

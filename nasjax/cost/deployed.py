"""What a network takes on a device: its file, and its working memory."""

from collections.abc import Callable, Iterable

import jax

from nasjax.cost.base import Cost
from nasjax.cost.blocks import measure_memory
from nasjax.errors import InputError
from nasjax.space import Block, OpBlock, SearchSpace, Shape, program

DTYPES = ('float32', 'int8')
SIZE, RAM = 'size_kb', 'ram_kb'
_DIGITS = 3  # Bytes.
# Bytes of each weight.
_WEIGHT = {'float32': 4, 'int8': 1}
# Bytes beside them for each output channel: a bias of 32 bits; in int8 also a
# scale of 32 bits and a zero point of 64, for the weights and for the bias.
_CHANNEL = {'float32': 4, 'int8': 4 + 2 * (4 + 8)}
# Bytes of a layer's operators, tensors and names in a LiteRT file. The largest
# of seven exported networks, 956 to 1312.
_LAYER = 1330


def size_kb(space: SearchSpace, dtype: str = 'float32') -> Cost:
  """Size of the exported LiteRT file, kB (1000 bytes).

  Weights, biases, scales and zero points are counted. The rest of a file is
  about a constant per layer, which is taken as its largest; so files of seven
  networks of 0.1 to 12 MB were 0 to 3 % smaller than this. Names of classes are
  not counted.

  Args:
    space: a search space, or a network: a space without choices.
    dtype: `'float32'` or `'int8'`, of weights and activations.

  Returns:
    An additive cost in kB, named `size_kb`.

  Raises:
    InputError: another dtype, or images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> small = zoo.mobilenet_v3_small(image_size=64, num_classes=10)
    >>> size_kb(small, 'int8').constant  # The file has 1862.304 kB.
    1863.276
  """
  _check(dtype)

  def measure(block: Block, *shapes: Shape) -> float:
    return (
      sum(
        _WEIGHT[dtype] * weights + _CHANNEL[dtype] * channels + _LAYER
        for weights, channels in _kernels(block, *shapes)
      )
      / 1000
    )

  tables = space.tables(measure)
  return Cost(SIZE, 'kB', tables, space=space, digits=_DIGITS)


def ram_kb(space: SearchSpace, dtype: str = 'float32') -> Cost:
  """Peak activations of one inference in a dtype, kB (1000 bytes).

  It is `nasjax.cost.memory` with numbers of this size; what a runtime takes
  besides is not counted.

  Args:
    space: a search space, or a network: a space without choices.
    dtype: `'float32'` or `'int8'`.

  Returns:
    A cost in kB with `reduction='max'`, named `ram_kb`.

  Raises:
    InputError: another dtype, or images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> network = zoo.mobilenet_v2()
    >>> ram_kb(network).constant, ram_kb(network, 'int8').constant
    (6021.12, 1505.28)
  """
  _check(dtype)
  measure = lambda *place: measure_memory(*place) * _WEIGHT[dtype] / 4000  # noqa: E731
  return Cost(RAM, 'kB', space.tables(measure), 'max', space, _DIGITS)


def _kernels(block: Block, *shapes: Shape) -> Iterable[tuple[int, int]]:
  """Weights and output channels of each layer of a block."""
  if isinstance(block, OpBlock):
    # An inherited closed form may not fit a module that is overridden.
    form = vars(type(block.op)).get('kernels')
    if form is not None:
      return form(block.op, shapes[0][-1], block.features)
  return traced_kernels(block, *shapes)


def traced_kernels(block: Block, *shapes: Shape) -> list[tuple[int, int]]:
  """Weights and output channels of each layer, closed forms or not.

  Example:
    >>> from nasjax import ops
    >>> traced_kernels(OpBlock(ops.Conv(3), 16, 2), (1, 8, 8, 4))
    [(576, 16)]
  """
  _, variables, _ = program(block, *shapes)
  leaves = jax.tree.leaves(variables.get('params', {}))
  # Batch norm is folded: of each layer its kernel is left, and one bias.
  return [(leaf.size, leaf.shape[-1]) for leaf in leaves if leaf.ndim > 1]


def _check(dtype: str) -> None:
  if dtype not in DTYPES:
    raise InputError(
      f'dtype is {dtype!r}; it must be one of {", ".join(DTYPES)}'
    )


# Keys are the names of limits on the command line.
DEPLOYED: dict[str, Callable[..., Cost]] = {SIZE: size_kb, RAM: ram_kb}

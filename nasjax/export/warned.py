"""What a LiteRT runtime is known to be slow at, as warnings."""

from collections.abc import Sequence

from nasjax.export.litert_file import Operator

# Of float32: XNNPACK has kernels of its own for depthwise convolutions of up to
# 25 taps, on ARM as on x86.
_MOST_TAPS = 25
# What the CPU delegate takes in one partition, of what networks here have.
_DELEGATED = {
  'ADD',
  'CONCATENATION',
  'CONV_2D',
  'DEPTHWISE_CONV_2D',
  'DEQUANTIZE',
  'FULLY_CONNECTED',
  'HARD_SWISH',
  'LOGISTIC',
  'MAX_POOL_2D',
  'MEAN',
  'MUL',
  'PAD',
  'QUANTIZE',
  'RESHAPE',
  'SLICE',
  'SUB',
  'TRANSPOSE',
}


def warnings(
  operators: Sequence[Operator], fully_accelerated: bool
) -> list[str]:
  """A line for each reason to expect that a file runs slowly.

  Args:
    operators: of the file.
    fully_accelerated: whether the CPU delegate takes all of them.

  Example:
    >>> shapes = (1, 8, 8, 4), (1, 7, 7, 4)
    >>> wide = Operator('DEPTHWISE_CONV_2D', shapes, False)
    >>> for line in warnings([wide], True):
    ...   print(line)
    1 depthwise convolution has 49 taps: the CPU delegate has fast kernels for \
up to 25 (5x5), and a larger one takes several times as long
  """
  found = []
  depthwise = [op for op in operators if op.name == 'DEPTHWISE_CONV_2D']
  taps = [op.shapes[1][1] * op.shapes[1][2] for op in depthwise]
  large = [number for number in taps if number > _MOST_TAPS]
  if large:
    several = 's have up to' if len(large) > 1 else ' has'
    found.append(
      f'{len(large)} depthwise convolution{several} {max(large)} taps: the CPU '
      f'delegate has fast kernels for up to {_MOST_TAPS} (5x5), and a larger '
      'one takes several times as long'
    )
  swish = sum(op.name == 'HARD_SWISH' and op.quantised for op in operators)
  if swish:
    found.append(
      f'{swish} hard-swish operators are int8, which the CPU delegate does not '
      'take: the file runs in many partitions, and may be slower than in '
      'float32; export float32, or search with relu6'
    )
  elif not fully_accelerated:
    others = sorted({op.name for op in operators} - _DELEGATED)
    named = ', '.join(others) if others else 'an operator of this form'
    found.append(
      f'the CPU delegate does not take all operators in one partition: it '
      f'lacks {named}'
    )
  return found

"""The chain of NAS-Bench-Macro, of which every accuracy is known."""

from nasjax.ops import Classifier, Conv, MBConv, Skip
from nasjax.space import Slot, Space

# Channels and number of slots of each stage, whose first slot has stride 2.
_STAGES = (64, 2), (128, 3), (256, 3)
_STEM, _HEAD = 32, 1280


def nasbench_macro(
  *,
  image_size: int = 32,
  channels: int = 3,
  num_classes: int = 10,
  width: float = 1.0,
) -> Space:
  """The space of NAS-Bench-Macro: eight slots of three ops each.

  Su et al. 2021 (Prioritized Architecture Sampling with Monto-Carlo Tree
  Search, section 5) trained all 6,561 networks on CIFAR-10. Each slot chooses
  the identity, `MBConv(3, 3)` or `MBConv(5, 6)`, with ReLU. Where the stride is
  2, a 1x1 convolution without activation stands for the identity. In the digits
  by which the benchmark names a network, 0, 1 and 2 are these ops.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.
    width: multiplier of all channels. Narrow networks train faster and have the
      same choices, see `nasjax.space.Proxy`.

  Example:
    >>> choices = nasbench_macro().choices
    >>> choices['stage1_1'].options
    ('conv_k1_identity', 'mbconv_k3_e3_relu', 'mbconv_k5_e6_relu')
    >>> len(choices), choices['stage1_2'].options[0]
    (8, 'skip')
  """

  def scaled(features: int) -> int:
    return max(1, round(features * width))

  blocks = MBConv(3, 3, 'relu'), MBConv(5, 6, 'relu')
  slots = [Slot('stem', (Conv(3, 'relu'),), scaled(_STEM))]
  for stage, (features, count) in enumerate(_STAGES, 1):
    for i in range(count):
      first = Skip() if i else Conv(1, 'identity')
      name, stride = f'stage{stage}_{i + 1}', 1 if i else 2
      slots.append(Slot(name, (first, *blocks), scaled(features), stride))
  slots.append(Slot('head', (Conv(1, 'relu'),), scaled(_HEAD)))
  slots.append(Slot('classifier', (Classifier(),), num_classes))
  return Space('nasbench_macro', image_size, channels, tuple(slots))

"""Published networks, as spaces with one choice per slot.

They are counted, trained, derived, exported and plotted like any other space.
"""

from nasjax.errors import InputError
from nasjax.ops import Classifier, Conv, MBConv
from nasjax.space import Slot, Space

# Sandler et al. 2018, MobileNetV2, table 2: expansion, width, blocks, stride.
_MOBILENET_V2 = (
  (1, 16, 1, 1),
  (6, 24, 2, 2),
  (6, 32, 3, 2),
  (6, 64, 4, 2),
  (6, 96, 3, 1),
  (6, 160, 3, 2),
  (6, 320, 1, 1),
)


def round_to_multiple(width: float, divisor: int = 8) -> int:
  """Nearest multiple of `divisor`, never more than 10 % below `width`.

  The rule by which MobileNetV2 and its successors scale widths.

  Example:
    >>> round_to_multiple(24 * 1.4), round_to_multiple(11)
    (32, 16)
  """
  rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
  return rounded if rounded >= 0.9 * width else rounded + divisor


def mobilenet_v2(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  divisor: int | None = None,
) -> Space:
  """MobileNetV2 (Sandler et al. 2018), table 2, scaled by `width`.

  The head is never made narrower than 1280 (section 6.1), except for images
  under 64 pixels: there it scales as everything does, or it would be most of a
  small network, and the strides follow `small_image_strides`.

  Args:
    width: multiplier of all widths but a head's that would shrink.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    divisor: widths are multiples of it; None is 8, and 4 under 64 pixels,
      where steps of 8 would be coarse.
  """
  if not 0 < width <= 4:
    raise InputError(f'mobilenet_v2 requires a width in (0, 4], got {width}')
  small = image_size < 64
  divisor = divisor or (4 if small else 8)

  def scaled(features: int) -> int:
    return round_to_multiple(width * features, divisor)

  strides = iter(small_image_strides([2, 1, 2, 2, 2, 1, 2, 1], image_size))
  slots = [Slot('stem', (Conv(3),), scaled(32), next(strides))]
  for s, (expand, features, blocks, _) in enumerate(_MOBILENET_V2, 1):
    stride = next(strides)
    for b in range(blocks):
      op = MBConv(3, expand)
      slot = Slot(
        f'stage{s}_{b + 1}', (op,), scaled(features), stride if b == 0 else 1
      )
      slots.append(slot)
  head = scaled(1280) if small else max(1280, scaled(1280))
  slots.append(Slot('head', (Conv(1),), head))
  slots.append(Slot('classifier', (Classifier(0.2),), num_classes))
  name = 'mobilenet_v2' if width == 1 else f'mobilenet_v2@{width:g}'
  return Space(name, image_size, channels, tuple(slots))


def small_image_strides(strides: list[int], image_size: int) -> list[int]:
  """The one rule by which published strides are adapted to small images.

  The earliest strides of 2 become 1 until the last feature map is at least 2
  pixels high, as far as there are any; images of 64 pixels and more keep the
  published strides.

  Example:
    >>> small_image_strides([2, 2, 2, 2, 2], 32)
    [1, 2, 2, 2, 2]
  """
  strides = list(strides)
  for i, stride in enumerate(strides):
    size = image_size
    for s in strides:
      size = -(-size // s)
    if image_size >= 64 or size >= 2:
      break
    if stride == 2:
      strides[i] = 1
  return strides

"""Chains in which the downsampling pattern is a choice, too."""

from collections.abc import Sequence

from nasjax.ops import MBConv
from nasjax.space import Space
from nasjax.spaces.mobile import CANDIDATES, Stage, mobile
from nasjax.spaces.mobile_width import width_stage

# Strides of the stem and of each stage; the reduction is 32 in all of them.
_PATTERNS = {
  'published': (2, 1, 2, 2, 2, 1, 2, 1),
  'early': (2, 1, 2, 2, 2, 2, 1, 1),
  'late': (2, 1, 2, 2, 1, 2, 2, 1),
}
# The reduction is 8 in all of them.
_SMALL_PATTERNS = {
  'early': (2, 2, 2, 1, 1),
  'middle': (2, 1, 2, 2, 1),
  'late': (1, 1, 2, 2, 2),
}


def mobile_macro(
  *,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  multipliers: Sequence[float] = (0.5, 0.75, 1.0, 1.25),
) -> Space:
  """Preset for photographs: kernel, expansion, widths, downsampling pattern.

  `mobile_width` with three patterns of strides: MobileNetV2's, one that reaches
  the last resolution a stage earlier, and one that leaves the second last a
  stage later. At equal MACs the downsampling pattern decides more than kernel
  and expansion do; in most spaces of the literature it is fixed.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    multipliers: of the stages' widths, which are rounded to multiples of 8.

  Example:
    >>> mobile_macro().choices['pattern'].options
    ('published', 'early', 'late')
  """
  stem, first, *strides = zip(*_PATTERNS.values(), strict=True)
  layout = (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)
  rows = zip(layout, strides, strict=True)
  return mobile(
    [
      Stage(16, 1, first, candidates=(MBConv(3, 1),)),
      *(width_stage(*row, stride, multipliers, 8) for row, stride in rows),
    ],
    name='mobile_macro',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    stem_stride=stem,
    head=1280,
    candidates=tuple(op for op in CANDIDATES if getattr(op, 'expand', 3) > 1),
    dropout=0.2,
    patterns=tuple(_PATTERNS),
  )


def mobile_macro_small(
  *,
  image_size: int = 28,
  channels: int = 1,
  num_classes: int = 10,
  multipliers: Sequence[float] = (0.5, 0.75, 1.0, 1.5),
) -> Space:
  """Preset for images of 28 to 32 pixels: ops, widths, patterns.

  The slots and candidates of `mobile_small`; widths are multiples of 4.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.
    multipliers: multipliers of the stages' widths, which are rounded to
      multiples of 4.

  Example:
    >>> mobile_macro_small().choices['pattern'].options
    ('early', 'middle', 'late')
  """
  stem, *strides = zip(*_SMALL_PATTERNS.values(), strict=True)
  rows = zip(((16, 1), (24, 2), (40, 3), (64, 2)), strides, strict=True)
  return mobile(
    [width_stage(*row, stride, multipliers, 4) for row, stride in rows],
    name='mobile_macro_small',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=16,
    stem_stride=stem,
    head=128,
    candidates=CANDIDATES,
    patterns=tuple(_SMALL_PATTERNS),
  )

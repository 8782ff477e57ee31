"""Chains of mobile blocks in which the width of a stage is a choice, too."""

from collections.abc import Sequence

from nasjax.ops import MBConv, Op, Skip, round_to_multiple
from nasjax.space import Space
from nasjax.spaces.mobile import CANDIDATES, Stage, mobile

_CANDIDATES: tuple[Op, ...] = (
  *(MBConv(kernel, expand) for kernel in (3, 5) for expand in (3, 6)),
  Skip(),
)

# Four of the seven of Bender et al. 2020, TuNAS: a table holds every width that
# can come in and go out, so it grows with the square.
_MULTIPLIERS = (0.5, 0.75, 1.0, 1.5)


def mobile_width(
  *,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  multipliers: Sequence[float] = _MULTIPLIERS,
) -> Space:
  """Preset for photographs: MobileNetV2's stages, 16 slots and 6 widths.

  Each stage chooses its width among multiples of MobileNetV2's (Sandler et al.
  2018, table 2), as TuNAS does around a base of its own (Bender et al. 2020,
  the enlarged ProxylessNAS space, with multipliers 0.5, 0.625, 0.75, 1, 1.25,
  1.5 and 2); one network holds them all by masking, as in FBNetV2 (Wan et al.
  2020, section 3.1). Each slot chooses a kernel of 3 or 5 and an expansion of 3
  or 6, and 10 of them can be skipped. Stem, first block and head are fixed.
  MobileNetV2 is an architecture of this space.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    multipliers: of the stages' widths, which are rounded to multiples of 8.

  Example:
    >>> choices = mobile_width().choices
    >>> choices['stage3_width'].options, len(choices['stage3_2'])
    (('16', '24', '32', '48'), 5)
  """
  layout = (24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2)
  return mobile(
    [
      Stage(16, 1, candidates=(MBConv(3, 1),)),
      *(width_stage(*row, multipliers, 8) for row in (*layout, (320, 1, 1))),
    ],
    name='mobile_width',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    stem_stride=2,
    head=1280,
    candidates=_CANDIDATES,
    dropout=0.2,
  )


def mobile_width_small(
  *,
  image_size: int = 28,
  channels: int = 1,
  num_classes: int = 10,
  multipliers: Sequence[float] = _MULTIPLIERS,
) -> Space:
  """Preset for images of 28 to 32 pixels: eight slots and four widths.

  `mobile_small` with its slots and candidates, in which the widths of the
  stages are choices, too. The first slot cannot be skipped, because its width
  may differ from the stem's. `mobile_width` has the sources.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    multipliers: of the stages' widths. They are rounded to multiples of 4: in
      networks this narrow 8 would be a coarse step.

  Example:
    >>> mobile_width_small().choices['stage1_width'].options
    ('8', '12', '16', '24')
  """
  layout = (16, 1, 1), (24, 2, 2), (40, 3, 2), (64, 2, 1)
  return mobile(
    [width_stage(*row, multipliers, 4) for row in layout],
    name='mobile_width_small',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=16,
    stem_stride=2,
    head=128,
    candidates=CANDIDATES,
  )


def width_stage(
  features: int,
  slots: int,
  stride: int | tuple[int, ...],
  multipliers: Sequence[float],
  divisor: int,
) -> Stage:
  """A stage whose width is one of several multiples.

  Args:
    features: what is multiplied.
    slots: how many.
    stride: of the first one.
    multipliers: of `features`, in any order.
    divisor: widths are multiples of it; some may round to the same one.

  Example:
    >>> width_stage(24, 2, 1, (0.5, 0.75, 1.0, 1.5), 8).features
    (16, 24, 40)
  """
  widths = {round_to_multiple(features * m, divisor) for m in multipliers}
  return Stage(tuple(sorted(widths)), slots, stride)

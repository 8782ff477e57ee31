"""Chains of mobile blocks whose kernel, expansion and depth are searched."""

import dataclasses
import functools
from collections.abc import Sequence

from nasjax.ops import Classifier, Conv, MBConv, Op, Skip
from nasjax.space import Slot, Space, Width, pairs

CANDIDATES: tuple[Op, ...] = (
  *(MBConv(kernel=k, expand=e) for k in (3, 5) for e in (1, 3, 6)),
  Skip(),
)


@dataclasses.dataclass(frozen=True)
class Stage:
  """Slots of one width; the first one reduces by `stride`.

  Attributes:
    features: channels; several where the stage's width is a choice, too.
    slots: how many.
    stride: of the first one; one for each pattern where the space has any.
    candidates: ops of this stage; None is those of the whole space. With a
      single one the stage is fixed.

  Example:
    >>> space = mobile(
    ...   [Stage(16, 1), Stage((24, 32), 2, stride=2)],
    ...   image_size=32, num_classes=10, stem=16, stem_stride=1, head=64)
    >>> list(space.choices)
    ['stage1_1', 'stage2_width', 'stage2_1', 'stage2_2']
  """

  features: int | tuple[int, ...]
  slots: int
  stride: int | tuple[int, ...] = 1
  candidates: tuple[Op, ...] | None = None


def mobile(
  stages: Sequence[Stage],
  *,
  name: str = 'mobile',
  image_size: int,
  channels: int = 3,
  num_classes: int,
  stem: int,
  stem_stride: int | tuple[int, ...],
  head: int,
  candidates: Sequence[Op] = CANDIDATES,
  activation: str = 'relu6',
  bias: bool = False,
  dropout: float = 0.0,
  hidden: int | None = None,
  patterns: Sequence[str] = (),
) -> Space:
  """A stem, stages of slots, and a head; what to choose is in the slots.

  The layout is MobileNetV2's (Sandler et al. 2018, table 2); a choice per block
  of kernel and expansion, and of skipping it, is FBNet's and ProxylessNAS's
  (Wu et al. 2019, table 2; Cai et al. 2019, section 4.2).

  Args:
    stages: widths, depths and strides.
    name: of the space.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    stem: width of the 3x3 convolution at the start.
    stem_stride: its stride.
    head: width of the 1x1 convolution before the pooling.
    candidates: ops; each stands in the slots that it fits, so `Skip` only
      where stride and width do not change.
    activation: of stem and head; that of the blocks is their own.
    bias: whether their convolutions have one besides the batch norm.
    dropout: before the classifier.
    hidden: width of a linear layer before it; None is none.
    patterns: names of the ways to downsample among which is chosen; then
      strides may be tuples, with a number for each pattern.

  Returns:
    A space whose searched slots are named `stageS_B`, and whose searched
    widths `stageS_width`.

  Example:
    >>> space = mobile(
    ...   [Stage(16, 1), Stage(24, 2, stride=2)],
    ...   image_size=32, num_classes=10, stem=16, stem_stride=1, head=64)
    >>> [len(names) for names in space.choices.values()]
    [7, 6, 7]
  """
  conv = functools.partial(Conv, activation=activation, bias=bias)
  slots = [Slot('stem', (conv(3),), stem, stem_stride)]
  for s, stage in enumerate(stages, 1):
    features = stage.features
    if not isinstance(features, int):
      features = Width(f'stage{s}_width', tuple(features))
    known = candidates if stage.candidates is None else stage.candidates
    for b in range(stage.slots):
      stride = stage.stride if b == 0 else 1
      meeting = pairs(slots[-1].features, features)
      fitting = tuple(
        op
        for op in known
        if all(op.fits(n, m, s) for n, m in meeting for s in _all(stride))
      )
      slots.append(Slot(f'stage{s}_{b + 1}', fitting, features, stride))
  slots.append(Slot('head', (conv(1),), head))
  classifier = Classifier(dropout, hidden)
  slots.append(Slot('classifier', (classifier,), num_classes))
  return Space(name, image_size, channels, tuple(slots), tuple(patterns))


def _all(stride: int | tuple[int, ...]) -> tuple[int, ...]:
  return (stride,) if isinstance(stride, int) else stride


def mobile_small(
  *, image_size: int = 28, channels: int = 1, num_classes: int = 10
) -> Space:
  """Preset for images of 28 to 32 pixels: eight searched slots.

  Widths are about half of MobileNetV2's, and the first reduction is the
  second stage's, not the stem's: at this size resolution is dear.

  Example:
    >>> from nasjax import cost
    >>> space = mobile_small()
    >>> len(space.choices), cost.macs(space).bounds()
    (8, (251984, 4840624))
  """
  return mobile(
    [Stage(16, 1), Stage(24, 2, 2), Stage(40, 3, 2), Stage(64, 2)],
    name='mobile_small',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=16,
    stem_stride=2,
    head=128,
  )


def mobile_medium(
  *, image_size: int = 96, channels: int = 3, num_classes: int = 10
) -> Space:
  """Preset for photos of 64 to 128 pixels: eleven searched slots.

  Resolution is halved five times, as in MobileNetV2. The last stage and the
  head are narrower than there, since folders of photos have few classes.

  Example:
    >>> from nasjax import cost
    >>> space = mobile_medium()
    >>> len(space.choices), cost.macs(space).bounds()
    (11, (1855552, 42854944))
  """
  return mobile(
    [
      Stage(16, 1),
      Stage(24, 2, 2),
      Stage(32, 3, 2),
      Stage(64, 3, 2),
      Stage(112, 2, 2),
    ],
    name='mobile_medium',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=16,
    stem_stride=2,
    head=256,
  )


def mobile_224(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """Preset for photographs: MobileNetV2's stages, 17 searched slots.

  Example:
    >>> from nasjax import cost
    >>> space = mobile_224()
    >>> len(space.choices), cost.macs(space).bounds()
    (17, (49800192, 496962432))
  """
  return mobile(
    [
      Stage(16, 1),
      Stage(24, 2, 2),
      Stage(32, 3, 2),
      Stage(64, 4, 2),
      Stage(96, 3),
      Stage(160, 3, 2),
      Stage(320, 1),
    ],
    name='mobile_224',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    stem_stride=2,
    head=1280,
    dropout=0.2,
  )

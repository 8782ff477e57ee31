"""What published networks have in common: checks, blocks to slots, sizes."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from nasjax.errors import InputError
from nasjax.ops import Classifier, Conv, Op, Skip
from nasjax.space import Slot, Space

# An op with the width that comes out and its stride.
Block = tuple[Op, int, int]


def check(
  name: str,
  image_size: int,
  channels: int,
  num_classes: int,
  width: float = 1.0,
  smallest: int = 1,
) -> str:
  """The name of a network's space; refuses what it cannot be made for.

  Raises:
    InputError: a number is out of range, with what would be right.
  """
  if not 0 < width <= 4:
    raise InputError(f'{name} requires a width in (0, 4], got {width}')
  if image_size < smallest:
    raise InputError(
      f'{name} requires an image_size of at least {smallest}, got {image_size}'
    )
  for field, value in {'channels': channels, 'classes': num_classes}.items():
    if value < 1:
      raise InputError(f'{name} requires at least 1 of {field}, got {value}')
  return name if width == 1 else f'{name}@{width:g}'


def repeat(op: Op, features: int, blocks: int, stride: int) -> list[Block]:
  """A stage of equal blocks, of which the first one has the stride."""
  return [(op, features, stride if b == 0 else 1) for b in range(blocks)]


def varied(
  features: int,
  stride: int,
  blocks: Iterable[tuple | None],
  op: Callable[..., Op],
) -> list[Block]:
  """A stage of blocks that differ.

  Args:
    features: width of all.
    stride: of the first one.
    blocks: the arguments of `op` for each; None is a block that is skipped.
    op: makes an op.
  """
  return [
    (Skip() if args is None else op(*args), features, stride if b == 0 else 1)
    for b, args in enumerate(blocks)
  ]


def stage_slots(stages: Iterable[Sequence[Block]]) -> list[Slot]:
  """Slots named `stageS_B`."""
  return [
    Slot(f'stage{s}_{b}', (op,), features, stride)
    for s, stage in enumerate(stages, 1)
    for b, (op, features, stride) in enumerate(stage, 1)
  ]


def mobile(
  name: str,
  stages: Iterable[Sequence[Block]],
  *,
  image_size: int,
  channels: int,
  num_classes: int,
  stem: int,
  head: int | None,
  conv: dict | None = None,
  classifier: Classifier,
) -> Space:
  """The chain that all mobile networks are.

  Images under 64 pixels have the strides of `small_image_strides`.

  Args:
    name: of the space.
    stages: blocks between stem and head.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    stem: width of the 3x3 convolution at the start; its stride is 2.
    head: width of the 1x1 convolution at the end; None is none.
    conv: arguments of `Conv` for both, besides the kernel.
    classifier: after them.
  """
  conv = conv or {}
  slots = [Slot('stem', (Conv(3, **conv),), stem, 2), *stage_slots(stages)]
  if head is not None:
    slots.append(Slot('head', (Conv(1, **conv),), head))
  slots.append(Slot('classifier', (classifier,), num_classes))
  strides = small_image_strides([slot.stride for slot in slots], image_size)
  slots = tuple(
    dataclasses.replace(slot, stride=stride)
    for slot, stride in zip(slots, strides, strict=True)
  )
  return Space(name, image_size, channels, slots)


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


def divisor_for(image_size: int) -> int:
  """What scaled widths are multiples of: 8, and 4 under 64 pixels.

  Small images want narrow networks, in which steps of 8 would be coarse.
  """
  return 4 if image_size < 64 else 8

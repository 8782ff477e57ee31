"""What published networks have in common: checks, blocks to slots, sizes."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from nasjax.errors import InputError
from nasjax.ops import Classifier, Conv, Op, Skip, round_to_multiple
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
  return Space(name, image_size, channels, tuple(slots))


def small_images(network: Space, smallest: int = 2) -> Space:
  """The one rule by which published strides are adapted to small images.

  The earliest strides of 2 become 1 until the last feature map before the
  classifier is at least `smallest` pixels high, as far as there are any.

  Args:
    network: as published, for the images in question.
    smallest: height of the last map that is wanted.

  Example:
    >>> from nasjax import zoo
    >>> network = zoo.mobilenet_v2(image_size=32, num_classes=10)
    >>> [slot.stride for slot in small_images(network).slots if slot.stride > 1]
    [2, 2, 2, 2]
  """
  slots = list(network.slots)
  for i, slot in enumerate(slots):
    size = network.image_size
    for s in slots:
      size = -(-size // s.fixed_stride)
    if size >= smallest:
      break
    if slot.stride == 2:
      slots[i] = dataclasses.replace(slot, stride=1)
  return dataclasses.replace(network, slots=tuple(slots))


# Widths that ops have of themselves, whatever those of their slots.
_OWN_WIDTHS = 'mid', 'squeeze', 'hidden'


def scale_widths(network: Space, width: float, divisor: int = 8) -> Space:
  """All widths of a network but the classifier's times a factor.

  For families whose authors give few widths, or one. What a block does with its
  width, as to expand it, stays.

  Args:
    network: as published.
    width: multiplier of the widths.
    divisor: widths are multiples of it, of even numbers where blocks take
      halves.

  Raises:
    InputError: the width is out of range.
    ValueError: an op has a width of its own, which would not scale.

  Example:
    >>> from nasjax import zoo
    >>> half = scale_widths(zoo.efficientnet_lite0(), 0.5)
    >>> half.name, [slot.features for slot in half.slots][:3]
    ('efficientnet_lite0@0.5', [16, 8, 16])
  """
  for slot in network.slots:
    for op in slot.ops:
      own = [name for name in _OWN_WIDTHS if getattr(op, name, None)]
      if own:
        raise ValueError(
          f'scale_widths requires ops whose widths follow their slots, got '
          f'{own[0]} in {op.name} of {network.name}.'
        )
  *body, classifier = network.slots
  sizes = network.image_size, network.channels, classifier.fixed_features
  name = check(network.name, *sizes, width)
  slots = [
    dataclasses.replace(
      s, features=round_to_multiple(width * s.fixed_features, divisor)
    )
    for s in body
  ]
  return dataclasses.replace(network, name=name, slots=(*slots, classifier))

"""The parts of a chain: slots, and widths that are choices."""

import dataclasses
import itertools

from nasjax.errors import InputError
from nasjax.ops import Op

# Pixels, channels or classes: larger sizes are no sizes of arrays.
LARGEST_SIZE = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Width:
  """A number of channels that is a choice; slots of one stage share it.

  Attributes:
    name: name of the choice; unique among slots and widths of a space.
    options: numbers of channels, ascending.

  Raises:
    ValueError: fewer than two options, or options that are not positive whole
      numbers in ascending order.

  Example:
    >>> Width('width1', (16, 24)).largest
    24
  """

  name: str
  options: tuple[int, ...]

  def __post_init__(self):
    right = all(isinstance(n, int) and n > 0 for n in self.options)
    ascending = sorted(set(self.options)) if right else None
    if len(self.options) < 2 or list(self.options) != ascending:
      raise ValueError(
        f'width {self.name!r} requires at least two ascending positive '
        f'options, got {self.options}.'
      )

  @property
  def largest(self) -> int:
    return self.options[-1]


def channels(features: int | Width) -> tuple[int, ...]:
  """All numbers of channels that `features` can be.

  Example:
    >>> channels(24), channels(Width('stage1_width', (16, 24)))
    ((24,), (16, 24))
  """
  return features.options if isinstance(features, Width) else (features,)


def pairs(
  inputs: int | Width, outputs: int | Width
) -> tuple[tuple[int, int], ...]:
  """All `(channels in, channels out)` that can meet; equal for one choice.

  Example:
    >>> width = Width('w', (8, 16))
    >>> pairs(4, width), pairs(width, width)
    (((4, 8), (4, 16)), ((8, 8), (16, 16)))
  """
  if inputs == outputs:
    return tuple((n, n) for n in channels(inputs))
  return tuple(itertools.product(channels(inputs), channels(outputs)))


@dataclasses.dataclass(frozen=True)
class Slot:
  """A place in the network, with the ops that can stand there.

  Attributes:
    name: unique in its space; also the name of its parameters.
    ops: candidates; one means that nothing is to choose.
    features: channels that come out; a `Width` where they are a choice.
    stride: spatial reduction; out is `ceil(in / stride)`. Where the space has
      patterns it may be one number for each of them.

  Raises:
    InputError: features or strides that no array has.
    ValueError: no ops, two of one name, or sizes that are not positive.

  Example:
    >>> from nasjax.ops import MBConv, Skip
    >>> slot = Slot('stage1_2', (MBConv(3, 6), Skip()), 24)
    >>> slot.op_names, slot.widths
    (('mbconv_k3_e6', 'skip'), (24,))
  """

  name: str
  ops: tuple[Op, ...]
  features: int | Width
  stride: int | tuple[int, ...] = 1

  def __post_init__(self):
    if not self.ops:
      raise ValueError(f'slot {self.name!r} requires at least one op, got ().')
    strides = self.stride if isinstance(self.stride, tuple) else (self.stride,)
    if not all(isinstance(n, int) for n in (*self.widths, *strides)):
      raise ValueError(
        f'slot {self.name!r} requires whole features and strides, got '
        f'{self.features} and {self.stride}.'
      )
    if min(self.widths) < 1 or min(strides, default=0) < 1:
      raise ValueError(
        f'slot {self.name!r} requires positive features and stride, got '
        f'{self.features} and {self.stride}.'
      )
    if max(*self.widths, *strides) > LARGEST_SIZE:
      raise InputError(
        f'slot {self.name!r} has features {self.features} and stride '
        f'{self.stride}; they may be at most {LARGEST_SIZE}'
      )
    if len(set(self.op_names)) < len(self.ops):
      raise ValueError(
        f'slot {self.name!r} requires ops of different names, got '
        f'{", ".join(self.op_names)}.'
      )

  @property
  def op_names(self) -> tuple[str, ...]:
    return tuple(op.name for op in self.ops)

  @property
  def fixed_features(self) -> int:
    """`features` where they are no choice.

    Raises:
      ValueError: they are a choice.
    """
    if isinstance(self.features, Width):
      raise ValueError(
        f'slot {self.name!r} requires features that are fixed, got '
        f'{self.features}.'
      )
    return self.features

  @property
  def fixed_stride(self) -> int:
    """`stride` where it is one number.

    Raises:
      ValueError: it is one for each pattern.
    """
    if isinstance(self.stride, tuple):
      raise ValueError(
        f'slot {self.name!r} requires one stride, got {self.stride}; choose a '
        'pattern (nasjax.space.at_pattern).'
      )
    return self.stride

  @property
  def widths(self) -> tuple[int, ...]:
    """All numbers of channels that can come out."""
    return channels(self.features)


def check_images(name: str, image_size: int, channels: int) -> None:
  """Refuses sizes that no image has.

  Args:
    name: of the space, for the message.
    image_size: height and width in pixels.
    channels: of the images.

  Raises:
    InputError: image size or channels below 1 or too large.

  Example:
    >>> check_images('tiny', 8, 1)
  """
  if image_size < 1 or channels < 1:
    raise InputError(
      f'space {name!r} requires images of at least 1 pixel and 1 channel, got '
      f'image_size {image_size} and channels {channels}'
    )
  if max(image_size, channels) > LARGEST_SIZE:
    raise InputError(
      f'space {name!r} requires images of at most {LARGEST_SIZE} pixels and '
      f'channels, got image_size {image_size} and channels {channels}'
    )

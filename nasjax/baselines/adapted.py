"""Published networks of any width, adapted to small images."""

import dataclasses
import functools
import inspect
from collections.abc import Callable

from nasjax import zoo
from nasjax.errors import InputError
from nasjax.space import Space

SMALL_IMAGES = 64  # Pixels, under which published networks are adapted.


def at_width(make: Callable[..., Space], width: float) -> Callable[..., Space]:
  """A published network of some width, still to be given its images.

  Args:
    make: a function of `nasjax.zoo`.
    width: multiplier of its channels, where the paper has one.

  Raises:
    InputError: it comes in one width only.

  Example:
    >>> at_width(zoo.mobilenet_v2, 1.4)().name
    'mobilenet_v2@1.4'
  """
  if 'width' in inspect.signature(make).parameters:
    return functools.partial(make, width=width)
  if width != 1:
    raise InputError(
      f'{make.__name__} comes in one width, got width={width:g}; leave it out'
    )
  return make


def for_images(
  make: Callable[..., Space],
  width: float = 1.0,
  *,
  image_size: int,
  channels: int,
  num_classes: int,
  smallest: int = 2,
  divisor: int = 4,
) -> Space:
  """A published network, adapted where the images are small.

  Under 64 pixels its earliest strides become 1 (`zoo.small_images`), and all of
  its widths scale. Otherwise the widths at its end, which some papers keep,
  would take most of a small budget.

  Args:
    make: a function of `nasjax.zoo`.
    width: multiplier of its channels.
    image_size: height and width of the images, in pixels.
    channels: of the images.
    num_classes: outputs.
    smallest: least height of the last feature map, of small images.
    divisor: widths are multiples of it on small images; 8, as in the papers,
      would be coarse steps in networks this narrow.

  Raises:
    InputError: the network cannot take such images or such a width.

  Example:
    >>> net = for_images(
    ...   zoo.mobilenet_v2, 0.5, image_size=28, channels=1, num_classes=10)
    >>> net.name
    'mobilenet_v2@0.5_small_images'
  """
  sizes = {
    'image_size': image_size,
    'channels': channels,
    'num_classes': num_classes,
  }
  if image_size >= SMALL_IMAGES:
    return at_width(make, width)(**sizes)
  try:
    published = make(**sizes)
    if 'rule' in inspect.signature(make).parameters:
      # MobileNetV3's blocks and its classifier have widths of their own.
      own = {'width': width, 'divisor': divisor, 'rule': 'torchvision'}
      published = make(**sizes, **own)
    elif width != 1:
      published = _scaled(make, published, width, divisor)
    adapted = zoo.small_images(published, smallest)
  except InputError:
    raise
  except ValueError as e:
    # Some blocks widen only where they downsample, and no more of that is left.
    raise InputError(
      f'{make.__name__} cannot take images as small as {image_size} pixels '
      f'({e})'
    ) from e
  # Its counts differ from the published one's, so its name does.
  return dataclasses.replace(adapted, name=f'{adapted.name}_small_images')


def _scaled(make, published: Space, width: float, divisor: int) -> Space:
  try:
    return zoo.scale_widths(published, width, divisor)
  except InputError:
    raise
  except ValueError:
    at_width(make, width)  # Raises an InputError where it has one width.
    raise

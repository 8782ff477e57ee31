"""Spaces at other sizes of images, or for another number of classes."""

import dataclasses
from typing import TypeVar

from nasjax.errors import InputError
from nasjax.space.cell_space import CellSpace
from nasjax.space.chain import Space
from nasjax.space.protocol import SearchSpace
from nasjax.space.proxy import Proxy

S = TypeVar('S', bound=SearchSpace)


def resize(
  space: S,
  *,
  image_size: int | None = None,
  channels: int | None = None,
  num_classes: int | None = None,
) -> S:
  """The same ops for other images or another number of classes.

  Args:
    space: the space to copy: a chain, a space of cells, or a proxy of them.
    image_size: height and width of the images in pixels; None keeps it.
    channels: channels of the images; None keeps them.
    num_classes: number of classes; None keeps it.

  Returns:
    The space with these sizes; alphas and choices stay valid.

  Raises:
    InputError: a size is below 1 or too large, or a space of another kind.
    ValueError: an op does not fit its place at these channels, or `num_classes`
      is no positive number.

  Example:
    >>> from nasjax import spaces
    >>> small = resize(spaces.mobile_small(), image_size=32, channels=3)
    >>> small.image_size, small.channels, small.num_classes
    (32, 3, 10)
  """
  sizes = {'image_size': image_size, 'channels': channels}
  if isinstance(space, Proxy):
    full, small = (
      resize(own, **sizes, num_classes=num_classes)
      for own in (space.full, space.small)
    )
    return dataclasses.replace(space, full=full, small=small)
  place = {Space: 'slots', CellSpace: 'layers'}.get(type(space))
  if place is None:
    raise InputError(
      f'space {space.name!r} is a {type(space).__name__}, whose sizes nasjax '
      'does not know; make it for these images'
    )
  *before, last = getattr(space, place)
  if num_classes is not None:
    last = dataclasses.replace(last, features=num_classes)
  given = {name: size for name, size in sizes.items() if size is not None}
  return dataclasses.replace(space, **given, **{place: (*before, last)})  # pyrefly: ignore[bad-specialization]

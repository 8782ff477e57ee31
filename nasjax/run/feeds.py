"""How training images come to the steps: all at once, or as they are needed."""

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding

from nasjax import data
from nasjax.data import stream, stream_batches
from nasjax.run.hosts import devices

if TYPE_CHECKING:
  import grain


class Feed(NamedTuple):
  """How the images of one part of a set come to the steps.

  Attributes:
    like: what each step is given, or its shapes.
    next: gives it, and uses it up.
    peek: gives what `next` will give.
    position: what keeps where the stream stands, with `get_state` and
      `set_state`; None where nothing streams.
    sharding: of the batches.
  """

  like: data.Arrays
  next: Callable[[], data.Arrays]
  peek: Callable[[], data.Arrays]
  position: Any = None
  sharding: NamedSharding | None = None


def of(
  images: data.Arrays | stream.Decoded,
  batch_size: int,
  image_shape: tuple[int, int, int],
  *,
  seed: int,
  crop_area: float | None = stream.CROP_AREA,
  sharding: NamedSharding | None = None,
) -> Feed:
  """All images on the device, or batches of them as they are needed.

  Args:
    images: decoded, or rows that are streamed.
    batch_size: images per step, of all processes together.
    image_shape: height, width and channels of what a step is given.
    seed: of what a stream draws.
    crop_area: least share of an image that a stream cuts out of it; None takes
      the middle of each.
    sharding: of the batches.
  """
  if isinstance(images, data.Arrays):
    arrays = devices.everywhere(images, sharding)
    return Feed(arrays, lambda: arrays, lambda: arrays, sharding=sharding)
  batches = stream_batches.train_batches(
    images,
    batch_size // jax.process_count(),
    image_shape[0],
    seed=seed % 2**32,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    area=None if crop_area is None else (crop_area, 1.0),
  )
  shape = functools.partial(jax.ShapeDtypeStruct, sharding=sharding)
  # By `_make`, as shapes stand for arrays here.
  images_like = shape((batch_size, *image_shape), np.uint8)
  like = data.Arrays._make((images_like, shape((batch_size,), np.int32)))
  ahead = Ahead(batches)
  return Feed(
    like,
    lambda: devices.joined(ahead.next(), sharding),
    lambda: devices.joined(ahead.peek(), sharding),
    ahead,
    sharding,
  )


class Ahead:
  """An iterator whose next batch can be looked at before it is taken.

  Looking does not change its position (`get_state`).
  """

  def __init__(self, batches: 'grain.DatasetIterator[data.Arrays]'):
    self._batches = batches
    self._seen: tuple[Any, data.Arrays] | None = None

  def peek(self) -> data.Arrays:
    """What `next` will give."""
    if self._seen is None:
      self._seen = self._batches.get_state(), next(self._batches)
    return self._seen[1]

  def next(self) -> data.Arrays:
    """The next batch, which is used up."""
    found, self._seen = self.peek(), None
    return found

  def get_state(self) -> Any:
    """Where it stands, a document."""
    return self._batches.get_state() if self._seen is None else self._seen[0]

  def set_state(self, state: Any) -> None:
    """Goes to where another one stood."""
    self._seen = None
    self._batches.set_state(state)


class Together:
  """Where several streams stand, as one document."""

  def __init__(self, positions: Mapping[str, Any]):
    self._positions = positions

  def get_state(self) -> dict[str, Any]:
    return {name: at.get_state() for name, at in self._positions.items()}

  def set_state(self, state: Mapping[str, Any]) -> None:
    for name, at in self._positions.items():
      at.set_state(state[name])


def position(**each: Feed) -> Together | None:
  """What keeps where those that stream stand; None where nothing streams."""
  streams = {
    name: feed.position
    for name, feed in each.items()
    if feed.position is not None
  }
  return Together(streams) if streams else None

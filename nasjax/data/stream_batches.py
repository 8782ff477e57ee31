"""Batches of a streamed set: rows are read and cut as they are needed.

The training images are one endless stream: epoch after epoch, each with all
rows once in an order of its own. Step `t` takes the next `count * size` places
of it, of which process `i` of `count` takes every `count`-th, from the `i`-th
on. So processes never have a row in common, what they have together does not
depend on how many there are, and no row is left out. Which part of an image is
cut follows from its place in the stream, too.

Where an iterator stands is a small document, `iterator.get_state()`; a new one
that is given it by `set_state` goes on with the same batches.

Grain, which reads ahead in threads, is imported when it is needed:
`pip install grain`.
"""

import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nasjax.data import images
from nasjax.data.dataset import Arrays
from nasjax.data.stream import CROP_AREA, Decoded
from nasjax.errors import InputError

if TYPE_CHECKING:
  import grain

# Of the shorter edge: see `images.middle`.
TEST_SHARE = 0.875
_THREADS = min(16, 2 * (os.cpu_count() or 1))


def train_batches(
  rows: Decoded,
  size: int,
  image_size: int,
  *,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
  area: tuple[float, float] | None = (CROP_AREA, 1.0),
) -> 'grain.DatasetIterator[Arrays]':
  """The training batches of one process, without end.

  Args:
    rows: images with labels, see `Rows`.
    size: images per batch, of this process.
    image_size: edge in pixels of what is cut from the images.
    seed: of the order and the cuts; the same in all processes.
    process_index: which of the processes this is, from 0.
    process_count: how many there are.
    area: least and largest share of an image's area that is cut out; see
      `image.random_square`. None takes the middle, as of test images, and
      leaves nothing random but the order.

  Returns:
    An iterator of grain: batches of `uint8[size, image_size, image_size,
    channels]` with `int32[size]`, and `get_state` and `set_state`.

  Raises:
    InputError: an argument is out of its range.

  Example:
    >>> rows = [(np.zeros((9, 12, 1), np.uint8), np.int32(i)) for i in range(6)]
    >>> images, labels = next(train_batches(rows, 6, 8, seed=0))
    >>> images.shape, sorted(labels.tolist())
    ((6, 8, 8, 1), [0, 1, 2, 3, 4, 5])
  """
  if not 0 <= process_index < process_count:
    raise InputError(
      f'process_index is {process_index}; of {process_count} it must be 0 to '
      f'{process_count - 1}'
    )
  if not 1 <= size * process_count <= len(rows):
    raise InputError(
      f'batch_size is {size} in each of {process_count} processes; with '
      f'{len(rows)} examples it must be 1 to {len(rows) // process_count}'
    )
  if area is not None and not 0 < area[0] <= area[1] <= 1:
    raise InputError(
      f'the share of an image that is cut out is {area[0]} to {area[1]}; it '
      'must be above 0 and at most 1'
    )
  import grain

  def cut(row: tuple[np.ndarray, np.int32], rng: np.random.Generator) -> Arrays:
    if area is None:
      return _middle(row, image_size)
    picture = images.of_pixels(row[0])
    pixels = images.random_square(picture, image_size, rng, area)
    return Arrays(pixels, np.asarray(row[1]))

  # Repeated before it is cut and shared out: so every place of the stream has
  # a number of its own, in all processes, and with it its own randomness.
  stream = grain.MapDataset.source(rows).seed(seed).shuffle().repeat()
  stream = stream.random_map(cut)[process_index::process_count]
  return iter(_read_ahead(stream, size).batch(size, drop_remainder=True))


def once(rows: Decoded, size: int, image_size: int) -> Iterator[Arrays]:
  """All rows once, in their order; of each image the middle, nothing random.

  Args:
    rows: images with labels, see `Rows`.
    size: images per batch; the last one may have fewer.
    image_size: edge in pixels of what is cut from the images.

  Example:
    >>> rows = [(np.zeros((9, 12, 1), np.uint8), np.int32(i)) for i in range(6)]
    >>> [labels.tolist() for _, labels in once(rows, 4, 8)]
    [[0, 1, 2, 3], [4, 5]]
  """
  import grain

  middle = functools.partial(_middle, image_size=image_size)
  all_rows = grain.MapDataset.source(rows).map(middle)
  return iter(_read_ahead(all_rows, size).batch(size, drop_remainder=False))


def sample(rows: Decoded, image_size: int, most: int = 1024) -> np.ndarray:
  """Images from all over the rows, the same every time, for statistics.

  Args:
    rows: images with labels, see `Rows`.
    image_size: edge in pixels of what is cut from the images.
    most: images that are taken if there are as many.
  """
  places = np.unique(np.linspace(0, len(rows) - 1, most).astype(int))
  picked = [images.of_pixels(rows[i][0]) for i in places.tolist()]
  return np.stack([images.square(picture, image_size) for picture in picked])


def spread(rows: Decoded, most: int, image_size: int) -> Arrays:
  """Images from all over the rows with labels, the same ones every time.

  Args:
    rows: images with labels, see `Rows`.
    most: images that are taken if there are as many.
    image_size: edge in pixels of what is cut from the images.

  Example:
    >>> rows = [(np.zeros((9, 12, 1), np.uint8), np.int32(i)) for i in range(6)]
    >>> images, labels = spread(rows, 3, 8)
    >>> images.shape, labels.tolist()
    ((3, 8, 8, 1), [0, 2, 5])
  """
  places = np.unique(np.linspace(0, len(rows) - 1, most).astype(int))
  each = [_middle(rows[i], image_size) for i in places.tolist()]
  return Arrays(*map(np.stack, zip(*each, strict=True)))


def _middle(row: tuple[np.ndarray, np.int32], image_size: int) -> Arrays:
  picture = images.of_pixels(row[0])
  pixels = images.middle(picture, image_size, TEST_SHARE)
  return Arrays(pixels, np.asarray(row[1]))


def _read_ahead(stream: Any, size: int) -> Any:
  import grain

  return stream.to_iter_dataset(
    grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=2 * size)
  )

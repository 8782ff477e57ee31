"""Reads TFDS sets into arrays, without TensorFlow."""

import concurrent.futures
import os
from typing import NamedTuple

import numpy as np

from nasjax.data import images as image_lib
from nasjax.data import tfds_builder
from nasjax.errors import InputError

_CHUNK = 64  # Rows that a thread reads at a time.
_WORKERS = min(8, os.cpu_count() or 1)
# Smaller images are decoded faster by one thread: with more, most of the work
# holds Python's lock, and they wait for one another.
_THREADS_FROM_BYTES = 30_000


class Source(NamedTuple):
  """A decoded set.

  Attributes:
    train: `(images, labels)` for training: `uint8[n, height, width, channels]`
      and `int32[n]`.
    test: `(images, labels)` for the test, of the same shapes.
    test_split: the split that `test` came from.
    class_names: one per class.
  """

  train: tuple[np.ndarray, np.ndarray]
  test: tuple[np.ndarray, np.ndarray]
  test_split: str
  class_names: tuple[str, ...]


def shape_of(
  opened: tfds_builder.Opened, image_size: int | None = None
) -> tuple[int, int, int]:
  """Height, width and channels of the images, from the first of them."""
  first = opened.rows(opened.train_split)[0][opened.image]
  shape = _pixels(first, image_size).shape
  return shape if len(shape) == 3 else (*shape, 1)


def read(opened: tfds_builder.Opened, image_size: int | None = None) -> Source:
  """Reads the training and the test images of a set.

  Args:
    opened: what `tfds_builder.open_set` gives.
    image_size: edge in pixels of what each image's middle is resized to; None
      leaves images as they are.

  Raises:
    InputError: labels are missing, or images differ in size and `image_size`
      does not say which.
  """
  name = opened.name
  train, test = (
    _decode(f'{name}, {split}', opened, opened.rows(split), image_size)
    for split in (opened.train_split, opened.test_split)
  )
  if train[0].shape[1:] != test[0].shape[1:]:
    raise _sizes_differ(name, train[0].shape[1:], test[0].shape[1:])
  return Source(train, test, opened.test_split, opened.class_names)


def _pixels(found: np.ndarray, image_size: int | None) -> np.ndarray:
  if image_size is None:
    return found
  return image_lib.square(image_lib.of_pixels(found), image_size)


def _decode(
  what: str,
  opened: tfds_builder.Opened,
  rows: tfds_builder.Rows,
  image_size: int | None,
) -> tuple[np.ndarray, np.ndarray]:
  """Decodes all rows: `uint8[n, height, width, channels]`, `int32[n]`."""
  first = rows[0][opened.image]
  shape = _pixels(first, image_size).shape
  image_lib.check_memory(what, len(rows), shape)
  images = np.empty((len(rows), *shape), np.uint8)
  labels = np.empty(len(rows), np.int32)

  def decode(start: int) -> None:
    places = range(start, min(start + _CHUNK, len(rows)))
    for i, row in zip(places, rows.__getitems__(places), strict=True):
      found = _pixels(row[opened.image], image_size)
      if found.shape != shape:
        raise _sizes_differ(what, shape, found.shape)
      images[i] = found
      labels[i] = row[opened.label]

  small = first.size < _THREADS_FROM_BYTES
  try:
    with concurrent.futures.ThreadPoolExecutor(
      1 if small else _WORKERS
    ) as pool:
      # The list makes the first error of a thread this function's.
      list(pool.map(decode, range(0, len(rows), _CHUNK)))
  except (OSError, RuntimeError) as error:
    raise tfds_builder.unreadable(what, error) from error
  check_labels(what, labels, len(opened.class_names))
  return images[..., None] if len(shape) == 2 else images, labels


def check_labels(what: str, labels: np.ndarray, num_classes: int) -> None:
  """Raises InputError where a label is missing (-1) or of no class."""
  if missing := int((labels == -1).sum()):
    raise InputError(
      f'data set {what}: {missing} of {len(labels)} images have no label (-1); '
      'give a split of those that have one'
    )
  if labels.min() < 0 or labels.max() >= num_classes:
    raise InputError(
      f'data set {what}: labels go from {labels.min()} to {labels.max()}; for '
      f'{num_classes} classes they must be 0 to {num_classes - 1}'
    )


def _sizes_differ(what: str, one: tuple, other: tuple) -> InputError:
  return InputError(
    f'data set {what}: images differ in size, as {_by(one)} and {_by(other)}; '
    'give image_size=64, or another edge in pixels, to resize them'
  )


def _by(shape: tuple) -> str:
  return ' x '.join(map(str, shape))

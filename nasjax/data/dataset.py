"""Data sets as arrays: decoded once, kept as uint8."""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax.errors import InputError


class Arrays(NamedTuple):
  """Images with their labels, a pytree; NumPy or JAX arrays.

  Attributes:
    images: `uint8[n, height, width, channels]`, 0 to 255.
    labels: `int32[n]`, the class of each image, from 0.

  Example:
    >>> black = Arrays(np.zeros((3, 8, 8, 1), np.uint8), np.array([0, 1, 1]))
    >>> black.images.shape, black.labels.tolist()
    ((3, 8, 8, 1), [0, 1, 1])
  """

  images: jax.Array | np.ndarray
  labels: jax.Array | np.ndarray


# Arrays have no single truth value, so a generated == could only fail.
@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """An image classification set, decoded.

  Attributes:
    name: the name that `nasjax.data.load` was given.
    train: the training images; `data_split.split` takes validation from them.
    test: the images that only the final accuracy may see.
    class_names: one per class, in the order of the labels.
    test_split: the split that `test` came from, as 'test' or 'train[80%:]'.
    skipped: files that could not be read, each with the reason.
    valid: images that a folder holds for choosing weights or alphas, apart from
      the others; None where it holds none.
    remarks: what a user should know of the images, a line for each.

  Example:
    >>> from nasjax.data import load
    >>> dataset = load()
    >>> dataset.num_train, dataset.num_test, dataset.num_classes
    (5000, 10000, 10)
    >>> dataset.sizes
    {'image_size': 28, 'channels': 1, 'num_classes': 10}
  """

  name: str
  train: Arrays
  test: Arrays
  class_names: tuple[str, ...]
  test_split: str = 'test'
  skipped: tuple[str, ...] = ()
  valid: Arrays | None = None
  remarks: tuple[str, ...] = ()

  @property
  def num_classes(self) -> int:
    return len(self.class_names)

  @property
  def num_train(self) -> int:
    """Training images."""
    return len(self.train.labels)

  @property
  def num_test(self) -> int:
    """Test images."""
    return len(self.test.labels)

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """Height, width and channels of every image."""
    _, height, width, channels = self.train.images.shape
    return height, width, channels

  @property
  def sizes(self) -> dict[str, int]:
    """`image_size`, `channels` and `num_classes`, as spaces take them."""
    return sizes(self)


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
  """A set whose sizes are known, though its images are not decoded yet.

  Attributes:
    name: the name that `nasjax.data.open_set` was given.
    image_shape: height, width and channels of every image.
    class_names: one per class, in the order of the labels.
    num_train: training images; files that cannot be read may be among them.
    num_test: test images; files that cannot be read may be among them.
    read: decodes all images; raises InputError where they cannot be used.
    resized: what decoding does to the size of the images; None where they stay
      as they are.

  Example:
    >>> from nasjax.data import open_set
    >>> opened = open_set()
    >>> opened.num_train, len(opened.read().train.labels)
    (5000, 5000)
  """

  name: str
  image_shape: tuple[int, int, int]
  class_names: tuple[str, ...]
  num_train: int
  num_test: int
  read: Callable[[], Dataset]
  resized: str | None = None

  @property
  def num_classes(self) -> int:
    return len(self.class_names)

  @property
  def sizes(self) -> dict[str, int]:
    """`image_size`, `channels` and `num_classes`, as spaces take them."""
    return sizes(self)


def sizes(dataset: Any) -> dict[str, int]:
  """Image size, channels and classes, as spaces and networks take them.

  Args:
    dataset: decoded, opened or streamed.

  Raises:
    InputError: images are not square.

  Example:
    >>> from nasjax.data import load
    >>> sizes(load())
    {'image_size': 28, 'channels': 1, 'num_classes': 10}
  """
  height, width, channels = dataset.image_shape
  if height != width:
    raise InputError(
      f'images of {dataset.name} are {height}x{width}; spaces take squares, '
      f'give image_size={min(height, width)}'
    )
  return {
    'image_size': height,
    'channels': channels,
    'num_classes': dataset.num_classes,
  }


def check_enough(dataset: Dataset, min_train: int) -> None:
  """Raises InputError where there are too few images or classes to learn."""
  seen = np.unique(dataset.train.labels)
  if len(seen) < 2:
    raise InputError(
      f'data set {dataset.name!r} has training images of one class only, '
      f'{dataset.class_names[seen[0]]!r}; at least 2 classes are needed'
    )
  found, needed = len(dataset.train.labels), min_train * dataset.num_classes
  if found < needed:
    raise InputError(
      f'data set {dataset.name!r} has {found} training images for '
      f'{dataset.num_classes} classes; at least {needed} are needed, '
      f'{min_train} per class'
    )


def checksum(dataset: Dataset) -> str:
  """A short hash of all images, labels and class names, in their order.

  Example:
    >>> from nasjax.data import load
    >>> checksum(load('fashion_mnist_5k'))
    'efae64f8'
  """
  found = zlib.crc32(repr(dataset.class_names).encode())
  sides = dataset.train, dataset.test
  if dataset.valid is not None:
    sides += (dataset.valid,)
  for arrays in sides:
    for array in arrays:
      found = zlib.crc32(np.ascontiguousarray(array).data, found)
      found = zlib.crc32(repr(np.shape(array)).encode(), found)
  return f'{found:08x}'

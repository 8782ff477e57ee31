"""Data sets as arrays: decoded once, kept as uint8.

Example:
  >>> dataset = load('fashion_mnist_5k')
  >>> len(dataset.train.labels), len(dataset.test.labels)
  (5000, 10000)
"""

import dataclasses
import functools
import importlib.resources
import os
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import checks
from nasjax.data import (
  folder_listing,
  folder_source,
  oddities,
  tfds_builder,
  tfds_source,
)
from nasjax.errors import InputError

EMBEDDED = 'fashion_mnist_5k'

_FASHION_CLASSES = tuple(
  'T-shirt/top,Trouser,Pullover,Dress,Coat,'
  'Sandal,Shirt,Sneaker,Bag,Ankle boot'.split(',')
)


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
    name: what `load` was asked for.
    train: the training images; `data_split.split` takes validation from them.
    test: the images that only the final accuracy may see.
    class_names: one per class, in the order of the labels.
    test_split: the split that `test` came from, as 'test' or 'train[80%:]'.
    skipped: files that could not be read, each with the reason.
    valid: images that a folder holds for choosing weights or alphas, apart from
      the others; None where it holds none.
    remarks: what a user should know of the images, a line for each.

  Example:
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
    name: what `open_set` was asked for.
    image_shape: height, width and channels of every image.
    class_names: one per class, in the order of the labels.
    num_train: training images; files that cannot be read may be among them.
    num_test: test images; files that cannot be read may be among them.
    read: decodes all images; raises InputError where they cannot be used.

  Example:
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


def load(
  name: str = EMBEDDED,
  data_dir: str | os.PathLike | None = None,
  **options: Any,
) -> Dataset:
  """Reads a whole data set into NumPy arrays.

  Args:
    name: see `open_set`.
    data_dir: see `open_set`.
    **options: the keyword arguments of `open_set`.

  Returns:
    The set.

  Raises:
    InputError: the set cannot be opened or read, its splits overlap, it has one
      class only, or is too small.

  Example:
    >>> dataset = load('fashion_mnist_5k')
    >>> dataset.image_shape, dataset.num_classes, len(dataset.train.labels)
    ((28, 28, 1), 10, 5000)
  """
  return open_set(name, data_dir, **options).read()


def open_set(
  name: str = EMBEDDED,
  data_dir: str | os.PathLike | None = None,
  *,
  train_split: str | None = None,
  test_split: str | None = None,
  test_fraction: float = 0.2,
  image_size: int | None = None,
  broken: str = 'refuse',
  min_train: int = 10,
  write: bool = True,
) -> Opened:
  """Finds a data set, and its sizes, without decoding its images.

  Args:
    name: 'fashion_mnist_5k', which comes with the package and needs nothing
      else; the name of a TFDS set, as 'cifar10' or 'emnist/letters'; or
      'folder:DIR', a folder with a folder of images per class, or with such
      folders in train/ and in val/, test/ or both.
    data_dir: where TFDS sets are prepared, None is TFDS's own default; where
      what was decoded of a folder is kept, None is the user's cache folder. A
      TFDS set that is not there is prepared if TensorFlow is installed.
    train_split: of TFDS sets, as 'train[:80%]'; None is 'train'.
    test_split: of TFDS sets; None is 'test', or 'validation' where there is no
      labelled one.
    test_fraction: of folders, the share of images that is for the test, about;
      of no effect on one that is split.
    image_size: edge in pixels of what each image's middle is resized to; None
      leaves images as they are, in folders only where all are alike.
    broken: of folders, what to do with files that cannot be read as images:
      'refuse', or 'skip'; then `Dataset.skipped` names them.
    min_train: training images needed per class, on average.
    write: whether decoded images may be kept, and a TFDS set be prepared.

  Returns:
    The set, which its `read` decodes.

  Raises:
    InputError: the name is unknown; the set is not prepared, cannot be read, or
      is not one of image classification; its splits overlap.

  Example:
    >>> opened = open_set('fashion_mnist_5k')
    >>> opened.image_shape, opened.num_classes, opened.num_train
    ((28, 28, 1), 10, 5000)
  """
  checks.check_image_edge(image_size)
  if name == EMBEDDED:
    dataset = _embedded()
    shape, classes = dataset.image_shape, dataset.class_names
    num_train, num_test = dataset.num_train, dataset.num_test
    read = functools.partial(_as_it_is, dataset)
  elif name.startswith(folder_listing.PREFIX):
    folder = folder_source.open_folder(
      name.removeprefix(folder_listing.PREFIX),
      data_dir,
      image_size=image_size,
      test_fraction=test_fraction,
      broken=broken,
      write=write,
    )
    shape, classes = folder.image_shape, folder.found.class_names
    num_train, num_test = folder.count('train'), folder.count('test')
    read = functools.partial(_of_folder, name, folder)
  else:
    found = tfds_builder.open_set(
      name,
      data_dir,
      embedded=EMBEDDED,
      train_split=train_split,
      test_split=test_split,
      write=write,
    )
    shape = tfds_source.shape_of(found, image_size)
    classes = found.class_names
    num_train, num_test = (
      len(found.rows(split)) for split in (found.train_split, found.test_split)
    )
    read = functools.partial(_of_tfds, found, image_size)

  def enough() -> Dataset:
    dataset = read()
    check_enough(dataset, min_train)
    return dataset

  return Opened(name, shape, classes, num_train, num_test, enough)


def _as_it_is(dataset: Dataset) -> Dataset:
  return dataset


def _of_folder(name: str, folder: folder_source.Opened) -> Dataset:
  source = folder_source.read(folder)
  arrays = {name: Arrays(*side[:2]) for name, side in source.sides.items()}
  return Dataset(
    name,
    arrays['training'],
    arrays['test'],
    folder.found.class_names,
    source.test_split,
    source.broken,
    arrays.get('validation'),
    source.remarks,
  )


def _of_tfds(found: tfds_builder.Opened, image_size: int | None) -> Dataset:
  source = tfds_source.read(found, image_size)
  sides = {'training': source.train, 'test': source.test}
  remarks = oddities.oddities(
    {called: oddities.Side(*side) for called, side in sides.items()},
    source.class_names,
  )
  return Dataset(
    found.name,
    Arrays(*source.train),
    Arrays(*source.test),
    source.class_names,
    source.test_split,
    remarks=remarks,
  )


def _embedded() -> Dataset:
  assets = importlib.resources.files('nasjax') / 'assets'
  with (assets / f'{EMBEDDED}.npz').open('rb') as file, np.load(file) as f:
    train, test = (
      Arrays(f[f'x_{part}'][..., None], f[f'y_{part}'].astype(np.int32))
      for part in ('train', 'test')
    )
  return Dataset(EMBEDDED, train, test, _FASHION_CLASSES)


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

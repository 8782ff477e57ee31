"""Data sets as arrays: decoded once, kept as uint8.

Example:
  >>> dataset = load('fashion_mnist_5k')
  >>> train, valid = split(dataset.train, 0.5)
  >>> len(train.labels), len(valid.labels)
  (2500, 2500)
"""

import dataclasses
import importlib.resources
import os
import zlib
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from nasjax import folder_listing, folder_source, tfds_source
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
  """

  images: ArrayLike
  labels: ArrayLike


# Arrays have no single truth value, so a generated == could only fail.
@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
  """An image classification set, decoded.

  Attributes:
    name: what `load` was asked for.
    train: the training images; validation is `split` from them.
    test: the images that only the final accuracy may see.
    class_names: one per class, in the order of the labels.
    test_split: the split that `test` came from, as 'test' or 'train[80%:]'.
    skipped: files that could not be read, each with the reason.
  """

  name: str
  train: Arrays
  test: Arrays
  class_names: tuple[str, ...]
  test_split: str = 'test'
  skipped: tuple[str, ...] = ()

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
    return tuple(self.train.images.shape[1:])


def load(
  name: str = EMBEDDED,
  data_dir: str | os.PathLike | None = None,
  *,
  train_split: str | None = None,
  test_split: str | None = None,
  test_fraction: float = 0.2,
  image_size: int | None = None,
  broken: str = 'refuse',
  min_train: int = 10,
) -> Dataset:
  """Reads a whole data set into NumPy arrays.

  Args:
    name: 'fashion_mnist_5k', which comes with the package and needs nothing
      else; the name of a TFDS set, as 'cifar10' or 'emnist/letters'; or
      'folder:DIR', a folder with a folder of images per class, or with two
      such folders, train/ and test/.
    data_dir: where TFDS sets are prepared, None is TFDS's own default; where
      what was decoded of a folder is kept, None is the user's cache folder. A
      TFDS set that is not there is prepared if TensorFlow is installed.
    train_split: of TFDS sets, as 'train[:80%]'; None is 'train'.
    test_split: likewise; None is 'test', or 'validation' where there is no
      labelled one.
    test_fraction: of folders, the share of images that is for the test, about;
      of no effect on one that holds DIR/train/ and DIR/test/.
    image_size: edge in pixels of what each image's middle is resized to; None
      leaves images as they are, in folders only where all are alike.
    broken: of folders, what to do with files that cannot be read as images:
      'refuse', or 'skip'; then `skipped` names them.
    min_train: training images needed per class, on average.

  Returns:
    The set.

  Raises:
    InputError: the name is unknown; the set is not prepared, cannot be read, or
      is not one of image classification in one size; its splits overlap; it
      has one class only, or is too small.

  Example:
    >>> dataset = load('fashion_mnist_5k')
    >>> dataset.image_shape, dataset.num_classes, len(dataset.train.labels)
    ((28, 28, 1), 10, 5000)
  """
  if image_size is not None and image_size < 1:
    raise InputError(f'image_size is {image_size}; it must be at least 1')
  if name == EMBEDDED:
    dataset = _embedded()
  elif name.startswith(folder_listing.PREFIX):
    read = folder_source.read(
      name.removeprefix(folder_listing.PREFIX),
      data_dir,
      image_size=image_size,
      test_fraction=test_fraction,
      broken=broken,
    )
    train, test = Arrays(*read.train), Arrays(*read.test)
    dataset = Dataset(name, train, test, read.class_names, skipped=read.broken)
  else:
    read = tfds_source.read(
      name,
      data_dir,
      embedded=EMBEDDED,
      train_split=train_split,
      test_split=test_split,
      image_size=image_size,
    )
    train, test = Arrays(*read.train), Arrays(*read.test)
    dataset = Dataset(name, train, test, read.class_names, read.test_split)
  _check_enough(dataset, min_train)
  return dataset


def _embedded() -> Dataset:
  assets = importlib.resources.files('nasjax') / 'assets'
  with (assets / f'{EMBEDDED}.npz').open('rb') as file, np.load(file) as f:
    train, test = (
      Arrays(f[f'x_{part}'][..., None], f[f'y_{part}'].astype(np.int32))
      for part in ('train', 'test')
    )
  return Dataset(EMBEDDED, train, test, _FASHION_CLASSES)


def _check_enough(dataset: Dataset, min_train: int) -> None:
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
  for arrays in (dataset.train, dataset.test):
    for array in arrays:
      found = zlib.crc32(np.ascontiguousarray(array), found)
      found = zlib.crc32(repr(np.shape(array)).encode(), found)
  return f'{found:08x}'


def split(
  arrays: Arrays, fraction: float = 0.5, *, seed: int = 0
) -> tuple[Arrays, Arrays]:
  """Splits so that both sides have each class in the same proportion.

  Args:
    arrays: what to split; it is copied, as NumPy arrays.
    fraction: share of each class for the first side, between 0 and 1; the
      number of images is rounded class by class.
    seed: decides which images go where; same seed, same split.

  Returns:
    `(train, valid)`: disjoint, together all of `arrays`, each in its order.

  Raises:
    InputError: `fraction` would leave a class empty on a side.

  Example:
    >>> train, valid = split(load().train, 0.8)
    >>> len(train.labels), len(valid.labels)
    (4000, 1000)
  """
  if not 0 < fraction < 1:
    raise InputError(f'fraction is {fraction}; it must be between 0 and 1')
  images, labels = np.asarray(arrays.images), np.asarray(arrays.labels)
  rng = np.random.default_rng(seed)
  first = np.zeros(len(labels), bool)
  for label in np.unique(labels):
    members = np.flatnonzero(labels == label)
    count = round(fraction * len(members))
    if not 0 < count < len(members):
      raise InputError(
        f'fraction {fraction} puts {count} of the {len(members)} images of '
        f'class {label} on the first side; both sides need at least 1'
      )
    first[rng.permutation(members)[:count]] = True
  return (
    Arrays(images[first], labels[first]),
    Arrays(images[~first], labels[~first]),
  )

"""Finds data sets by name: embedded, prepared by TFDS, or in a folder.

Example:
  >>> dataset = load('fashion_mnist_5k')
  >>> len(dataset.train.labels), len(dataset.test.labels)
  (5000, 10000)
"""

import functools
import importlib.resources
import os
from typing import Any

import numpy as np

from nasjax import checks
from nasjax.data import (
  folder_listing,
  folder_source,
  oddities,
  tfds_builder,
  tfds_source,
)
from nasjax.data.dataset import Arrays, Dataset, Opened, check_enough

EMBEDDED = 'fashion_mnist_5k'

_FASHION_CLASSES = tuple(
  'T-shirt/top,Trouser,Pullover,Dress,Coat,'
  'Sandal,Shirt,Sneaker,Bag,Ankle boot'.split(',')
)


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
  cut = image_size is not None
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
    cut = True
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

  resized = None
  if cut:
    height, width, channels = shape
    resized = (
      'the middle square of each image is resized to '
      f'{height} x {width} pixels, of {channels} channel{"s"[: channels - 1]}'
    )
  return Opened(name, shape, classes, num_train, num_test, enough, resized)


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

"""A data set of arrays that are in memory already."""

from collections.abc import Sequence

import numpy as np
from jax.typing import ArrayLike

from nasjax import checks
from nasjax.data.dataset import Arrays, Dataset, check_enough
from nasjax.data.splits import split
from nasjax.errors import InputError

_MOST = 2**31 - 1  # Labels are 32 bits.


def from_arrays(
  images: ArrayLike,
  labels: ArrayLike,
  test: tuple[ArrayLike, ArrayLike] | None = None,
  *,
  name: str = 'arrays',
  class_names: Sequence[str] | None = None,
  test_fraction: float = 0.2,
) -> Dataset:
  """A data set of arrays.

  Args:
    images: `uint8[n, height, width, channels]`, 0 to 255.
    labels: `int[n]`, from 0.
    test: images and labels for the test; None holds out a fraction of the
      training images, the same of each class.
    name: for records.
    class_names: one per class; None numbers them.
    test_fraction: fraction of the images that is held out where `test` is None.

  Raises:
    InputError: arrays of other types or shapes, labels without images of their
      class, or too few images.

  Example:
    >>> from nasjax import data
    >>> embedded = data.load()
    >>> dataset = from_arrays(*embedded.train, test=embedded.test)
    >>> dataset.num_train, dataset.num_test, dataset.num_classes
    (5000, 10000, 10)
  """
  train = _arrays(images, labels, 'training')
  held = None if test is None else _arrays(*test, 'test')
  sides = [train] if held is None else [train, held]
  shape, other = (side.images.shape[1:] for side in (train, sides[-1]))
  if shape != other:
    raise InputError(
      f'training images are {list(shape)} and test images {list(other)}; they '
      'must have one size'
    )
  highest = max(int(side.labels.max()) for side in sides)
  seen = np.unique(train.labels)
  if class_names is None and len(seen) <= highest:
    missing = next(i for i in range(highest + 1) if i not in seen)
    raise InputError(
      f'labels go up to {highest}, and no training image has label {missing}; '
      'number the classes from 0, or give class_names'
    )
  number = highest + 1 if class_names is None else len(class_names)
  if highest >= number:
    raise InputError(
      f'labels go up to {highest}; for {number} class names they must be 0 to '
      f'{number - 1}'
    )
  names = map(str, range(number)) if class_names is None else class_names
  names = tuple(names)
  if held is None:
    checks.check_test_fraction(test_fraction)
    train, held = split(train, 1 - test_fraction, what=name, class_names=names)
  dataset = Dataset(name, train, held, names)
  check_enough(dataset, 1)
  return dataset


def _arrays(images: ArrayLike, labels: ArrayLike, what: str) -> Arrays:
  images, labels = np.asarray(images), np.asarray(labels)
  if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
    raise InputError(
      f'{what} images are {images.dtype}{list(images.shape)}; they must be '
      'uint8[n, height, width, channels]'
    )
  if labels.shape != (len(images),) or labels.dtype.kind not in 'iu':
    raise InputError(
      f'{what} labels are {labels.dtype}{list(labels.shape)}; they must be '
      f'int[{len(images)}]'
    )
  if labels.min() < 0:
    raise InputError(
      f'{what} labels begin at {labels.min()}; the first class is 0'
    )
  if labels.max() > _MOST:
    raise InputError(
      f'{what} labels go up to {labels.max()}; they must be at most {_MOST}'
    )
  return Arrays(images, labels.astype(np.int32))

"""Splits of the training images: for weights, for alphas, held out."""

import dataclasses

import numpy as np

from nasjax import data
from nasjax.data import split, stream
from nasjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Part:
  """A subset of the rows of a stream.

  Attributes:
    rows: all rows.
    places: indices of the rows of the subset, `int[n]`.
  """

  rows: stream.Decoded
  places: np.ndarray

  def __len__(self) -> int:
    return len(self.places)

  def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
    return self.rows[int(self.places[index])]


def check_fraction(fraction: float) -> None:
  """Raises InputError unless `held_out` takes this fraction."""
  if not 0 <= fraction < 1:
    raise InputError(
      f'valid_fraction is {fraction}; it must be at least 0 and below 1'
    )


def held_out(
  dataset: data.Dataset | stream.Streamed, fraction: float
) -> tuple[data.Dataset | stream.Streamed, data.Arrays | Part | None]:
  """Holds out training images that choose the best weights.

  The seed of a run does not change them, so that runs can be compared. Decoded
  sets give the same share of every class. A set with validation images gives
  these, and keeps all of its training images.

  Args:
    dataset: decoded or streamed.
    fraction: fraction of the training images; 0 is none.

  Returns:
    `(dataset, valid)`: the data set without the held-out images, and these;
    None where there are none.

  Raises:
    InputError: a part would be empty, or without some class.
  """
  check_fraction(fraction)
  if isinstance(dataset, data.Dataset) and dataset.valid is not None:
    return dataclasses.replace(dataset, valid=None), dataset.valid
  if fraction == 0:
    return dataset, None
  if isinstance(dataset, data.Dataset):
    fit, valid = split(
      dataset.train,
      1 - fraction,
      what=f'data set {dataset.name}, valid_fraction={fraction}',
      class_names=dataset.class_names,
    )
    return dataclasses.replace(dataset, train=fit), valid
  count = round(fraction * dataset.num_train)
  if not 0 < count < dataset.num_train:
    raise InputError(
      f'valid_fraction {fraction} holds out {count} of {dataset.num_train} '
      'images; both sides need at least 1'
    )
  valid, fit = _parted(dataset.train, count, seed=0)
  return dataclasses.replace(dataset, train=fit), valid


def halves(
  dataset: data.Dataset | stream.Streamed, seed: int
) -> tuple[data.Arrays, data.Arrays] | tuple[Part, Part]:
  """Splits the training images into those of the weights and of the alphas.

  Decoded sets are halved within each class. A set with validation images gives
  these to the alphas, and all of its training images to the weights.

  Args:
    dataset: decoded or streamed.
    seed: decides which images go where.

  Raises:
    InputError: there are too few images.
  """
  if isinstance(dataset, data.Dataset):
    if dataset.valid is not None:
      return dataset.train, dataset.valid
    return split(
      dataset.train,
      0.5,
      seed=seed,
      what=f'data set {dataset.name}, halved for weights and alphas',
      class_names=dataset.class_names,
    )
  if dataset.num_train < 2:
    raise InputError(
      f'data set {dataset.name!r} has {dataset.num_train} training images; at '
      'least 2 are needed, for weights and for alphas'
    )
  return _parted(dataset.train, (dataset.num_train + 1) // 2, seed)


def as_training(
  dataset: data.Dataset | stream.Streamed,
  train: data.Arrays | stream.Decoded,
  test: data.Arrays | stream.Decoded,
) -> data.Dataset:
  """A set to train on one half of the images, and to test on the other.

  Args:
    dataset: decoded.
    train: its half that weights learn from, see `halves`.
    test: its half that alphas learn from.

  Raises:
    InputError: the set is streamed.
  """
  if (
    isinstance(dataset, data.Dataset)
    and isinstance(train, data.Arrays)
    and isinstance(test, data.Arrays)
  ):
    return dataclasses.replace(dataset, train=train, test=test)
  raise InputError(
    f'data set {dataset.name!r} is streamed; finalists are trained on decoded '
    'images'
  )


def _parted(rows: stream.Decoded, count: int, seed: int) -> tuple[Part, Part]:
  """`count` random rows, and the other rows; each in order."""
  order = np.random.default_rng(seed).permutation(len(rows))
  places = np.sort(order[:count]), np.sort(order[count:])
  return Part(rows, places[0]), Part(rows, places[1])

"""Which training images learn what: weights, alphas, or nothing."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nasjax import data
from nasjax.data import split, stream
from nasjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Part:
  """Some of the rows of a stream.

  Attributes:
    rows: all of them.
    places: of those that belong to it, `int[n]`.
  """

  rows: Sequence
  places: np.ndarray

  def __len__(self) -> int:
    return len(self.places)

  def __getitem__(self, place: int):
    return self.rows[int(self.places[place])]


def check_fraction(fraction: float) -> None:
  """Raises InputError unless it is a share that `held_out` takes."""
  if not 0 <= fraction < 1:
    raise InputError(
      f'valid_fraction is {fraction}; it must be at least 0 and below 1'
    )


def held_out(
  dataset: data.Dataset | stream.Streamed, fraction: float
) -> tuple[data.Dataset | stream.Streamed, data.Arrays | Part | None]:
  """Holds training images out, for choosing among weights.

  The same images whatever the seed of a run, so that runs can be compared; of
  decoded sets the same share of every class. A set that has images for
  validation gives these, and keeps all of its training images.

  Args:
    dataset: decoded or streamed.
    fraction: share of the training images; 0 is none.

  Returns:
    `(dataset, valid)`: without them, and they; None where there are none.

  Raises:
    InputError: a side would be without a class, or empty.
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
  """The training images that weights learn from, and those of the alphas.

  Disjoint, together all of them; of decoded sets with as many of each class. A
  set that has images for validation gives these to the alphas, and all of its
  training images to the weights.

  Args:
    dataset: decoded or streamed.
    seed: decides which images go where.

  Raises:
    InputError: there are too few.
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


def _parted(rows: Sequence, count: int, seed: int) -> tuple[Part, Part]:
  """So many of the rows, drawn at random, and the others; each in order."""
  order = np.random.default_rng(seed).permutation(len(rows))
  places = np.sort(order[:count]), np.sort(order[count:])
  return Part(rows, places[0]), Part(rows, places[1])

"""Splits decoded images in two, with each class in the same proportion.

Example:
  >>> from nasjax import data
  >>> train, valid = split(data.load().train, 0.5)
  >>> len(train.labels), len(valid.labels)
  (2500, 2500)
"""

from collections.abc import Sequence

import numpy as np

from nasjax.data.dataset import Arrays
from nasjax.errors import InputError


def split(
  arrays: Arrays,
  fraction: float = 0.5,
  *,
  seed: int = 0,
  what: str = '',
  class_names: Sequence[str] = (),
) -> tuple[Arrays, Arrays]:
  """Splits so that both sides have each class in the same proportion.

  Args:
    arrays: what to split; it is copied, as NumPy arrays.
    fraction: share of each class for the first side, between 0 and 1; the
      number of images is rounded class by class.
    seed: decides which images go where; same seed, same split.
    what: is split, and for what, as messages begin.
    class_names: one per class, for messages; the labels where there are none.

  Returns:
    `(train, valid)`: disjoint, together all of `arrays`, each in its order.

  Raises:
    InputError: `fraction` would leave a class empty on a side.

  Example:
    >>> from nasjax import data
    >>> train, valid = split(data.load().train, 0.8)
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
      of = repr(class_names[label]) if len(class_names) else label
      raise InputError(
        f'{what and what + ": "}fraction {fraction:g} puts {count} of the '
        f'{len(members)} images of class {of} on the first side; both sides '
        f'need at least 1, for which the class needs {_least(fraction)} images'
      )
    first[rng.permutation(members)[:count]] = True
  return (
    Arrays(images[first], labels[first]),
    Arrays(images[~first], labels[~first]),
  )


def _least(fraction: float) -> int:
  """Images of a class that leave some on both sides."""
  least = int(0.5 / min(fraction, 1 - fraction))
  while not 0 < round(fraction * least) < least:
    least += 1
  return least

"""What is odd about a decoded data set, though it can be used.

An image that is trained on and tested makes the test too good; a class without
a test image is never tested; an image of one colour shows nothing.
"""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

_LISTED = 10  # Names in a line.


class Side(NamedTuple):
  """The images of one side of a set.

  Attributes:
    images: `uint8[n, height, width, channels]`.
    labels: `int32[n]`.
    files: of each image its file, `str[n]`; empty where they lie in none.
  """

  images: np.ndarray
  labels: np.ndarray
  files: np.ndarray | tuple[()] = ()


def oddities(
  sides: Mapping[str, Side], class_names: Sequence[str]
) -> tuple[str, ...]:
  """Says how many images or classes are odd, a line for each kind.

  Args:
    sides: by what they are called: 'training', and 'validation' or 'test'.
    class_names: one per class.

  Returns:
    Lines with a number and an example: images with the same pixels on two
    sides, classes without an image on a side that is not trained on, and images
    of one colour.

  Example:
    >>> train, test = np.arange(16, dtype=np.uint8).reshape(2, 2, 2, 2, 1)
    >>> sides = {
    ...   'training': Side(train, np.int32([0, 1])),
    ...   'test': Side(test, np.int32([1, 1])),
    ... }
    >>> oddities(sides, ('cat', 'dog'))
    ('1 of 2 classes have no test image: cat',)
  """
  found = []
  digests = {name: _digests(side.images) for name, side in sides.items()}
  for one, other in itertools.combinations(sides, 2):
    first = {}
    for place, digest in enumerate(digests[one]):
      first.setdefault(digest, place)
    both = [i for i, digest in enumerate(digests[other]) if digest in first]
    if both:
      example = both[0], first[digests[other][both[0]]]
      found.append(
        f'{len(both)} of {len(digests[other])} {other} images are {one} '
        f'images, too, as {_called(other, sides, example[0])} is '
        f'{_called(one, sides, example[1])}; remove them from one side'
      )
  for name, side in sides.items():
    empty = np.bincount(side.labels, minlength=len(class_names)) == 0
    if name != 'training' and empty.any():
      names = [class_names[i] for i in np.flatnonzero(empty).tolist()]
      found.append(
        f'{len(names)} of {len(class_names)} classes have no {name} image: '
        f'{listed(names)}'
      )
  even = {name: _even(side.images) for name, side in sides.items()}
  if count := sum(map(len, even.values())):
    name = next(name for name, places in even.items() if len(places))
    found.append(
      f'{count} of {sum(map(len, digests.values()))} images have one colour '
      f'alone, as {_called(name, sides, even[name][0])}'
    )
  return tuple(found)


def listed(names: Sequence[str]) -> str:
  """The first names, and how many there are besides.

  Example:
    >>> listed(['cat', 'dog'])
    'cat, dog'
  """
  more = len(names) - _LISTED
  text = ', '.join(names[:_LISTED])
  return text + (f' and {more} more' if more > 0 else '')


def _called(name: str, sides: Mapping[str, Side], place: int) -> str:
  files = sides[name].files
  return str(files[place]) if len(files) else f'{name} image {place}'


def _digests(images: np.ndarray) -> list[bytes]:
  """A hash of the pixels of each image, short but without collisions."""
  flat = np.ascontiguousarray(images).reshape(len(images), -1)
  return [hashlib.sha256(row.data).digest() for row in flat]


def _even(images: np.ndarray) -> list[int]:
  """Places of the images whose pixels are all the same."""
  # Few images have a middle row like that, and only these are looked at whole.
  middle = images[:, images.shape[1] // 2]
  maybe = (middle == images[:, 0, :1]).all(axis=(1, 2))
  return [
    int(i)
    for i in np.flatnonzero(maybe)
    if (images[i] == images[i, :1, :1]).all()
  ]

"""Rows that are known by their values, and batches of them."""

import numpy as np

from nasjax import data
from tests.conftest import prepare_tfds


class Numbers:
  """Rows that are known by their grey value, which is their label, too."""

  def __init__(self, n, shape=(9, 12, 1)):
    self.n, self.shape = n, shape

  def __len__(self):
    return self.n

  def __getitem__(self, place):
    return np.full(self.shape, place, np.uint8), np.int32(place)


def draw(batches, count):
  drawn = [next(batches) for _ in range(count)]
  return data.Arrays(*(np.stack(parts) for parts in zip(*drawn, strict=True)))


def same(one, other):
  for a, b in zip(one, other, strict=True):
    np.testing.assert_array_equal(a, b)


def numbered(root, n=60, **options):
  """A prepared set whose images are constants, each another one."""
  values = np.arange(n, dtype=np.uint8).reshape(-1, 1, 1, 1)
  images = np.broadcast_to(values, (n, 8, 8, 3))
  prepare_tfds(root, images, np.arange(n) % 3, **options)
  return root

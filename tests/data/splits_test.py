"""Splits: stratified, disjoint, and refused where a class would be empty."""

import numpy as np
import pytest

from experiments.sweep import setup
from nasjax import data
from nasjax.data import split
from nasjax.errors import InputError
from nasjax.run import (
  holdout,
)
from tests.conftest import images as _images
from tests.conftest import refused as _refused


# Splitting.
@pytest.mark.parametrize('fraction', [0.5, 0.8, 0.05])
def test_split_is_a_stratified_partition(embedded, fraction):
  n = len(embedded.train.labels)
  # Labels stay; each image is its own number, so that it can be recognised.
  numbers = np.arange(n, dtype=np.int32).reshape(n, 1, 1, 1)
  arrays = data.Arrays(numbers, embedded.train.labels)
  train, valid = split(arrays, fraction)
  both = np.concatenate([train.images, valid.images]).ravel()
  np.testing.assert_array_equal(np.sort(both), np.arange(n))
  for side, share in ((train, fraction), (valid, 1 - fraction)):
    np.testing.assert_array_equal(
      side.labels, arrays.labels[side.images.ravel()]
    )
    np.testing.assert_array_equal(
      np.bincount(side.labels), [round(500 * share)] * 10
    )


def test_split_depends_on_the_seed_alone(embedded):
  one, same, other = (
    split(embedded.train, seed=seed)[0].images for seed in (3, 3, 4)
  )
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()


def test_split_keeps_the_proportions_of_an_uneven_set():
  labels = np.repeat(np.int32([0, 2]), [40, 10])  # Class 1 does not occur.
  train, valid = split(data.Arrays(_images(50), labels), 0.7)
  assert np.bincount(train.labels).tolist() == [28, 0, 7]
  assert np.bincount(valid.labels).tolist() == [12, 0, 3]


def test_split_refuses_to_empty_a_class():
  arrays = data.Arrays(_images(5), np.int32([0, 0, 0, 0, 1]))
  _refused(r'puts \d of the 1 images of class 1', split, arrays)
  _refused(r'0.1 puts 0 of the 4 images of class 0', split, arrays, 0.1)
  message = r"^a set, halved: fraction 0.5 puts 0 of the 1 images of class 'b' "
  named = {'what': 'a set, halved', 'class_names': ('a', 'b')}
  _refused(f'{message}.* needs 2 images$', split, arrays, **named)
  for fraction in (0, 1, -0.5, float('nan')):
    _refused('must be between 0 and 1', split, arrays, fraction)


@pytest.mark.parametrize('fraction', [0.5, 0.9, 0.2, 0.03, 1 - 1e-6, 1 / 3])
def test_the_images_that_a_class_is_said_to_need_are_the_fewest(fraction):
  def arrays(count):
    return data.Arrays(np.zeros((count, 1, 1, 1)), np.zeros(count, np.int32))

  with pytest.raises(InputError) as caught:
    split(arrays(1), fraction)
  needed = int(str(caught.value).split()[-2])
  split(arrays(needed), fraction)
  with pytest.raises(InputError):
    split(arrays(needed - 1), fraction)


def test_a_class_that_cannot_be_halved_is_named_with_its_set():
  arrays = data.Arrays(_images(5), np.int32([0, 0, 0, 0, 1]))
  dataset = data.Dataset('few', arrays, arrays, ('cat', 'dog'))
  halved = "few, halved .* 0 of the 1 images of class 'dog' .* needs 2 images"
  _refused(halved, holdout.halves, dataset, 0)
  _refused("few, valid_fraction=0.25.*'dog'", holdout.held_out, dataset, 0.25)
  _refused("few, train_images=2.*'dog'", setup.subset, dataset, 2)

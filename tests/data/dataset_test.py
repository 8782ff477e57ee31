"""Decoded sets: enough images, and a checksum that tells them apart."""

import dataclasses

import numpy as np
import pytest

from nasjax import data
from tests.conftest import images
from tests.conftest import refused as _refused


def test_too_few_training_images_are_counted_in_the_message():
  _refused(
    r'5000 training images for 10 classes; at least 5010 are needed, 501 per',
    data.load,
    min_train=501,
  )


def test_a_set_of_one_class_is_refused():
  one = data.Arrays(images(20), np.zeros(20, np.int32))
  _refused(
    "one class only, 'a'; at least 2",
    data.from_arrays,
    *one,
    class_names=('a', 'b'),
  )


@pytest.mark.parametrize(
  'change',
  [
    lambda d: {'train': d.train._replace(labels=1 - d.train.labels)},
    lambda d: {'test': d.test._replace(images=255 - d.test.images)},
    lambda d: {'train': data.Arrays(d.train.images[::-1], d.train.labels)},
    lambda d: {'class_names': d.class_names[::-1]},
    lambda d: {'valid': d.test},
  ],
)
def test_a_checksum_tells_sets_apart_that_differ_in_anything(change):
  arrays = data.Arrays(images(20), np.arange(20, dtype=np.int32) % 2)
  one = data.Dataset('few', arrays, arrays, ('a', 'b'))
  other = dataclasses.replace(one, **change(one))
  assert data.checksum(one) == data.checksum(dataclasses.replace(one))
  assert data.checksum(one) != data.checksum(other)
  assert data.checksum(one) == data.checksum(dataclasses.replace(one, name='x'))

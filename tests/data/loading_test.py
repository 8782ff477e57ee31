"""Sets by name: the embedded one."""

import numpy as np


def test_embedded_set_is_balanced_uint8_with_the_whole_test_set(embedded):
  train, test = embedded.train, embedded.test
  assert train.images.shape == (5000, 28, 28, 1)
  assert test.images.shape == (10000, 28, 28, 1)
  assert train.images.dtype == test.images.dtype == np.uint8
  assert train.labels.dtype == test.labels.dtype == np.int32
  np.testing.assert_array_equal(np.bincount(train.labels), [500] * 10)
  np.testing.assert_array_equal(np.bincount(test.labels), [1000] * 10)
  assert embedded.num_classes == 10
  assert embedded.image_shape == (28, 28, 1)
  assert embedded.class_names[9] == 'Ankle boot'
  assert embedded.test_split == 'test'

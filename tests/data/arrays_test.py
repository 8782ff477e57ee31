"""Data sets of arrays: what they hold, and which arrays are refused."""

import numpy as np
import pytest

from nasjax import data
from tests.conftest import images, refused

IMAGES, LABELS = images(60), np.arange(60) % 3


def test_a_fifth_of_each_class_is_for_the_test():
  found = data.from_arrays(IMAGES, LABELS)
  assert (found.num_train, found.num_test) == (48, 12)
  assert np.bincount(found.test.labels).tolist() == [4, 4, 4]
  together = np.concatenate([found.train.images, found.test.images])
  assert sorted(i.tobytes() for i in together) == sorted(
    i.tobytes() for i in IMAGES
  )
  assert found.class_names == ('0', '1', '2')


def test_given_test_images_and_names_are_kept():
  names = np.array(['ant', 'bee', 'cat', 'dog'])
  found = data.from_arrays(
    IMAGES, LABELS.astype(np.uint8), (IMAGES[:7], LABELS[:7]), class_names=names
  )
  assert (found.num_train, found.num_test, found.num_classes) == (60, 7, 4)
  assert found.class_names == ('ant', 'bee', 'cat', 'dog')
  assert found.train.labels.dtype == np.int32


@pytest.mark.parametrize(
  ('args', 'given', 'message'),
  [
    (
      (IMAGES / 255, LABELS),
      {},
      r'images are float64\[60, 8, 8, 1\]; they mus',
    ),
    ((IMAGES[..., 0], LABELS), {}, r'images are uint8\[60, 8, 8\]'),
    ((IMAGES[:0], LABELS[:0]), {}, r'images are uint8\[0, 8, 8, 1\]'),
    ((IMAGES, LABELS[1:]), {}, r'int64\[59\]; they must be int\[60\]'),
    ((IMAGES, LABELS * 1.0), {}, r'labels are float64\[60\]'),
    ((IMAGES, LABELS - 1), {}, 'begin at -1; the first class is 0'),
    ((IMAGES, LABELS + 1), {}, 'no training image has label 0'),
    ((IMAGES, LABELS * 2), {}, 'go up to 4, and no .* has label 1'),
    ((IMAGES, LABELS.astype(np.uint64) + 2**32), {}, 'at most 2147483647'),
    ((IMAGES, LABELS * 10**9), {}, 'no training image has label 1'),
    ((IMAGES, LABELS, (IMAGES, LABELS + 1)), {}, 'image has label 3'),
    ((IMAGES, LABELS, (IMAGES[:, 1:, 1:], LABELS)), {}, r'\[7, 7, 1\]; they'),
    ((IMAGES, LABELS), {'class_names': ('a', 'b')}, 'they must be 0 to 1'),
    ((IMAGES, LABELS), {'test_fraction': 1.0}, 'test_fraction is 1.0'),
    ((IMAGES, LABELS * 0), {}, 'images of one class only'),
  ],
)
def test_arrays_that_are_no_data_set_are_refused(args, given, message):
  refused(message, data.from_arrays, *args, **given)

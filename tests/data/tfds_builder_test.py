"""TFDS sets: found, prepared where that can be, or refused by name."""

import importlib.util

import numpy as np
import pytest

from nasjax import data
from nasjax.data import stream
from nasjax.errors import InputError
from tests.conftest import images as _images
from tests.conftest import prepare_tfds as _prepare
from tests.conftest import refused as _refused
from tests.conftest import tfds_class as _builder_class


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

"""Streamed sets: opened, read in a run, refused."""

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments import train
from experiments.flags import configs, sources
from nasjax import data, space, spaces
from nasjax.data import stream, stream_batches
from nasjax.run import record as record_lib
from nasjax.run.workdir import metrics_file
from tests.children import child
from tests.conftest import images as _images
from tests.conftest import prepare_tfds
from tests.conftest import refused as _refused
from tests.data.stream_cases import draw, numbered, same

pytest.importorskip('grain')
ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_streamed_test_is_what_the_decoded_set_has(tmp_path):
  prepare_tfds(tmp_path, _images(50, 8, 3), np.arange(50) % 3)
  decoded = data.load('colours', tmp_path)
  streamed = stream.open_set('colours', tmp_path)
  assert streamed.image_shape == decoded.image_shape == (8, 8, 3)
  assert (streamed.num_train, streamed.num_test) == (50, 50)
  assert streamed.class_names == decoded.class_names
  parts = list(stream_batches.once(streamed.test, 20, 8))
  same(
    [np.concatenate(arrays) for arrays in zip(*parts, strict=True)],
    decoded.test,
  )


# Sets of TFDS.


def test_mocked_data_are_streamed():
  tfds = pytest.importorskip('tensorflow_datasets')
  with tfds.testing.mock_data(num_examples=30):
    source = tfds.data_source('cifar10', split='train')
    rows = stream.Rows('cifar10, train', source, 'image', 'label', 10)
    assert len(rows) == 30
    batches = stream_batches.train_batches(rows, 10, 24, seed=0)
    epochs = draw(batches, 6)
    state = batches.get_state()
    expected = draw(batches, 3)
    again = stream_batches.train_batches(rows, 10, 24, seed=0)
    again.set_state(state)
    same(draw(again, 3), expected)
  assert epochs.images.shape == (6, 10, 24, 24, 3)
  one, other = np.sort(epochs.labels.reshape(2, 30))
  same(one, other)
  assert len(set(one.tolist())) > 3


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_mnist_is_streamed_and_gone_on_with(tmp_path, shared):
  stage = shared / 'tools' / 'stage_datasets.py'
  done = subprocess.run(
    [sys.executable, stage, tmp_path, '--only=mnist', '--limit=500'],
    capture_output=True,
    text=True,
  )
  if done.returncode:
    pytest.skip(f'MNIST could not be staged: {done.stderr[-200:]}')
  found = stream.open_set('mnist', tmp_path, train_split='train[:80%]')
  assert (found.num_train, found.image_shape) == (400, (28, 28, 1))
  batches = stream_batches.train_batches(found.train, 50, 28, seed=0)
  labels = draw(batches, 8).labels
  decoded = data.load('mnist', tmp_path, train_split='train[:80%]')
  same(np.bincount(labels.ravel()), np.bincount(decoded.train.labels))
  state = batches.get_state()
  expected = draw(batches, 5)
  again = stream_batches.train_batches(found.train, 50, 28, seed=0)
  again.set_state(state)
  same(draw(again, 5), expected)


# The script.


def _told(root):
  network = spaces.tiny(image_size=8, channels=3, num_classes=3)
  first = [0] * len(network.choices)
  file = root / 'architecture.json'
  space.Architecture.from_indices(network, first).save(file)
  given = {'architecture': str(file), 'dataset': 'colours', 'stream': True}
  given |= {'data_dir': str(root), 'batch_size': 10, 'epochs': 8}
  return given | {'mixup': 0.2}


def _training(root, workdir):
  flags = [f'--{name}={value}' for name, value in _told(root).items()]
  command = [sys.executable, '-m', 'experiments.train', *flags]
  return [*command, f'--workdir={workdir}']


@pytest.mark.slow
def test_a_killed_streamed_training_ends_where_it_would_have(tmp_path):
  numbered(tmp_path)
  again, whole = tmp_path / 'again', tmp_path / 'whole'
  options = {'cwd': ROOT, 'stderr': subprocess.PIPE, 'text': True}
  checkpoints = again / 'checkpoints'
  with child(_training(tmp_path, again), **options) as process:
    while process.poll() is None:
      if any(p.name.isdigit() for p in checkpoints.glob('[0-9]*')):
        process.send_signal(signal.SIGKILL)
        break
      time.sleep(0.002)
    _, err = process.communicate()
  assert process.returncode == -signal.SIGKILL, err
  assert not (again / 'result.json').exists()
  done = subprocess.run(_training(tmp_path, again), **options)
  assert done.returncode == 0, done.stderr
  # What nothing interrupts may as well run here.
  told = configs.of(train.Flags, _told(tmp_path))
  train.train_as_told(told, whole, '')
  one, other = (metrics_file.read(d) for d in (again, whole))
  assert one == other
  assert [row['step'] for row in one] == list(range(1, 49))
  one, other = (record_lib.read_json(d / 'result.json') for d in (again, whole))
  assert one | {'command': ''} == other | {'command': ''}
  assert one['test_images'] == 60


# Bad input.


def test_a_row_without_a_label_is_refused_when_it_comes(tmp_path):
  labels = {'train': np.full(40, -1), 'test': np.arange(40) % 3}
  prepare_tfds(tmp_path, _images(40), labels)
  _refused(
    r'colours, train: row \d+ has no label \(-1\); give a split of rows that',
    lambda: next(
      stream_batches.train_batches(
        stream.open_set('colours', tmp_path).train, 4, 8, seed=0
      )
    ),
  )


def test_damaged_rows_are_refused_when_they_come(tmp_path):
  folder = prepare_tfds(tmp_path, _images(40), np.arange(40) % 3)
  rows = stream.open_set('colours', tmp_path).train
  file = next(folder.glob('*train*'))
  os.truncate(file, 1000)
  _refused(
    'damaged',
    lambda: draw(stream_batches.train_batches(rows, 4, 8, seed=0), 9),
  )


def test_sets_that_cannot_be_streamed_are_refused(tmp_path, monkeypatch):
  tfds = pytest.importorskip('tensorflow_datasets')
  label = tfds.features.ClassLabel(names=['red'])
  prepare_tfds(tmp_path, _images(40), [0] * 40, label=label, name='one')
  prepare_tfds(tmp_path, _images(40), [1] * 40, name='greens')
  numbered(tmp_path)

  def opened(**given):
    wanted = {'data_dir': str(tmp_path), 'dataset': 'colours', 'stream': True}
    told = configs.of(sources.Streamable, wanted | given)
    return sources.of_or_stream(told)

  assert opened().num_train == 60
  assert opened(stream=False).num_train == 60
  cases = [
    (
      {'dataset': 'fashion_mnist_5k'},
      '--stream reads sets of TFDS, dataset=fashion_mnist_5k is none',
    ),
    ({'dataset': 'folder:x'}, 'dataset=folder:x is none; leave it out'),
    ({'dataset': 'one'}, "'one' has training images of one class only, 'red'"),
    ({'dataset': 'greens'}, "of one class only, 'green'; at least 2"),
    ({'crop_area': 0.0}, 'crop_area is 0.0; it must be above 0'),
    ({'image_size': 0}, 'image_size is 0; it must be at least 1'),
    ({'test_split': 'train[1:]'}, 'overlap in 59 images'),
    (
      {'stream': False, 'crop_area': 0.5},
      'crop_area=0.5 has no effect',
    ),
  ]
  for given, message in cases:
    _refused(message, opened, **given)
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  _refused('pip install grain', opened)

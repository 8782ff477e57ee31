"""Streamed sets: every row once, the same for whoever goes on, no two twice."""

import contextlib
import importlib.util
import json
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
from nasjax.data import stream
from nasjax.run import record as record_lib
from nasjax.run.workdir import metrics_file
from tests.children import child
from tests.conftest import images as _images
from tests.conftest import prepare_tfds
from tests.conftest import refused as _refused

pytest.importorskip('grain')
ROOT = pathlib.Path(__file__).resolve().parents[2]


class _Numbers:
  """Rows that are known by their grey value, which is their label, too."""

  def __init__(self, n, shape=(9, 12, 1)):
    self.n, self.shape = n, shape

  def __len__(self):
    return self.n

  def __getitem__(self, place):
    return np.full(self.shape, place, np.uint8), np.int32(place)


def _draw(batches, count):
  drawn = [next(batches) for _ in range(count)]
  return data.Arrays(*(np.stack(parts) for parts in zip(*drawn, strict=True)))


def _same(one, other):
  for a, b in zip(one, other, strict=True):
    np.testing.assert_array_equal(a, b)


# Training.


def test_an_epoch_has_every_row_once_in_an_order_of_its_own():
  images, labels = _draw(stream.train_batches(_Numbers(60), 12, 4, seed=0), 15)
  assert images.shape == (15, 12, 4, 4, 1)
  assert images.dtype == np.uint8
  assert labels.dtype == np.int32
  assert (images == labels[..., None, None, None]).all()  # Labels follow.
  epochs = labels.reshape(3, 60)
  for epoch in epochs:
    np.testing.assert_array_equal(np.sort(epoch), np.arange(60))
  assert len({tuple(epoch) for epoch in epochs}) == 3


def test_no_row_is_left_out_where_batches_do_not_divide_the_rows():
  labels = _draw(stream.train_batches(_Numbers(10), 4, 4, seed=0), 10).labels
  for epoch in labels.reshape(4, 10):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(10))


def test_the_stream_depends_on_the_seed_alone():
  rows = _Wide(50)
  one, same, other = (
    _draw(stream.train_batches(rows, 8, 6, seed=seed), 4) for seed in (1, 1, 2)
  )
  _same(one, same)
  assert (one.labels != other.labels).any()


class _Wide(_Numbers):
  """Rows whose pixels differ, so that one sees which part was cut."""

  def __getitem__(self, place):
    rng = np.random.default_rng(place)
    return rng.integers(0, 256, (20, 30, 3), np.uint8), np.int32(place)


def test_the_cuts_of_a_row_differ_by_the_epoch():
  images, labels = _draw(stream.train_batches(_Wide(8), 8, 6, seed=0), 5)
  for place in range(8):
    cuts = images[labels == place]
    assert len({cut.tobytes() for cut in cuts}) == 5


@pytest.mark.parametrize('done', [1, 7, 20])
def test_a_new_iterator_goes_on_where_the_last_one_was(done):
  whole = stream.train_batches(_Wide(50), 8, 6, seed=3)
  _draw(whole, done)
  state = json.loads(json.dumps(whole.get_state()))
  expected = _draw(whole, 9)
  again = stream.train_batches(_Wide(50), 8, 6, seed=3)
  again.set_state(state)
  _same(_draw(again, 9), expected)
  _draw(again, 2)
  again.set_state(state)  # Back, while what follows is read ahead.
  _same(_draw(again, 9), expected)


@pytest.mark.parametrize('count', [2, 3])
def test_processes_share_out_the_batches_of_one(count):
  together = _draw(stream.train_batches(_Wide(50), 6 * count, 6, seed=0), 12)
  for i in range(count):
    own = stream.train_batches(
      _Wide(50), 6, 6, seed=0, process_index=i, process_count=count
    )
    own = _draw(own, 12)
    _same(own, [part[:, i::count] for part in together])


PROCESS = """
import json, sys
from nasjax.data import stream
directory, index = sys.argv[1], int(sys.argv[2])
rows = stream.open_set('colours', directory).train
batches = stream.train_batches(
  rows, 6, 8, seed=0, process_index=index, process_count=2)
drawn = [next(batches) for _ in range(5)]
print(json.dumps([b.images[:, 0, 0, 0].tolist() for b in drawn]))
"""


def _numbered(root, n=60, **options):
  """A prepared set whose images are constants, each another one."""
  values = np.arange(n, dtype=np.uint8).reshape(-1, 1, 1, 1)
  images = np.broadcast_to(values, (n, 8, 8, 3))
  prepare_tfds(root, images, np.arange(n) % 3, **options)
  return root


@pytest.mark.slow
def test_two_processes_have_no_row_in_common_and_all_of_them_together(tmp_path):
  _numbered(tmp_path)
  command = [sys.executable, '-c', PROCESS, tmp_path]
  options = {'cwd': ROOT, 'stdout': subprocess.PIPE, 'text': True}
  with contextlib.ExitStack() as ends:
    running = [
      ends.enter_context(child([*command, str(i)], **options)) for i in range(2)
    ]
    drawn = [json.loads(p.communicate(timeout=200)[0]) for p in running]
  one, other = (set(np.ravel(rows).tolist()) for rows in drawn)
  assert len(one) == len(other) == 30
  assert not one & other
  assert one | other == set(range(60))


# The test.


def test_the_test_has_all_rows_in_order_and_nothing_random():
  batches = list(stream.once(_Numbers(23), 10, 4))
  assert [len(labels) for _, labels in batches] == [10, 10, 3]
  labels = np.concatenate([labels for _, labels in batches])
  np.testing.assert_array_equal(labels, np.arange(23))
  for _ in range(2):
    for one, other in zip(
      batches, stream.once(_Numbers(23), 10, 4), strict=True
    ):
      _same(one, other)


def test_of_test_images_a_border_is_left_out_if_they_are_large():
  class Framed(_Numbers):
    def __getitem__(self, place):
      pixels = np.zeros((80, 80, 1), np.uint8)
      pixels[4:-4, 4:-4] = 255
      return pixels, np.int32(0)

  (large,) = stream.once(Framed(2), 2, 40)
  assert large.images[:, 1:-1, 1:-1].min() == 255
  (native,) = stream.once(Framed(2), 2, 80)
  _same(native.images[0], Framed(2)[0][0])


def test_a_streamed_test_is_what_the_decoded_set_has(tmp_path):
  prepare_tfds(tmp_path, _images(50, 8, 3), np.arange(50) % 3)
  decoded = data.load('colours', tmp_path)
  streamed = stream.open_set('colours', tmp_path)
  assert streamed.image_shape == decoded.image_shape == (8, 8, 3)
  assert (streamed.num_train, streamed.num_test) == (50, 50)
  assert streamed.class_names == decoded.class_names
  parts = list(stream.once(streamed.test, 20, 8))
  _same(
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
    batches = stream.train_batches(rows, 10, 24, seed=0)
    epochs = _draw(batches, 6)
    state = batches.get_state()
    expected = _draw(batches, 3)
    again = stream.train_batches(rows, 10, 24, seed=0)
    again.set_state(state)
    _same(_draw(again, 3), expected)
  assert epochs.images.shape == (6, 10, 24, 24, 3)
  one, other = np.sort(epochs.labels.reshape(2, 30))
  _same(one, other)
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
  batches = stream.train_batches(found.train, 50, 28, seed=0)
  labels = _draw(batches, 8).labels
  decoded = data.load('mnist', tmp_path, train_split='train[:80%]')
  _same(np.bincount(labels.ravel()), np.bincount(decoded.train.labels))
  state = batches.get_state()
  expected = _draw(batches, 5)
  again = stream.train_batches(found.train, 50, 28, seed=0)
  again.set_state(state)
  _same(_draw(again, 5), expected)


def test_the_sample_for_statistics_is_from_everywhere():
  rows = _Numbers(200)
  assert stream.sample(rows, 4, 500).shape == (200, 4, 4, 1)
  some = stream.sample(rows, 4, 5)[:, 0, 0, 0]
  assert some.tolist() == [0, 49, 99, 149, 199]


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
  _numbered(tmp_path)
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


def test_arguments_out_of_range_are_refused():
  rows = _Numbers(20)
  cases = [
    ({'size': 0}, 'batch_size is 0 in each of 1 processes; with 20'),
    ({'size': 21}, 'it must be 1 to 20'),
    ({'size': 11, 'process_count': 2}, 'it must be 1 to 10'),
    ({'process_index': 2, 'process_count': 2}, 'process_index is 2; of 2'),
    ({'area': (0.0, 1.0)}, 'is 0.0 to 1.0; it must be above 0'),
    ({'area': (0.5, 0.4)}, 'is 0.5 to 0.4'),
  ]
  for given, message in cases:
    options = {'size': 4, 'image_size': 8, 'seed': 0} | given
    _refused(message, stream.train_batches, rows, **options)


def test_a_row_without_a_label_is_refused_when_it_comes(tmp_path):
  labels = {'train': np.full(40, -1), 'test': np.arange(40) % 3}
  prepare_tfds(tmp_path, _images(40), labels)
  _refused(
    r'colours, train: row \d+ has no label \(-1\); give a split of rows that',
    lambda: next(
      stream.train_batches(
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
    'damaged', lambda: _draw(stream.train_batches(rows, 4, 8, seed=0), 9)
  )


def test_sets_that_cannot_be_streamed_are_refused(tmp_path, monkeypatch):
  tfds = pytest.importorskip('tensorflow_datasets')
  label = tfds.features.ClassLabel(names=['red'])
  prepare_tfds(tmp_path, _images(40), [0] * 40, label=label, name='one')
  prepare_tfds(tmp_path, _images(40), [1] * 40, name='greens')
  _numbered(tmp_path)

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

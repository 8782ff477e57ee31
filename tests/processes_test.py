"""Several processes train what one trains, and write it once."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from conftest import prepare_tfds, refused

from experiments import cli, feeds, loop, metrics_file, processes, train
from nasjax import ops, space, spaces

pytest.importorskip('grain')
ROOT = pathlib.Path(__file__).resolve().parents[1]
_CACHE = 'JAX_PERSISTENT_CACHE'
OWN = {'batch_size': 10, 'epochs': 4, 'valid_fraction': 0.2, 'seed': 3}


class _Numbers:
  """Rows that are known by their label."""

  def __len__(self):
    return 40

  def __getitem__(self, place):
    return np.full((9, 9, 1), place, np.uint8), np.int32(place)


def _feed(monkeypatch, index, count):
  monkeypatch.setattr(jax, 'process_index', lambda: index)
  monkeypatch.setattr(jax, 'process_count', lambda: count)
  return feeds.of(_Numbers(), 8, (4, 4, 1), seed=0)


@pytest.mark.parametrize('count', [2, 4])
def test_processes_are_fed_shares_that_make_up_the_whole(monkeypatch, count):
  """And stand at the same place, so that one can keep it for all."""
  whole = _feed(monkeypatch, 0, 1)
  parts = [_feed(monkeypatch, i, count) for i in range(count)]
  assert all(part.like == whole.like for part in parts)
  for _ in range(10):
    expected = whole.next().labels.tolist()
    shares = np.stack([part.next().labels for part in parts])
    assert shares.shape == (count, 8 // count)
    assert sorted(shares.ravel().tolist()) == sorted(expected)
    first, *others = (part.position.get_state() for part in parts)
    assert all(other == first for other in others)


def _free_port():
  with socket.socket() as taken:
    taken.bind(('localhost', 0))
    return taken.getsockname()[1]


@contextlib.contextmanager
def _started(root, workdir):
  """Both processes, which do not outlive the test."""
  given = {'architecture': root / 'a.json', 'dataset': 'colours', **OWN}
  given |= {'data_dir': root, 'workdir': workdir, 'processes': 2}
  given |= {'coordinator': f'localhost:{_free_port()}'}
  flags = [f'--{name}={value}' for name, value in given.items()]
  command = [sys.executable, '-m', 'experiments.train', '--stream', *flags]
  options = {'cwd': ROOT, 'stderr': subprocess.PIPE, 'text': True}
  # Those that go on compile nothing that those that were killed have compiled.
  options['env'] = os.environ | {f'{_CACHE}_MIN_COMPILE_TIME_SECS': '0'}
  with contextlib.ExitStack() as ends:
    running = []
    for i in range(2):
      process = subprocess.Popen([*command, f'--process={i}'], **options)
      running.append(ends.enter_context(process))
      ends.callback(process.kill)
    yield running


def _dot():
  """Next to nothing to trace and to compile."""
  return spaces.mobile(
    [spaces.Stage(4, 1, 2)],
    name='dot',
    image_size=8,
    channels=3,
    num_classes=3,
    stem=4,
    stem_stride=2,
    head=8,
    candidates=(ops.MBConv(3, 1), ops.MBConv(3, 3)),
  )


def test_two_processes_that_are_killed_end_where_one_ends(tmp_path):
  """But for another order of sums: images are constant, and so is every cut."""
  values = np.arange(60, dtype=np.uint8).reshape(-1, 1, 1, 1) * 4
  pixels = np.broadcast_to(values, (60, 8, 8, 3))
  prepare_tfds(tmp_path, pixels, np.arange(60) % 3)
  space.Architecture(_dot(), ('mbconv_k3_e1',)).save(tmp_path / 'a.json')
  alone, both = tmp_path / 'alone', tmp_path / 'both'
  given = {'architecture': str(tmp_path / 'a.json'), 'dataset': 'colours'}
  given |= {'data_dir': str(tmp_path), 'stream': True}
  config = cli.defaults(train.OPTIONS) | OWN | given
  train.train_as_told(config, alone, '')
  kept = both / 'checkpoints'
  with _started(tmp_path, both) as running:
    while all(process.poll() is None for process in running):
      if any(path.name.isdigit() for path in kept.glob('[0-9]*')):
        break
      time.sleep(0.002)
    for process in running:
      process.kill()
    errors = [process.communicate()[1] for process in running]
  assert any(path.name.isdigit() for path in kept.iterdir()), errors
  assert not (both / 'result.json').exists()
  with _started(tmp_path, both) as running:
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
  one, other = (metrics_file.read(d) for d in (alone, both))
  assert [row['step'] for row in one] == [row['step'] for row in other]
  for a, b in zip(one, other, strict=True):
    assert a == pytest.approx(b, rel=1e-5, abs=1e-5)
  one, other = (loop.read_json(d / 'result.json') for d in (alone, both))
  assert other['test_accuracy'] == pytest.approx(one['test_accuracy'], abs=0.02)
  assert loop.read_json(both / 'config.json')['processes'] == 2
  # One process reads what two have left.
  found = train.evaluate(both, {})
  assert found['last'] == other['last_test_accuracy']
  assert found['best'] == other['best_test_accuracy']
  refused('processes was 2 and is None', train.train_as_told, config, both, '')


def test_bad_flags_are_one_line():
  cases = [
    ((0, None, None), 'processes is 0; it must be at least 1'),
    ((1, 0, None), '--process=0 has no effect with --processes=1'),
    ((1, None, 'a:1'), '--coordinator=a:1 has no effect with --processes=1'),
    ((2, None, 'a:1'), 'process is None; of 2 processes it must be 0 to 1'),
    ((2, 2, 'a:1'), 'process is 2; of 2 processes it must be 0 to 1'),
    ((2, 0, None), 'coordinator is None; with 2 processes it must be the addr'),
    ((2, 0, 'a'), 'coordinator is a; with 2'),
    ((2, 0, 'a:b'), 'coordinator is a:b; with 2'),
  ]
  for given, message in cases:
    refused(message, processes.start, *given)

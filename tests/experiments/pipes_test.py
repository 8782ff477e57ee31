"""Files of a user's that are no regular ones: named, and never waited for."""

import contextlib
import errno
import os
import pathlib
import socket
import threading

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from nasjax import data, files, space
from nasjax.data import folder_cache, images, tfds_files
from nasjax.run import finished
from nasjax.run.workdir import (
  checkpoints,
  claims,
  diverged_file,
  metrics_file,
  weights,
)
from tests.conftest import refused

_PIPE = 'is a named pipe, not a regular file'


@pytest.fixture
def make_pipe():
  """Makes named pipes; holds that nobody waited for a writer."""
  made, waited = [], []

  def make(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    made.append(path)
    return path

  def release():
    while not over.wait(3):
      for path in made:
        with contextlib.suppress(OSError):  # Nobody waits.
          os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
          waited.append(path.name)

  over = threading.Event()
  waiter = threading.Thread(target=release)
  waiter.start()
  yield make
  over.set()
  waiter.join()
  assert not waited


def _others(tmp_path, make_pipe):
  """Paths that are no regular files, with what is said of each."""
  loops, gone = tmp_path / 'loop.png', tmp_path / 'gone.png'
  loops.symlink_to(loops)
  gone.symlink_to(tmp_path / 'nowhere.png')
  linked = tmp_path / 'linked.png'
  linked.symlink_to(make_pipe(tmp_path / 'pipe.png'))
  address = tmp_path / 'socket.png'
  with contextlib.chdir(tmp_path), socket.socket(socket.AF_UNIX) as listening:
    listening.bind(address.name)  # Of which the length is limited.
  (tmp_path / 'folder.png').mkdir()
  return {
    tmp_path / 'pipe.png': _PIPE,
    linked: _PIPE,
    address: 'is a socket, not a regular file',
    pathlib.Path('/dev/zero'): 'is a device, not a regular file',
    tmp_path / 'folder.png': 'is a directory, not a regular file',
    loops: os.strerror(errno.ELOOP),
    gone: os.strerror(errno.ENOENT),
  }


def test_only_a_regular_file_is_read(tmp_path, make_pipe):
  for path, message in _others(tmp_path, make_pipe).items():
    for read in (files.check_regular, files.read_text):
      with pytest.raises(OSError) as caught:  # noqa: PT011 (see below)
        read(path)
      assert caught.value.strerror == message
    for read in (images.header, images.read):
      with pytest.raises(images.BrokenError) as caught:
        read(path)
      assert str(caught.value) == message
  (tmp_path / 'text').write_text('text')
  (tmp_path / 'link').symlink_to(tmp_path / 'text')
  assert files.read_text(tmp_path / 'link') == 'text'


def test_what_is_no_file_among_images_is_named_or_skipped(tmp_path, make_pipe):
  root = tmp_path / 'set'
  for i in range(40):
    path = root / ('cat', 'dog')[i % 2] / f'{i}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), i, np.uint8)).save(path)
  make_pipe(root / 'cat/pipe.png')
  (root / 'dog/loop.png').symlink_to(root / 'dog/loop.png')
  (root / 'dog/zero.png').symlink_to('/dev/zero')
  make_pipe(root / 'beside')  # The class folders, as any other file.

  def load(**options):
    return data.load(f'folder:{root}', tmp_path / 'cache', **options)

  refused(rf'3 of 43 files .* cat/pipe.png \({_PIPE}\), dog/loop.png', load)
  dataset = load(broken='skip')
  assert dataset.num_train + dataset.num_test == 40
  skipped = [line.partition(' (')[0] for line in dataset.skipped]
  assert skipped == ['cat/pipe.png', 'dog/loop.png', 'dog/zero.png']
  (root / 'cat/folder.png').mkdir()
  refused("'cat' holds folders, as 'folder.png'", load, broken='skip')
  pipe = make_pipe(tmp_path / 'pipe')
  refused('is a file; give a folder', data.load, f'folder:{pipe}')


def test_a_pipe_in_place_of_a_cache_is_no_cache(tmp_path, make_pipe):
  assert folder_cache.load(make_pipe(tmp_path / 'a.npz'), 'key') is None


@pytest.mark.parametrize(
  ('name', 'read'),
  [
    ('architecture.json', lambda d: space.Architecture.load(d / 'a.json')),
    ('architecture.json', lambda d: space.read_record(d / 'a.json')),
    ('config.json', lambda d: claims.claim(d, {})),
    ('metrics.jsonl', metrics_file.read),
    ('metrics.jsonl', lambda d: metrics_file.cut(d, 0)),
    ('result.json', finished.read),
    ('diverged.json', diverged_file.read),
    ('best.json', weights.best),
  ],
)
def test_a_pipe_in_place_of_a_document_is_refused(
  tmp_path, make_pipe, name, read
):
  make_pipe(tmp_path / 'run' / name)
  (tmp_path / 'run/a.json').symlink_to(tmp_path / 'run' / name)
  refused(f'json.?: {_PIPE}', read, tmp_path / 'run')


def test_pipes_in_folders_that_libraries_read_are_refused(tmp_path, make_pipe):
  arrays = {'a': np.zeros(3, np.float32)}
  weights.store(tmp_path, 'last', arrays, {'classes': ['cat']})
  for path in sorted((tmp_path / 'weights').rglob('*')):
    if path.is_file():
      whole = path.read_bytes()
      make_pipe(path)
      message = f'weights: .*{_PIPE}.*{path.name}'
      refused(message, weights.restore, tmp_path, 'last', arrays, 'a')
      refused(message, weights.classes, tmp_path, 'last')
      path.unlink()
      path.write_bytes(whole)
  make_pipe(tmp_path / 'colours/1.0.0/colours-train.array_record')
  refused(f'train.array_record .*{_PIPE}', tfds_files.check_folder, tmp_path)


def test_a_checkpoint_with_a_pipe_is_damaged(tmp_path, make_pipe, capsys):
  path = tmp_path / 'checkpoints'
  with checkpoints.open(path, 'seed 0') as kept:
    for step in (1, 2):
      kept.save(step, {'x': jnp.float32(step)})
  assert (path / '2/state/manifest.ocdbt').exists()
  make_pipe(path / '2/state/manifest.ocdbt')
  with checkpoints.open(path, 'seed 0') as kept:
    assert kept.restore({'x': jnp.float32(0)})['x'] == 1
  assert _PIPE in capsys.readouterr().err

"""What was decoded is kept: read again, made anew, or refused."""

import os

import numpy as np
import pytest

from nasjax import data
from nasjax.data import folder_listing, folder_source
from tests.conftest import refused as _refused
from tests.data.folder_cases import make_folder, pixel_values, write_image


# The cache.
def test_what_an_older_version_kept_is_decoded_again(
  tmp_path, load, monkeypatch
):
  root = make_folder(tmp_path / 'set')
  first = load(root, 'another')
  with monkeypatch.context() as patch:
    patch.setattr(folder_source.folder_cache, '_FORMAT', 1)
    patch.setattr(folder_source.image, 'square', lambda *_: np.uint8([0]))
    load(root)  # Writes what it misreads.
  assert data.checksum(load(root)) == data.checksum(first)


def _caches(tmp_path):
  return sorted((tmp_path / 'cache').rglob('*.npz'))


def test_what_was_decoded_is_not_decoded_again(tmp_path, load, monkeypatch):
  root = make_folder(tmp_path / 'set')
  first = load(root)
  (path,) = _caches(tmp_path)
  monkeypatch.setattr(folder_source.image, 'read', None)
  second = load(root)
  assert data.checksum(first) == data.checksum(second)
  assert [path] == _caches(tmp_path)
  assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


@pytest.mark.parametrize('change', ['pixels', 'added', 'removed', 'renamed'])
def test_a_folder_that_changed_is_decoded_again(tmp_path, load, change):
  root = make_folder(tmp_path / 'set')
  load(root)
  changed = root / 'cat/3.png'
  values = {*range(10, 30), *range(110, 130)}
  if change == 'pixels':
    before = changed.stat()
    write_image(changed, np.full((6, 6, 3), 99))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    values = values - {13} | {99}
  elif change == 'added':
    write_image(root / 'cat/new.png', np.full((6, 6, 3), 99))
    values |= {99}
  elif change == 'removed':
    changed.unlink()
    values -= {13}
  else:
    changed.rename(root / 'dog/from_cat.png')
  dataset = load(root)
  assert set(pixel_values(dataset.train) + pixel_values(dataset.test)) == values
  labels = np.concatenate([dataset.train.labels, dataset.test.labels])
  assert labels.sum() == 20 + (change == 'renamed')
  assert len(_caches(tmp_path)) == 1  # The old one was replaced.


@pytest.mark.parametrize('damage', ['cut', 'empty', 'other'])
def test_a_damaged_cache_is_made_anew(tmp_path, load, damage):
  root = make_folder(tmp_path / 'set')
  first = load(root)
  (path,) = _caches(tmp_path)
  whole = path.read_bytes()
  if damage == 'other':
    np.savez(path, key='another')
  else:
    path.write_bytes(whole[: len(whole) // 2 if damage == 'cut' else 0])
  assert data.checksum(load(root)) == data.checksum(first)
  assert folder_source.folder_cache.load(
    path, folder_source.key_of(folder_listing.list_folder(root))
  )


def test_each_size_has_a_cache_of_its_own(tmp_path, load):
  root = make_folder(tmp_path / 'set')
  for size in (6, 8):
    assert load(root, image_size=size).image_shape[0] == size
  assert len(_caches(tmp_path)) == 2


def test_without_a_folder_it_is_kept_where_the_user_keeps_such_things(
  tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
  data.load(f'folder:{make_folder(tmp_path / "set")}')
  assert len(list((tmp_path / 'home/nasjax').rglob('*.npz'))) == 1
  assert not list((tmp_path / 'set').rglob('*.npz'))


def test_a_cache_that_cannot_be_written_is_refused(tmp_path, load):
  (tmp_path / 'file').write_text('')
  root = make_folder(tmp_path / 'set')
  _refused('give a folder that can be written as data_dir', load, root, 'file')

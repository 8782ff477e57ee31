"""Which files of a folder are images, of which class and side."""

import shutil

import numpy as np
import pytest

from experiments.flags import sources
from nasjax import data
from nasjax.data import folder_listing
from tests.conftest import refused as _refused
from tests.data.folder_cases import (
  SETS,
  make_folder,
  make_sides,
  pixel_values,
  write_image,
)


# The split.
def test_an_image_stays_on_its_side_whatever_else_changes(tmp_path, load):
  root = make_folder(tmp_path / 'set', count=40)
  before = load(root)
  shutil.rmtree(root / 'dog')
  make_folder(tmp_path / 'other', count=40)
  (tmp_path / 'other/dog').rename(root / 'ape')  # Now the first class.
  for i in range(30):
    write_image(root / f'cat/more{i}.png', np.full((6, 6, 3), 200))
  after = load(root)

  def cats(arrays):
    return [v for v in pixel_values(arrays) if v < 100]

  assert cats(before.train) == cats(after.train)
  assert cats(before.test) == cats(after.test)
  assert len(cats(before.train)) + len(cats(before.test)) == 40
  assert after.class_names == ('ape', 'cat')


@pytest.mark.parametrize('fraction', [0.1, 0.5])
def test_the_fraction_of_the_test_is_about_what_was_asked(fraction):
  names = [f'{c}/{i}.jpg' for c in 'ab' for i in range(2000)]
  test = {n for n in names if folder_listing.is_test(n, fraction)}
  # Five standard deviations of a binomial count.
  off = 5 * (4000 * fraction * (1 - fraction)) ** 0.5
  assert abs(len(test) - 4000 * fraction) < off
  larger = {n for n in names if folder_listing.is_test(n, fraction + 0.1)}
  assert test < larger


def test_accents_split_alike_however_they_are_stored():
  for i in range(50):
    composed, decomposed = f'a/\u00e9{i}.jpg', f'a/e\u0301{i}.jpg'
    assert folder_listing.is_test(composed, 0.5) == folder_listing.is_test(
      decomposed, 0.5
    )


# A folder that is split.
def _split(root):
  """As `make_folder`, of which every fifth image is for the test."""
  for path in sorted(make_folder(root / 'all').rglob('*.png')):
    side = 'test' if int(path.stem) % 5 == 4 else 'train'
    (root / side / path.parent.name).mkdir(parents=True, exist_ok=True)
    path.rename(root / side / path.parent.name / path.name)
  shutil.rmtree(root / 'all')
  return root


def test_a_split_that_a_folder_has_is_kept(tmp_path, load):
  root = _split(tmp_path / 'set')
  shutil.rmtree(root / 'test/dog')  # A test need not have every class.
  (root / '.hidden').write_text('')
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(root)
    assert dataset.class_names == ('cat', 'dog')
    values = {*range(10, 30), *range(110, 130)}
    tested = {value for value in values if value % 5 == 4}
    assert pixel_values(dataset.train) == sorted(values - tested)
    assert pixel_values(dataset.test) == [14, 19, 24, 29]
    for arrays in (dataset.train, dataset.test):
      np.testing.assert_array_equal(
        arrays.labels, arrays.images[:, 0, 0, 0] >= 100
      )


def test_train_and_test_may_be_the_names_of_classes(tmp_path, load):
  root = make_folder(tmp_path / 'set')
  (root / 'cat').rename(root / 'test')
  (root / 'dog').rename(root / 'train')
  dataset = load(root)
  assert dataset.class_names == ('test', 'train')
  assert dataset.num_train + dataset.num_test == 40


def test_splits_of_no_use_are_refused(tmp_path, load):
  roots = {name: _split(tmp_path / name) for name in 'abcdef'}
  write_image(roots['a'] / 'extra/cat/1.png', np.zeros((6, 6)))
  write_image(roots['b'] / 'test/eel/1.png', np.zeros((6, 6)))
  shutil.rmtree(roots['c'] / 'test')
  (roots['c'] / 'test').mkdir()
  linked = roots['d'] / 'test/dog/again.png'
  linked.symlink_to(roots['d'] / 'train/dog/3.png')
  for path in (roots['e'] / 'train/cat').iterdir():
    path.write_text('no image')
  for path in (roots['f'] / 'test').rglob('*.png'):
    path.write_text('no image')
  messages = [
    "holds 'extra' beside train/ and test/",
    "its test/ has the class 'eel', its train/ has not",
    'test has no class folders; put the images of each class',
    'split overlaps: test/dog/again.png and train/dog/3.png are one file',
    "no training file of class 'cat' can be read",
    'no file in test/ can be read',
  ]
  for root, message in zip(roots.values(), messages, strict=True):
    _refused(message, load, root, broken='skip')
  _refused(
    'test_fraction=0.3 has no effect where the folder holds',
    sources.open_set,
    sources.Source(f'folder:{roots["a"]}', test_fraction=0.3),
  )


@pytest.mark.parametrize(
  ('train', 'valid'),
  [
    ('train', 'val'),
    ('train', 'valid'),
    ('train', 'validation'),
    ('Train', 'Test'),
    ('TRAIN', 'Val'),
    ('training', 'testing'),
  ],
)
def test_two_folders_are_training_and_test(tmp_path, load, train, valid):
  values = make_sides(tmp_path / 'set', train, valid)
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(tmp_path / 'set')
    assert pixel_values(dataset.train) == values[train]
    assert pixel_values(dataset.test) == values[valid]
    assert dataset.valid is None
    assert dataset.test_split == valid
  said = any('is the test' in line for line in dataset.remarks)
  assert said == valid.lower().startswith('val')


def test_what_is_no_class_is_left_out_at_every_depth(tmp_path, load):
  make_sides(tmp_path / 'split', 'train', 'val', 'test')
  make_folder(tmp_path / 'whole')
  before = {name: load(tmp_path / name) for name in SETS}
  for folder in ('split', 'split/train', 'split/val', 'split/test', 'whole'):
    (tmp_path / folder / 'labels.csv').write_text('a,b')
    write_image(tmp_path / folder / 'sample.png', np.zeros((6, 6)))
  for path in [tmp_path, *tmp_path.rglob('*')]:
    if path.is_dir() and 'cache' not in path.parts:
      write_image(path / '__MACOSX/cat/._1.png', np.zeros((6, 6)))
      (path / '.DS_Store').write_text('')
  for name in SETS:
    after = load(tmp_path / name)
    assert data.checksum(after) == data.checksum(before[name])


def test_splits_that_may_mean_two_things_are_refused(tmp_path, load):
  cases = {
    ('train', 'val', 'valid'): "holds both 'val' and 'valid'",
    ('train', 'Train', 'test'): "holds both 'Train' and 'train'",
    ('train', 'Test', 'test', 'val'): "holds both 'Test' and 'test'",
    ('train', 'val', 'extra'): "holds 'extra' beside train/ and val/",
    ('train',): "its folder 'train' holds folders, as 'cat'",
  }
  for sides, message in cases.items():
    root = tmp_path / '_'.join(sides)
    make_sides(root, *sides)
    _refused(message, load, root)
  root = tmp_path / 'links'
  make_sides(root, 'train', 'val')
  (root / 'test').symlink_to(tmp_path / 'nowhere')
  _refused('links/test is a broken link', load, root)
  (root / 'test').unlink()
  (root / 'val/eel').symlink_to(root / 'val/eel')
  _refused('val/eel is a broken link', load, root)
  (root / 'val/eel').unlink()
  write_image(root / 'test/cat/1.png', np.zeros((6, 6)))
  shutil.copytree(root / 'train/dog', root / 'val/eel')
  _refused("its val/ has the class 'eel', its train/ has not", load, root)
  shutil.rmtree(root / 'val/eel')
  (root / 'val/cat/again.png').symlink_to(root / 'test/cat/1.png')
  _refused('test/cat/1.png and val/cat/again.png are one file', load, root)
  (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
  _refused('loop: cannot be read: Too many', load, tmp_path / 'loop')
  _refused('cannot be read: File name too long', load, 300 * 'x')
  _refused('nobody-is-called-so: does not exist', load, '~nobody-is-called-so')


# Bad input.
def test_folders_that_are_no_sets_are_refused(tmp_path, load):
  (tmp_path / 'empty').mkdir()
  write_image(tmp_path / 'flat/1.png', np.zeros((6, 6)))
  make_folder(tmp_path / 'hollow')
  (tmp_path / 'hollow/eel').mkdir()
  (tmp_path / 'hollow/eel/.hidden').write_text('')
  make_folder(tmp_path / 'nested/train')
  one = make_folder(tmp_path / 'one')
  shutil.rmtree(one / 'dog')
  cases = {
    '': 'names no folder; give folder:DIR',
    tmp_path / 'nowhere': 'does not exist; give a folder of class folders',
    tmp_path / 'flat/1.png': 'is a file; give a folder',
    tmp_path / 'empty': 'has no class folders; put the images of each class',
    tmp_path / 'flat': 'has no class folders',
    tmp_path / 'hollow': "its class folder 'eel' is empty",
    tmp_path / 'nested': "its folder 'train' holds folders, as 'cat'",
    one: "training images of one class only, 'cat'; at least 2",
  }
  for root, message in cases.items():
    _refused(message, load, root)

"""Folders of images: every kind of file, kept, split for good, or refused."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from experiments import cli, datasets, portions, search, train
from nasjax import data
from nasjax.data import folder_listing, folder_source
from tests.conftest import refused as _refused


def _write(path, pixels, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def _folder(root, count=20, size=6, suffix='png', channels=3):
  """Two classes; each image is a constant that no other one is."""
  shape = (size, size) if channels == 1 else (size, size, channels)
  for label, name in enumerate(('cat', 'dog')):
    for i in range(count):
      value = 10 + 100 * label + i
      _write(root / name / f'{i}.{suffix}', np.full(shape, value))
  return root


@pytest.fixture
def load(tmp_path):
  def call(root, cache='cache', **options):
    return data.load(f'folder:{root}', tmp_path / cache, **options)

  return call


def _values(arrays):
  return sorted(arrays.images[:, 0, 0, 0].tolist())


def test_a_set_that_a_file_names_is_read_and_nothing_written(tmp_path):
  cache = tmp_path / 'cache'
  given = cli.defaults(datasets.OPTIONS) | {'data_dir': str(cache)}
  given['dataset'] = f'folder:{_folder(tmp_path / "set")}'
  dataset = datasets.read(
    datasets.open_set(given, datasets.OPTIONS, write=False)
  )
  assert not cache.exists()
  kept = datasets.read(datasets.open_set(given, datasets.OPTIONS))
  assert len([*cache.rglob('*.npz')]) == 1
  assert data.checksum(kept) == data.checksum(dataset)


def test_names_of_files_in_warnings_are_written_out(tmp_path, capsys):
  root = _folder(tmp_path / 'set')
  (root / 'cat/\x1b[2J\nbroken').write_text('no image')
  Image.open(root / 'dog/3.png').save(root / 'dog/\x1b[31m.png')
  given = cli.defaults(datasets.OPTIONS) | {'data_dir': str(tmp_path)}
  given |= {'dataset': f'folder:{root}', 'broken': 'skip'}
  datasets.read(datasets.open_set(given, datasets.OPTIONS))
  lines = capsys.readouterr().err
  assert '\x1b' not in lines
  assert lines.count('\n') == lines.count('warning: ')
  assert r'cat/\x1b[2J\nbroken' in lines


# What is read.


def test_images_come_whole_with_the_label_of_their_folder(tmp_path, load):
  dataset = load(_folder(tmp_path / 'set'))
  assert dataset.class_names == ('cat', 'dog')
  assert dataset.image_shape == (6, 6, 3)
  both = _values(dataset.train) + _values(dataset.test)
  assert sorted(both) == [*range(10, 30), *range(110, 130)]
  for arrays in (dataset.train, dataset.test):
    assert len(arrays.labels)
    assert arrays.images.dtype == np.uint8
    assert arrays.labels.dtype == np.int32
    np.testing.assert_array_equal(
      arrays.labels, arrays.images[:, 0, 0, 0] >= 100
    )
    assert (arrays.images == arrays.images[:, :1, :1]).all()


def test_grey_images_alone_have_one_channel_and_mixed_ones_three(
  tmp_path, load
):
  root = _folder(tmp_path / 'set', channels=1)
  grey = load(root)
  assert grey.image_shape == (6, 6, 1)
  _write(root / 'cat/red.jpg', np.full((6, 6, 3), (250, 0, 0)), quality=100)
  mixed = load(root)
  assert mixed.image_shape == (6, 6, 3)
  images = np.concatenate([mixed.train.images, mixed.test.images])
  red = images[..., 0] > images[..., 1] + 100
  assert red.all(axis=(1, 2)).sum() == 1
  others = images[~red.all(axis=(1, 2))]
  assert (others == others[..., :1]).all()
  assert len(others) == 40


def test_any_size_is_cut_to_its_middle_and_resized(tmp_path, load):
  root = _folder(tmp_path / 'set')
  # White, but for a border left and right that the middle does not show.
  wide = np.full((20, 60, 3), 255)
  wide[:, :19] = wide[:, 41:] = 0
  _write(root / 'cat/wide.png', wide)
  dataset = load(root)
  assert dataset.image_shape == (64, 64, 3)  # Sizes differ.
  small = load(root, image_size=10)
  assert small.image_shape == (10, 10, 3)
  for found in (dataset, small):
    images = np.concatenate([found.train.images, found.test.images])
    (white,) = images[images[:, 0, 0, 0] == 255]
    assert white.min() == 255


@pytest.mark.parametrize(
  ('mode', 'suffix'),
  [
    ('1', 'png'),
    ('P', 'gif'),
    ('LA', 'png'),
    ('RGBA', 'png'),
    ('CMYK', 'jpg'),
    ('I;16', 'png'),
    ('RGB', 'webp'),
    ('RGB', 'JPEG'),
  ],
)
def test_every_usual_kind_of_file_is_read(tmp_path, load, mode, suffix):
  root = _folder(tmp_path / 'set')
  if mode == 'I;16':
    white = Image.fromarray(np.full((6, 6), 65535, np.uint16))
  else:
    white = Image.new('RGB', (6, 6), 'white').convert(mode)
  white.save(root / f'cat/white.{suffix}')
  dataset = load(root)
  images = np.concatenate([dataset.train.images, dataset.test.images])
  assert (images > 250).all(axis=(1, 2, 3)).sum() == 1
  assert len(images) == 41


def test_photographs_are_turned_upright(tmp_path, load):
  root = _folder(tmp_path / 'set', size=8)
  exif = Image.Exif()
  exif[0x0112] = 6  # Held so that its left side was up.
  pixels = np.zeros((8, 8, 3), np.uint8)
  pixels[:4] = 255  # The upper half, which is the right one then.
  _write(root / 'cat/photo.jpg', pixels, exif=exif, quality=100)
  dataset = load(root)
  images = np.concatenate([dataset.train.images, dataset.test.images])
  (photo,) = images[images.max(axis=(1, 2, 3)) == 255]
  assert (photo[:, 4:] > 200).all()
  assert (photo[:, :4] < 55).all()


# The split.


def test_an_image_stays_on_its_side_whatever_else_changes(tmp_path, load):
  root = _folder(tmp_path / 'set', count=40)
  before = load(root)
  shutil.rmtree(root / 'dog')
  _folder(tmp_path / 'other', count=40)
  (tmp_path / 'other/dog').rename(root / 'ape')  # Now the first class.
  for i in range(30):
    _write(root / f'cat/more{i}.png', np.full((6, 6, 3), 200))
  after = load(root)

  def cats(arrays):
    return [v for v in _values(arrays) if v < 100]

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


# Broken files.


def _spoil(root):
  """Four broken files among the images, with what is said of them."""
  whole = root / 'cat/whole.jpg'
  rng = np.random.default_rng(0)
  _write(whole, rng.integers(0, 256, (60, 60, 3)))
  (root / 'cat/cut.jpg').write_bytes(whole.read_bytes()[:2000])
  whole.unlink()
  (root / 'cat/text.png').write_text('no image')
  (root / 'dog/empty.png').write_bytes(b'')
  (root / 'dog/gone.png').symlink_to(root / 'nowhere.png')
  return {
    'cat/cut.jpg': r'.*truncated \(\d+ bytes not processed\)',
    'cat/text.png': 'cannot identify image file',
    'dog/empty.png': 'cannot identify image file',
    'dog/gone.png': 'No such file or directory',
  }


def test_broken_files_are_named_and_refused_and_nothing_is_kept(tmp_path, load):
  root = _folder(tmp_path / 'set')
  broken = _spoil(root)
  match = '4 of 44 files cannot be read as images: '
  match += ', '.join(rf'{name} \({why}\)' for name, why in broken.items())
  _refused(f'{match}; mend or remove them, or give --broken=skip', load, root)
  assert not (tmp_path / 'cache').exists()


def test_broken_files_can_be_skipped_and_are_named_each_time(tmp_path, load):
  root = _folder(tmp_path / 'set')
  broken = _spoil(root)
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(root, broken='skip', image_size=6)
    assert [text.split(' (')[0] for text in dataset.skipped] == [*broken]
    both = _values(dataset.train) + _values(dataset.test)
    assert sorted(both) == [*range(10, 30), *range(110, 130)]
  _refused('4 of 44 files', load, root, image_size=6)  # In the cache or not.


def test_a_class_of_broken_files_alone_is_refused(tmp_path, load):
  root = _folder(tmp_path / 'set')
  (root / 'eel').mkdir()
  (root / 'eel/a.png').write_text('no image')
  _refused("no file of class 'eel' can be read", load, root, broken='skip')


# A folder that is split.


def _split(root):
  """As `_folder`, of which every fifth image is for the test."""
  for path in sorted(_folder(root / 'all').rglob('*.png')):
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
    assert _values(dataset.train) == sorted(values - tested)
    assert _values(dataset.test) == [14, 19, 24, 29]
    for arrays in (dataset.train, dataset.test):
      np.testing.assert_array_equal(
        arrays.labels, arrays.images[:, 0, 0, 0] >= 100
      )


def test_train_and_test_may_be_the_names_of_classes(tmp_path, load):
  root = _folder(tmp_path / 'set')
  (root / 'cat').rename(root / 'test')
  (root / 'dog').rename(root / 'train')
  dataset = load(root)
  assert dataset.class_names == ('test', 'train')
  assert dataset.num_train + dataset.num_test == 40


def test_splits_of_no_use_are_refused(tmp_path, load):
  roots = {name: _split(tmp_path / name) for name in 'abcdef'}
  _write(roots['a'] / 'extra/cat/1.png', np.zeros((6, 6)))
  _write(roots['b'] / 'test/eel/1.png', np.zeros((6, 6)))
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
  config = cli.defaults(datasets.OPTIONS) | {'test_fraction': 0.3}
  _refused(
    '--test_fraction=0.3 has no effect where the folder holds',
    datasets.open_set,
    config | {'dataset': f'folder:{roots["a"]}'},
    datasets.OPTIONS,
  )


def _sided(root, *sides):
  """Ten images of each class on each side, each of a value of its own."""
  values = {}
  for i, side in enumerate(sides):
    for label, name in enumerate(('cat', 'dog')):
      for j in range(10):
        value = 100 * label + 20 * i + j
        _write(root / side / name / f'{j}.png', np.full((6, 6), value))
        values.setdefault(side, []).append(value)
  return {side: sorted(found) for side, found in values.items()}


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
  values = _sided(tmp_path / 'set', train, valid)
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(tmp_path / 'set')
    assert _values(dataset.train) == values[train]
    assert _values(dataset.test) == values[valid]
    assert dataset.valid is None
    assert dataset.test_split == valid
  said = any('is the test' in line for line in dataset.remarks)
  assert said == valid.lower().startswith('val')


@pytest.mark.parametrize('name', ['val', 'valid', 'Validation'])
def test_beside_a_test_the_images_for_validation_are_held_out(
  tmp_path, load, name
):
  root = tmp_path / 'set'
  values = _sided(root, 'train', name, 'test')
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(root)
    sides = dataset.train, dataset.valid, dataset.test
    for arrays, found in zip(sides, values.values(), strict=True):
      assert _values(arrays) == found
      np.testing.assert_array_equal(
        arrays.labels, arrays.images[:, 0, 0, 0] >= 100
      )
    assert dataset.test_split == 'test'
  # A training chooses its weights by them, a search its alphas.
  fit, valid = portions.held_out(dataset, 0.0)
  assert (fit.train, fit.test, fit.valid) == (dataset.train, dataset.test, None)
  assert valid is dataset.valid
  assert portions.halves(dataset, 0) == (dataset.train, dataset.valid)
  before = data.checksum(dataset)
  _write(root / name / 'cat/0.png', np.full((6, 6), 99))
  assert data.checksum(load(root)) != before


def test_a_search_learns_alphas_from_the_images_for_validation(tmp_path):
  values = _sided(tmp_path / 'set', 'train', 'val', 'test')
  inputs = search.prepare(
    cli.defaults(search.OPTIONS)
    | {'dataset': f'folder:{tmp_path / "set"}', 'data_dir': str(tmp_path)}
    | {'space': 'tiny', 'batch_size': 4, 'limit': ['macs=1M']}
  )
  assert _values(inputs.train) == values['train']
  assert _values(inputs.valid) == values['val']


def test_a_share_is_not_held_out_beside_images_for_validation(tmp_path):
  _sided(tmp_path, 'train', 'val', 'test')
  config = cli.defaults(train.OPTIONS) | {'dataset': f'folder:{tmp_path}'}
  datasets.check_flags(config, train.OPTIONS)
  _refused(
    '--valid_fraction=0.2 has no effect where the folder holds train/ and val/',
    datasets.check_flags,
    config | {'valid_fraction': 0.2},
    train.OPTIONS,
  )
  shutil.rmtree(tmp_path / 'test')  # Now val/ is the test.
  datasets.check_flags(config | {'valid_fraction': 0.2}, train.OPTIONS)


def test_what_is_no_class_is_left_out_at_every_depth(tmp_path, load):
  _sided(tmp_path / 'split', 'train', 'val', 'test')
  _folder(tmp_path / 'whole')
  before = {name: load(tmp_path / name) for name in SETS}
  for folder in ('split', 'split/train', 'split/val', 'split/test', 'whole'):
    (tmp_path / folder / 'labels.csv').write_text('a,b')
    _write(tmp_path / folder / 'sample.png', np.zeros((6, 6)))
  for path in [tmp_path, *tmp_path.rglob('*')]:
    if path.is_dir() and 'cache' not in path.parts:
      _write(path / '__MACOSX/cat/._1.png', np.zeros((6, 6)))
      (path / '.DS_Store').write_text('')
  for name in SETS:
    after = load(tmp_path / name)
    assert data.checksum(after) == data.checksum(before[name])


SETS = ('split', 'whole')


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
    _sided(root, *sides)
    _refused(message, load, root)
  root = tmp_path / 'links'
  _sided(root, 'train', 'val')
  (root / 'test').symlink_to(tmp_path / 'nowhere')
  _refused('links/test is a link that leads nowhere', load, root)
  (root / 'test').unlink()
  (root / 'val/eel').symlink_to(root / 'val/eel')
  _refused('val/eel is a link that leads nowhere', load, root)
  (root / 'val/eel').unlink()
  _write(root / 'test/cat/1.png', np.zeros((6, 6)))
  shutil.copytree(root / 'train/dog', root / 'val/eel')
  _refused("its val/ has the class 'eel', its train/ has not", load, root)
  shutil.rmtree(root / 'val/eel')
  (root / 'val/cat/again.png').symlink_to(root / 'test/cat/1.png')
  _refused('test/cat/1.png and val/cat/again.png are one file', load, root)
  (tmp_path / 'loop').symlink_to(tmp_path / 'loop')
  _refused('loop: cannot be read: Too many', load, tmp_path / 'loop')
  _refused('cannot be read: File name too long', load, 300 * 'x')
  _refused('nobody-is-called-so: does not exist', load, '~nobody-is-called-so')


# What is known before images are decoded.


def test_sizes_are_known_before_any_image_is_decoded(
  tmp_path, load, monkeypatch
):
  _sided(tmp_path / 'split', 'train', 'val', 'test')
  _folder(tmp_path / 'whole')
  _folder(tmp_path / 'grey', channels=1, size=9)
  read, cases = folder_source.image.read, {}
  for name in (*SETS, 'grey'):
    with monkeypatch.context() as patch:
      patch.setattr(folder_source.image, 'read', None)
      opened = data.open_set(f'folder:{tmp_path / name}', tmp_path / 'cache')
    cases[name] = opened
  assert folder_source.image.read is read
  assert cases['grey'].image_shape == (9, 9, 1)
  for name, opened in cases.items():
    again = data.open_set(opened.name, tmp_path / 'cache')
    dataset = opened.read()
    cached = data.open_set(opened.name, tmp_path / 'cache')
    for known in (opened, again, cached):
      assert known.image_shape == dataset.image_shape
      assert known.class_names == dataset.class_names
      assert known.num_train == dataset.num_train
      assert known.num_test == dataset.num_test
      assert datasets.sizes_of(known) == datasets.sizes_of(dataset)
    assert data.checksum(cached.read()) == data.checksum(dataset), name


# The cache.


def test_what_an_older_version_kept_is_decoded_again(
  tmp_path, load, monkeypatch
):
  root = _folder(tmp_path / 'set')
  first = load(root, 'another')
  with monkeypatch.context() as patch:
    patch.setattr(folder_source.folder_cache, '_FORMAT', 1)
    patch.setattr(folder_source.image, 'square', lambda *_: np.uint8([0]))
    load(root)  # Writes what it misreads.
  assert data.checksum(load(root)) == data.checksum(first)


def _caches(tmp_path):
  return sorted((tmp_path / 'cache').rglob('*.npz'))


def test_what_was_decoded_is_not_decoded_again(tmp_path, load, monkeypatch):
  root = _folder(tmp_path / 'set')
  first = load(root)
  (path,) = _caches(tmp_path)
  monkeypatch.setattr(folder_source.image, 'read', None)
  second = load(root)
  assert data.checksum(first) == data.checksum(second)
  assert [path] == _caches(tmp_path)
  assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


@pytest.mark.parametrize('change', ['pixels', 'added', 'removed', 'renamed'])
def test_a_folder_that_changed_is_decoded_again(tmp_path, load, change):
  root = _folder(tmp_path / 'set')
  load(root)
  changed = root / 'cat/3.png'
  values = {*range(10, 30), *range(110, 130)}
  if change == 'pixels':
    before = changed.stat()
    _write(changed, np.full((6, 6, 3), 99))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    values = values - {13} | {99}
  elif change == 'added':
    _write(root / 'cat/new.png', np.full((6, 6, 3), 99))
    values |= {99}
  elif change == 'removed':
    changed.unlink()
    values -= {13}
  else:
    changed.rename(root / 'dog/from_cat.png')
  dataset = load(root)
  assert set(_values(dataset.train) + _values(dataset.test)) == values
  labels = np.concatenate([dataset.train.labels, dataset.test.labels])
  assert labels.sum() == 20 + (change == 'renamed')
  assert len(_caches(tmp_path)) == 1  # The old one was replaced.


@pytest.mark.parametrize('damage', ['cut', 'empty', 'other'])
def test_a_damaged_cache_is_made_anew(tmp_path, load, damage):
  root = _folder(tmp_path / 'set')
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
  root = _folder(tmp_path / 'set')
  for size in (6, 8):
    assert load(root, image_size=size).image_shape[0] == size
  assert len(_caches(tmp_path)) == 2


def test_without_a_folder_it_is_kept_where_the_user_keeps_such_things(
  tmp_path, monkeypatch
):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
  data.load(f'folder:{_folder(tmp_path / "set")}')
  assert len(list((tmp_path / 'home/nasjax').rglob('*.npz'))) == 1
  assert not list((tmp_path / 'set').rglob('*.npz'))


def test_a_cache_that_cannot_be_written_is_refused(tmp_path, load):
  (tmp_path / 'file').write_text('')
  root = _folder(tmp_path / 'set')
  _refused(
    'give a folder that can be written as --data_dir', load, root, 'file'
  )


# Bad input.


def test_folders_that_are_no_sets_are_refused(tmp_path, load):
  (tmp_path / 'empty').mkdir()
  _write(tmp_path / 'flat/1.png', np.zeros((6, 6)))
  _folder(tmp_path / 'hollow')
  (tmp_path / 'hollow/eel').mkdir()
  (tmp_path / 'hollow/eel/.hidden').write_text('')
  _folder(tmp_path / 'nested/train')
  one = _folder(tmp_path / 'one')
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


def test_small_folders_and_bad_options_are_refused(tmp_path, load):
  root = _folder(tmp_path / 'set', count=2)
  cases = [
    ({'test_fraction': 0.999}, "leaves class 'cat' no training image of its 2"),
    ({'test_fraction': 1e-9}, 'leaves none of 4 images for the test'),
    ({'test_fraction': 1.0}, 'test_fraction is 1.0; it must be between 0 and'),
    ({'broken': 'drop'}, "broken is 'drop'; it must be refuse or skip"),
    ({'image_size': 0}, 'image_size is 0; it must be at least 1'),
  ]
  for options, message in cases:
    _refused(message, load, root, **options)

"""Folders of images: every kind of file, kept, split for good, or refused."""

import shutil

import numpy as np
import pytest
from PIL import Image

from experiments import search, train
from experiments.flags import (
  cli,
  sources,
)
from nasjax import data
from nasjax.data import folder_source
from nasjax.run import (
  datasets,
  holdout,
)
from tests.conftest import refused as _refused
from tests.data.folder_cases import (
  SETS,
  make_folder,
  make_sides,
  pixel_values,
  write_image,
)
from tests.experiments.told_cases import search_prepare


def test_a_set_that_a_file_names_is_read_and_nothing_written(tmp_path):
  cache = tmp_path / 'cache'
  root = make_folder(tmp_path / 'set')
  given = sources.Source(f'folder:{root}', str(cache))
  dataset = datasets.read(sources.open_set(given, write=False))
  assert not cache.exists()
  kept = datasets.read(sources.open_set(given))
  assert len([*cache.rglob('*.npz')]) == 1
  assert data.checksum(kept) == data.checksum(dataset)


def test_names_of_files_in_warnings_are_written_out(tmp_path, capsys):
  root = make_folder(tmp_path / 'set')
  (root / 'cat/\x1b[2J\nbroken').write_text('no image')
  Image.open(root / 'dog/3.png').save(root / 'dog/\x1b[31m.png')
  given = sources.Source(f'folder:{root}', str(tmp_path), broken='skip')
  datasets.read(sources.open_set(given))
  lines = capsys.readouterr().err
  assert '\x1b' not in lines
  assert lines.count('\n') == 1 + lines.count('warning: ')
  assert r'cat/\x1b[2J\nbroken' in lines


# What is read.
def test_images_come_whole_with_the_label_of_their_folder(tmp_path, load):
  dataset = load(make_folder(tmp_path / 'set'))
  assert dataset.class_names == ('cat', 'dog')
  assert dataset.image_shape == (6, 6, 3)
  both = pixel_values(dataset.train) + pixel_values(dataset.test)
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
  root = make_folder(tmp_path / 'set', channels=1)
  grey = load(root)
  assert grey.image_shape == (6, 6, 1)
  write_image(
    root / 'cat/red.jpg', np.full((6, 6, 3), (250, 0, 0)), quality=100
  )
  mixed = load(root)
  assert mixed.image_shape == (6, 6, 3)
  images = np.concatenate([mixed.train.images, mixed.test.images])
  red = images[..., 0] > images[..., 1] + 100
  assert red.all(axis=(1, 2)).sum() == 1
  others = images[~red.all(axis=(1, 2))]
  assert (others == others[..., :1]).all()
  assert len(others) == 40


def test_any_size_is_cut_to_its_middle_and_resized(tmp_path, load):
  root = make_folder(tmp_path / 'set')
  # White, but for a border left and right that the middle does not show.
  wide = np.full((20, 60, 3), 255)
  wide[:, :19] = wide[:, 41:] = 0
  write_image(root / 'cat/wide.png', wide)
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
  root = make_folder(tmp_path / 'set')
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
  root = make_folder(tmp_path / 'set', size=8)
  exif = Image.Exif()
  exif[0x0112] = 6  # Held so that its left side was up.
  pixels = np.zeros((8, 8, 3), np.uint8)
  pixels[:4] = 255  # The upper half, which is the right one then.
  write_image(root / 'cat/photo.jpg', pixels, exif=exif, quality=100)
  dataset = load(root)
  images = np.concatenate([dataset.train.images, dataset.test.images])
  (photo,) = images[images.max(axis=(1, 2, 3)) == 255]
  assert (photo[:, 4:] > 200).all()
  assert (photo[:, :4] < 55).all()


# Broken files.
def _spoil(root):
  """Four broken files among the images, with what is said of them."""
  whole = root / 'cat/whole.jpg'
  rng = np.random.default_rng(0)
  write_image(whole, rng.integers(0, 256, (60, 60, 3)))
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
  root = make_folder(tmp_path / 'set')
  broken = _spoil(root)
  match = '4 of 44 files cannot be read as images: '
  match += ', '.join(rf'{name} \({why}\)' for name, why in broken.items())
  _refused(f'{match}; repair or remove them, or give broken=skip', load, root)
  assert not (tmp_path / 'cache').exists()


def test_broken_files_can_be_skipped_and_are_named_each_time(tmp_path, load):
  root = make_folder(tmp_path / 'set')
  broken = _spoil(root)
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(root, broken='skip', image_size=6)
    assert [text.split(' (')[0] for text in dataset.skipped] == [*broken]
    both = pixel_values(dataset.train) + pixel_values(dataset.test)
    assert sorted(both) == [*range(10, 30), *range(110, 130)]
  _refused('4 of 44 files', load, root, image_size=6)  # In the cache or not.


def test_a_class_of_broken_files_alone_is_refused(tmp_path, load):
  root = make_folder(tmp_path / 'set')
  (root / 'eel').mkdir()
  (root / 'eel/a.png').write_text('no image')
  _refused("no file of class 'eel' can be read", load, root, broken='skip')


@pytest.mark.parametrize('name', ['val', 'valid', 'Validation'])
def test_beside_a_test_the_images_for_validation_are_held_out(
  tmp_path, load, name
):
  root = tmp_path / 'set'
  values = make_sides(root, 'train', name, 'test')
  for _ in range(2):  # Decoded, then from the cache.
    dataset = load(root)
    sides = dataset.train, dataset.valid, dataset.test
    for arrays, found in zip(sides, values.values(), strict=True):
      assert pixel_values(arrays) == found
      np.testing.assert_array_equal(
        arrays.labels, arrays.images[:, 0, 0, 0] >= 100
      )
    assert dataset.test_split == 'test'
  # A training chooses its weights by them, a search its alphas.
  fit, valid = holdout.held_out(dataset, 0.0)
  assert (fit.train, fit.test, fit.valid) == (dataset.train, dataset.test, None)
  assert valid is dataset.valid
  assert holdout.halves(dataset, 0) == (dataset.train, dataset.valid)
  before = data.checksum(dataset)
  write_image(root / name / 'cat/0.png', np.full((6, 6), 99))
  assert data.checksum(load(root)) != before


def test_a_search_learns_alphas_from_the_images_for_validation(tmp_path):
  values = make_sides(tmp_path / 'set', 'train', 'val', 'test')
  inputs = search_prepare(
    cli.defaults(search.OPTIONS)
    | {'dataset': f'folder:{tmp_path / "set"}', 'data_dir': str(tmp_path)}
    | {'space': 'tiny', 'batch_size': 4, 'limit': ['macs=1M']}
  )
  assert pixel_values(inputs.train) == values['train']
  assert pixel_values(inputs.valid) == values['val']


def test_a_share_is_not_held_out_beside_images_for_validation(tmp_path):
  make_sides(tmp_path, 'train', 'val', 'test')
  source = sources.Source(f'folder:{tmp_path}')
  sources.check_flags(source, train.Images())
  _refused(
    'valid_fraction=0.2 has no effect where the folder holds train/ and val/',
    sources.check_flags,
    source,
    train.Images(valid_fraction=0.2),
  )
  shutil.rmtree(tmp_path / 'test')  # Now val/ is the test.
  sources.check_flags(source, train.Images(valid_fraction=0.2))


# What is known before images are decoded.
@pytest.mark.parametrize(('size', 'channels'), [(None, 1), (24, 3)])
def test_what_is_done_to_photographs_is_said_before_they_are_read(
  tmp_path, capsys, monkeypatch, size, channels
):
  root = make_folder(tmp_path / 'set', channels=channels, size=9)
  given = sources.Source(f'folder:{root}', str(tmp_path), image_size=size)
  opened = sources.open_set(given)
  edge = size or 9
  of = f'{channels} channel' + 's' * (channels > 1)
  text = f'resized to {edge} x {edge} pixels, of {of}'
  assert opened.resized.endswith(text)
  monkeypatch.setattr(folder_source, 'read', None)
  with pytest.raises(TypeError):
    datasets.read(opened)
  assert text in capsys.readouterr().err
  assert data.open_set().resized is None


def test_sizes_are_known_before_any_image_is_decoded(
  tmp_path, load, monkeypatch
):
  make_sides(tmp_path / 'split', 'train', 'val', 'test')
  make_folder(tmp_path / 'whole')
  make_folder(tmp_path / 'grey', channels=1, size=9)
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
      assert known.sizes == dataset.sizes
    assert data.checksum(cached.read()) == data.checksum(dataset), name


def test_small_folders_and_bad_options_are_refused(tmp_path, load):
  root = make_folder(tmp_path / 'set', count=2)
  cases = [
    ({'test_fraction': 0.999}, "leaves class 'cat' no training image of its 2"),
    ({'test_fraction': 1e-9}, 'leaves none of 4 images for the test'),
    ({'test_fraction': 1.0}, 'test_fraction is 1.0; it must be between 0 and'),
    ({'broken': 'drop'}, "broken is 'drop'; it must be refuse or skip"),
    ({'image_size': 0}, 'image_size is 0; it must be at least 1'),
  ]
  for options, message in cases:
    _refused(message, load, root, **options)

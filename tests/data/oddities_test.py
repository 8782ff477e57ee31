"""What is odd about images: counted right, with an example, at little cost."""

import re
import time

import numpy as np
import pytest
from PIL import Image

from experiments.flags import (
  sources,
)
from nasjax import data
from nasjax.data import oddities as data_check
from nasjax.data.oddities import Side, oddities
from nasjax.run import datasets
from tests.conftest import images, prepare_tfds

CLASSES = ('cat', 'dog')


def _side(pixels, files=()):
  return Side(pixels, np.arange(len(pixels), dtype=np.int32) % 2, files)


def _numbers(line):
  return [int(number) for number in re.findall(r'\d+', line)]


def test_nothing_is_odd_about_images_that_differ():
  sides = {'training': _side(images(40)), 'test': _side(images(40, seed=1))}
  assert oddities(sides, CLASSES) == ()


@pytest.mark.parametrize('channels', [1, 3])
def test_images_on_two_sides_are_counted_with_an_example(channels):
  train, test = images(40, 8, channels), images(30, 8, channels, seed=1)
  test[[7, 9, 12]] = train[[3, 3, 30]]
  train[20] = train[21]  # Twice on one side, which is nobody's business.
  (line,) = oddities({'training': _side(train), 'test': _side(test)}, CLASSES)
  assert _numbers(line) == [3, 30, 7, 3]
  test[12, 7, 7, channels - 1] ^= 1  # One bit is another picture.
  (line,) = oddities({'training': _side(train), 'test': _side(test)}, CLASSES)
  assert _numbers(line) == [2, 30, 7, 3]


def test_every_pair_of_sides_is_compared():
  names = ('training', 'validation', 'test')
  sides = {n: images(20, seed=i) for i, n in enumerate(names)}
  sides['validation'][1] = sides['training'][0]
  sides['test'][2] = sides['training'][3]
  sides['test'][4] = sides['validation'][5]
  found = oddities({n: _side(p) for n, p in sides.items()}, CLASSES)
  counts = [(1, 20, 1, 0), (1, 20, 2, 3), (1, 20, 4, 5)]
  assert [tuple(_numbers(line)) for line in found] == counts


def test_classes_without_an_image_outside_of_training_are_named():
  train = Side(images(6), np.int32([0, 0, 2, 2, 4, 4]))
  test = Side(images(2, seed=1), np.int32([0, 4]))
  (line,) = oddities({'training': train, 'test': test}, 'abcde')
  assert line == '3 of 5 classes have no test image: b, c, d'


def test_images_of_one_colour_are_counted():
  train, test = images(10, 8, 3), images(10, 8, 3, seed=1)
  train[4] = np.uint8([9, 80, 200])
  test[[3, 5]] = 255
  train[6] = 7
  train[6, 7, 7, 2] = 8  # A pixel is enough.
  train[7] = np.arange(8, dtype=np.uint8)[:, None, None]  # Stripes are no one.
  files = [f'{i}.png' for i in range(10)]
  sides = {'training': _side(train, files), 'test': _side(test)}
  (line,) = oddities(sides, CLASSES)
  assert _numbers(line) == [3, 20, 4]
  assert line.endswith(' 4.png')


def test_looking_at_all_of_mnist_takes_well_under_a_second():
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (70_000, 28, 28, 1), np.uint8)
  pixels[:, :10] = 0  # As backgrounds are.
  sides = {'training': _side(pixels[:60_000]), 'test': _side(pixels[60_000:])}
  times = []
  for _ in range(3):
    start = time.process_time()
    assert oddities(sides, CLASSES) == ()
    times.append(time.process_time() - start)
  assert min(times) < 1


# In the sets of users.


def _lines(capsys, **given):
  config = sources.Source(**given)
  capsys.readouterr()
  datasets.read(sources.open_set(config))
  lines = capsys.readouterr().err.splitlines()
  return [line for line in lines if line.startswith('warning: ')]


def test_the_embedded_set_is_not_odd(capsys):
  dataset = data.load()
  sides = {'training': Side(*dataset.train), 'test': Side(*dataset.test)}
  assert oddities(sides, dataset.class_names) == ()
  assert _lines(capsys) == []


@pytest.mark.parametrize('sides', [('train', 'test'), ('train', 'val', 'test')])
def test_a_picture_that_was_copied_is_said_with_both_files(
  tmp_path, capsys, sides
):
  pixels = iter(images(60, 8, 3))
  for side in sides:
    for i in range(20):
      path = tmp_path / 'set' / side / CLASSES[i % 2] / f'{i}.png'
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(next(pixels)).save(path)
  given = {'dataset': f'folder:{tmp_path}/set', 'data_dir': str(tmp_path)}
  usual = _lines(capsys, **given)
  assert len(usual) == ('val' in sides)
  # The same pixels in a file of other bytes.
  with Image.open(tmp_path / 'set/train/cat/4.png') as picture:
    picture.save(tmp_path / 'set/test/dog/copy.bmp')
  for _ in range(2):  # Decoded, then from the cache.
    *others, line = _lines(capsys, **given)
    assert others == usual
    assert '1 of 21 test images' in line
    assert 'test/dog/copy.bmp is train/cat/4.png' in line


def test_copies_in_prepared_sets_are_said(tmp_path, capsys):
  pixels, labels = images(60, 8, 3), np.arange(60) % 3
  prepare_tfds(tmp_path, pixels, labels)  # The same images on both sides.
  (line,) = _lines(capsys, dataset='colours', data_dir=str(tmp_path))
  assert _numbers(line)[:2] == [60, 60]
  assert 'test image 0 is training image' in line


def test_long_lists_are_cut():
  assert data_check.listed(list('abcdefghijkl')).endswith('i, j and 2 more')

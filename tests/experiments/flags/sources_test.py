"""The flags of data sets: what they read, warn of and refuse."""

import numpy as np
import pytest
from PIL import Image

from experiments.flags import (
  names,
  sources,
)
from nasjax import data
from nasjax.data import stream
from nasjax.run import datasets
from tests.conftest import refused


def _dataset(**given):
  return datasets.read(sources.open_set(sources.Source(**given)))


def test_skipped_files_are_one_line_on_stderr(tmp_path, capsys):
  for label, name in enumerate(('cat', 'dog')):
    (tmp_path / 'set' / name).mkdir(parents=True)
    for i in range(20):
      pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) + i + 100 * label
      Image.fromarray(pixels).save(tmp_path / f'set/{name}/{i}.png')
  where = {'dataset': f'folder:{tmp_path}/set', 'data_dir': str(tmp_path)}
  _dataset(**where)
  (done,) = capsys.readouterr().err.splitlines()  # What is done to images.
  (tmp_path / 'set/dog/bad.png').write_text('no image')
  _dataset(**where, broken='skip')
  first, err = capsys.readouterr().err.splitlines()
  assert first == done
  assert err.startswith('warning: folder:')
  assert 'skipped 1 files that cannot be read as images: dog/bad.png (' in err


@pytest.mark.parametrize(
  ('dataset', 'given'),
  [
    ('fashion_mnist_5k', {'image_size': 32}),
    ('fashion_mnist_5k', {'train_split': 'train[:80%]'}),
    ('folder:DIR', {'test_split': 'test'}),
    ('mnist', {'broken': 'skip'}),
    ('mnist', {'test_fraction': 0.5}),
  ],
)
def test_flags_that_a_set_does_not_heed_are_refused(dataset, given):
  ((name, value),) = given.items()
  refused(
    rf'{name}={value} has no effect with dataset={dataset}'.replace('[', r'\['),
    _dataset,
    dataset=dataset,
    **given,
  )


def test_images_that_are_not_square_are_told_the_flag_that_makes_them_so():
  empty = data.Arrays(np.zeros((4, 20, 30, 1), np.uint8), np.zeros(4, np.int32))
  dataset = data.Dataset('wide', empty, empty, ('a', 'b'))
  for given in (
    dataset,
    data.Opened('wide', (20, 30, 1), ('a', 'b'), 4, 4, lambda: dataset),
    stream.Streamed('wide', (), (), ('a', 'b'), 'test', (20, 30, 1)),
  ):
    refused('20x30; .* give image_size=20', getattr, given, 'sizes')


def test_a_published_network_says_if_images_are_too_small_for_it():
  sizes = {'image_size': 8, 'channels': 3, 'num_classes': 2}
  for name in ('shufflenet_v2', 'squeezenet_1_1'):
    refused(
      f'{name} (cannot take|requires)', names.for_images, name, 1, **sizes
    )

"""The scripts export and predict, from class folders to class names."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import export, predict, train
from experiments.flags import configs, ran
from nasjax import space, spaces
from tests.conftest import COLOURS, prepare_tfds, refused
from tests.experiments.script_cases import call, finish, start
from tests.export.export_cases import needs_mobile

SIZE = 8


def _colours(n=45):
  """Images of one colour each, with noise, and their labels."""
  rng = np.random.default_rng(0)
  labels = np.arange(n) % 3
  pixels = rng.integers(0, 60, (n, SIZE, SIZE, 3), np.uint8)
  for i, label in enumerate(labels):
    pixels[i, ..., label] += 190
  return pixels, labels


def _folder(root, pixels, labels):
  for i, (image, label) in enumerate(zip(pixels, labels, strict=True)):
    folder = root / COLOURS[label]
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / f'{i}.png')


@pytest.fixture(scope='module', params=['folder', 'tfds'])
def trained(request, tmp_path_factory):
  """A finished training of a folder or of a TFDS set, and its images."""
  root = tmp_path_factory.mktemp(request.param)
  pixels, labels = _colours()
  if request.param == 'folder':
    _folder(root / 'set', pixels, labels)
    given = {'dataset': f'folder:{root / "set"}', 'data_dir': str(root / 'c')}
  else:
    prepare_tfds(root, pixels, labels)
    # Its splits are the same images: each is used once.
    splits = {'train_split': 'train[:30]', 'test_split': 'test[30:]'}
    given = {'dataset': 'colours', 'data_dir': str(root), **splits}
  s = spaces.tiny(image_size=SIZE, channels=3, num_classes=3)
  path = root / 'architecture.json'
  space.argmax(s, space.init_alphas(s)).save(path)
  given |= {'architecture': str(path), 'batch_size': 10, 'epochs': 25}
  workdir = root / 'run'
  train.train_as_told(configs.of(train.Flags, given), workdir, 'command')
  return workdir


def _files(folder):
  return {p: p.stat().st_mtime_ns for p in folder.rglob('*')}


@pytest.mark.slow
def test_names_of_classes_reach_a_prediction(trained, tmp_path):
  result = json.loads((trained / 'result.json').read_text())
  names = result['classes']
  assert sorted(names) == sorted(COLOURS)
  assert result['test_crop'] == 1.0
  pixels, labels = _colours()
  paths = [tmp_path / f'{i}.png' for i in range(3)]
  for path, image in zip(paths, pixels, strict=False):
    Image.fromarray(image).resize((31, 31)).save(path)
  before = _files(trained)
  out = call('predict', f'--workdir={trained}', '--top=2', *paths)
  lines = out.splitlines()
  assert len(lines) == 6
  for path, label, line in zip(paths, labels, lines[::2], strict=False):
    words = line.split()
    assert words[:2] == [f'{path}:', COLOURS[label]]
    assert float(words[2].rstrip('%')) > 50
  assert before == _files(trained)


@pytest.mark.slow
@needs_mobile
def test_int8_is_calibrated_on_training_images_of_the_run(trained, tmp_path):
  dataset = ran.dataset(trained)
  seen, test = export.images_of(dataset, 5)
  np.testing.assert_array_equal(seen, dataset.train.images)
  np.testing.assert_array_equal(test.images, dataset.test.images[:5])
  out = call('export', f'--workdir={trained}', '--int8')
  folder = trained / 'export' / 'tflite_int8'
  assert f'wrote {folder / "model.tflite"}' in out
  record = json.loads((folder / 'export.json').read_text())
  result = json.loads((trained / 'result.json').read_text())
  assert record['float_test_accuracy'] == result['test_accuracy']
  assert record['test_images'] == result['test_images']
  assert record['parity']['images_of'] == 'the user'
  assert record['int8']['calibration_images'] == dataset.num_train
  path = tmp_path / 'one.png'
  Image.fromarray(_colours()[0][1]).save(path)
  said = call('predict', f'--workdir={trained}', path)
  done = subprocess.run(
    [sys.executable, folder / 'run.py', path], capture_output=True, text=True
  )
  assert done.stdout.split()[:2] == said.split()[:2]


@pytest.mark.slow
@pytest.mark.parametrize('trained', ['folder'], indirect=True)
def test_images_that_moved_are_not_needed_without_int8(trained, capsys):
  """Others are compared on, and a warning says so."""
  told = export.Flags(format='stablehlo')
  (trained / 'config.json').rename(trained / 'away.json')
  try:
    exported = export.export_as_told(told, trained)
    assert exported.record['parity']['images_of'] == 'fashion_mnist_5k'
    assert 'compared on images of fashion' in capsys.readouterr().err
    with_dir = export.Flags(format='stablehlo', data_dir='elsewhere')
    refused('No such file', export.export_as_told, with_dir, trained)
  finally:
    (trained / 'away.json').rename(trained / 'config.json')


@pytest.mark.slow
@pytest.mark.parametrize('trained', ['folder'], indirect=True)
def test_bad_input_is_one_line_and_nothing_is_written(trained, tmp_path):
  (tmp_path / 'search').mkdir()
  (tmp_path / 'no.png').write_text('')
  (tmp_path / 'half').mkdir()
  result = (trained / 'result.json').read_text()
  (tmp_path / 'half' / 'result.json').write_text(result)
  cases = [
    ('export', [f'--workdir={tmp_path}/none'], 'holds no finished training'),
    ('export', [f'--workdir={tmp_path}/search'], 'holds no finished training'),
    ('export', [f'--workdir={tmp_path}/half'], 'architecture.json: No such'),
    ('export', [f'--workdir={trained}', '--format=pt'], "format 'pt'; choose"),
    ('export', [], 'missing --workdir'),
    ('predict', [f'--workdir={trained}'], 'missing IMAGE'),
    (
      'predict',
      [f'--workdir={trained}', f'{tmp_path}/no.png'],
      'no.png cannot be read as an image',
    ),
    (
      'predict',
      [f'--workdir={trained}', '--top=0', 'a.png'],
      '--top is 0; it must be at least 1',
    ),
  ]
  before = _files(trained), _files(tmp_path)
  for script, args, message in cases:
    if script == 'export' and '--format' not in str(args):
      args = [*args, '--format=stablehlo']
    code, out, err = finish(start(script, *args))
    assert (code, out, err.count('\n')) == (1, '', 1), err
    assert err.startswith('error: ')
    assert message in err
  assert before == (_files(trained), _files(tmp_path))


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'format': 'onnx', 'int8': True}, 'int8=True has no effect with format'),
    ({'test_images': 5}, 'test_images=5 has no effect without --int8'),
    ({'int8': True, 'test_images': 0}, 'test_images is 0; it must be at least'),
    ({'format': 'h5'}, "unknown format 'h5'; choose from tflite"),
  ],
)
def test_bad_flags_are_refused(given, message):
  refused(message, export.Flags, **given)


def test_flags_of_predict_are_checked():
  refused('top is 0', predict.Flags, top=0)

"""The script beside a file classifies as `predict` does."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nasjax import export
from nasjax.data import images
from nasjax.export import run_script
from tests.export.export_cases import FORMATS
from tests.export.model_test import trained_of


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """Files of several sizes: larger, wider, smaller, grey, transparent."""
  rng = np.random.default_rng(0)
  folder = tmp_path_factory.mktemp('pictures')
  for i, shape in enumerate([(30, 41, 3), (9, 9, 3), (7, 5), (50, 20, 4)]):
    blocks = rng.integers(0, 256, shape, np.uint8)
    Image.fromarray(blocks).save(folder / f'{i}.png')
  return sorted(folder.iterdir())


@pytest.mark.quick_every(6)
@pytest.mark.parametrize('kind', [*FORMATS, 'stablehlo'])
@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_it_prints_the_classes_of_the_training(kind, dtype, pictures, tmp_path):
  net = trained_of()
  path = tmp_path / 'a "b"' / f'model.{kind}'
  getattr(export, kind)(net, path, input=dtype)
  read = [images.read(p).convert('RGB') for p in pictures]
  pixels = np.stack([images.middle(p, 9, 0.875) for p in read])
  expected = [
    f'{path}: {name} {probability:.1%}'
    for path, [(name, probability)] in zip(
      pictures, net.classify(pixels), strict=True
    )
  ]
  done = subprocess.run(
    [sys.executable, path.parent / 'run.py', *pictures],
    capture_output=True,
    text=True,
    cwd='/',
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines() == expected


@pytest.mark.parametrize('kind', ['tflite', 'onnx', 'stablehlo'])
def test_it_is_short_and_needs_the_runtime_numpy_and_pillow_alone(kind):
  given = {'size': 8, 'channels': 1, 'crop': 1.0, 'dtype': 'uint8'}
  script = run_script.text(kind, "it's.bin", **given)
  compile(script, 'run.py', 'exec')
  lines = [line for line in script.splitlines() if line]
  assert len(lines) <= 28
  roots = {
    line.split()[1].partition('.')[0]
    for line in lines
    if line.startswith(('import ', 'from '))
  }
  runtime = {'tflite': 'ai_edge_litert', 'onnx': 'onnxruntime'}.get(kind, 'jax')
  assert roots == {'pathlib', 'sys', 'numpy', 'PIL', runtime}

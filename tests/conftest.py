"""Settings that hold for every test."""

# ruff: noqa: E402 (JAX reads the environment while it is imported)

import collections
import io
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

# Tests compile much and run little. Before JAX is imported, and inherited by
# the processes that tests start. XLA ends a process at a flag that it does not
# know, so what other versions may lack is tried first.
_QUICK = '--xla_backend_optimization_level=0'
_QUICKER = f'{_QUICK} --xla_cpu_use_fusion_emitters=false'
# In one piece: split into many, a program takes a quarter more in all.
_QUICKER += ' --xla_cpu_parallel_codegen_split_count=1'


def _starts_with(xla_flags: str) -> bool:
  tried = subprocess.run(
    [sys.executable, '-c', 'import jax; jax.devices()'],
    env=os.environ | {'XLA_FLAGS': xla_flags},
    capture_output=True,
  )
  return tried.returncode == 0


if 'XLA_FLAGS' not in os.environ:
  os.environ['XLA_FLAGS'] = _QUICKER if _starts_with(_QUICKER) else _QUICK
# What one process of a run has compiled no other compiles again: those that it
# starts inherit the place, which its own number names.
os.environ.setdefault(
  'JAX_COMPILATION_CACHE_DIR',
  f'{tempfile.gettempdir()}/nasjax_tests_{os.getpid()}',
)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.3')
# Kills, damages and flags are drawn with it, in whichever process.
os.environ.setdefault('SEED', str(random.SystemRandom().randrange(10**6)))
# NumPy multiplies small matrices; threads would wait for each other.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import jax
import numpy as np
import pytest
from PIL import Image

from nasjax import space as space_lib
from nasjax.errors import InputError

# What a caller may switch on must not break the library.
jax.config.update('jax_numpy_rank_promotion', 'raise')

# Examples that compile a search or a training.
SLOW_EXAMPLES = {
  'nasjax.run',
  'nasjax.run.searching.search',
  'nasjax.run.train_network.train_network',
  'nasjax.search.make.make',
  'nasjax.supernet.mixed.Supernet',
}

SHARED = pathlib.Path(__file__).resolve().parents[2] / 'shared'


def pytest_terminal_summary(terminalreporter):
  terminalreporter.write_line(f'SEED={os.environ["SEED"]}')
  if not SHARED.is_dir():
    terminalreporter.write_line(
      'tests marked `shared` were left out: there is no ../shared beside this '
      'checkout'
    )


def _draw(config, items):
  """Of tests marked `drawn(n)`, leaves n cases, which `SEED` says."""
  cases = collections.defaultdict(list)
  for item in items:
    if marker := item.get_closest_marker('drawn'):
      cases[item.nodeid.partition('[')[0], marker.args[0]].append(item)
  if 'ALL_CASES' in os.environ:
    return
  left_out = []
  for (test, number), own in cases.items():
    rng = random.Random(f'{os.environ["SEED"]} {test}')
    kept = rng.sample(range(len(own)), min(number, len(own)))
    left_out += [item for i, item in enumerate(own) if i not in kept]
  items[:] = [item for item in items if item not in set(left_out)]
  config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(tryfirst=True)  # Before `-m` looks at marks.
def pytest_collection_modifyitems(config, items):
  # One that is named by its whole name runs.
  if not any('[' in argument for argument in config.args):
    _draw(config, items)
  cases = collections.Counter()
  for item in items:
    if few := item.get_closest_marker('quick_every'):
      test = item.nodeid.partition('[')[0]
      if cases[test] % few.args[0] != few.kwargs.get('first', 0):
        item.add_marker(pytest.mark.slow)
      cases[test] += 1
    if item.name in SLOW_EXAMPLES:
      item.add_marker(pytest.mark.slow)
  if SHARED.is_dir():
    return
  left_out = [item for item in items if item.get_closest_marker('shared')]
  items[:] = [item for item in items if item not in left_out]
  config.hook.pytest_deselected(items=left_out)


def pytest_unconfigure():
  cache = os.environ['JAX_COMPILATION_CACHE_DIR']
  if cache.endswith(f'nasjax_tests_{os.getpid()}'):
    shutil.rmtree(cache, ignore_errors=True)


@pytest.fixture
def shared() -> pathlib.Path:
  """Material that lies beside some checkouts, for tests marked `shared`."""
  return SHARED


@pytest.fixture
def x64():
  """Double precision while the test runs."""
  with jax.enable_x64(True):
    yield


@pytest.fixture
def architectures() -> int:
  """How many to draw where each is built; `make check-full` asks for more."""
  return int(os.environ.get('ARCHITECTURES', '20'))


@pytest.fixture
def derivations() -> int:
  """How often to derive from each preset; `make check-full` asks for more."""
  return int(os.environ.get('DERIVATIONS', '30'))


@pytest.fixture
def drawn(request) -> random.Random:
  """Random numbers of the test's own, which a failure says how to repeat."""
  name = request.node.nodeid
  print(f'SEED={os.environ["SEED"]} pytest {name}')
  return random.Random(f'{os.environ["SEED"]} {name}')


@pytest.fixture
def draw():
  """Draws architectures of a space uniformly, the same ones every time."""
  rng = np.random.default_rng(0)

  def architecture(space):
    sizes = [len(ops) for ops in space.choices.values()]
    return space_lib.Architecture.from_indices(
      space, [rng.integers(n) for n in sizes]
    )

  return architecture


def images(n, size=8, channels=1, seed=0):
  """Random uint8 images without a 0, which only padding or a cutout is."""
  rng = np.random.default_rng(seed)
  return rng.integers(1, 256, (n, size, size, channels), np.uint8)


def refused(match, function, *args, **kwargs):
  """Holds that the input is refused, in one line that matches."""
  with pytest.raises(InputError, match=match) as caught:
    function(*args, **kwargs)
  assert '\n' not in str(caught.value)


def counted(function):
  """The function, jitted, and a list that grows each time it is traced."""
  traces = []

  def counting(*args):
    traces.append(None)
    return function(*args)

  return jax.jit(counting), traces


COLOURS = ('red', 'green', 'blue')


def tfds_class(
  images,
  labels,
  *,
  name='colours',
  splits=('train', 'test'),
  label=None,
  image=None,
):
  """Of a small TFDS set; splits differ only if `labels` is by split."""
  tfds = pytest.importorskip('tensorflow_datasets')
  features = {
    'image': image or tfds.features.Image(shape=images[0].shape),
    'label': label or tfds.features.ClassLabel(names=COLOURS),
  }

  def png(pixels):
    if image is not None and not isinstance(image, tfds.features.Image):
      return pixels
    file = io.BytesIO()
    grey = pixels.shape[-1] == 1
    Image.fromarray(pixels[..., 0] if grey else pixels).save(file, 'png')
    file.seek(0)
    return file

  def rows(split):
    ys = labels[split] if isinstance(labels, dict) else labels
    for i, (pixels, y) in enumerate(zip(images, ys, strict=True)):
      yield i, {'image': png(pixels), 'label': y}

  return type(
    'Colours',
    (tfds.core.GeneratorBasedBuilder,),
    {
      'VERSION': tfds.core.Version('1.0.0'),
      'name': name,
      '_info': lambda self: tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(features),
        supervised_keys=('image', 'label'),
      ),
      '_split_generators': lambda self, manager: {s: rows(s) for s in splits},
      '_generate_examples': lambda self: iter(()),
      '__module__': __name__,
    },
  )


def prepare_tfds(root, images, labels, *, name='colours', **options):
  """Prepares a small TFDS set."""
  tfds = pytest.importorskip('tensorflow_datasets')
  with tfds.core.registered.skip_registration():
    builder = tfds_class(images, labels, name=name, **options)
  builder(data_dir=root, file_format='array_record').download_and_prepare()
  return root / name / '1.0.0'

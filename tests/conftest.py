"""Settings that hold for every test."""

import os
import pathlib

# Tests compile much and run little. Before JAX is imported, and inherited by
# the processes that tests start.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')

import jax
import numpy as np
import pytest

from nasjax import space as space_lib
from nasjax.errors import InputError

# What a caller may switch on must not break the library.
jax.config.update('jax_numpy_rank_promotion', 'raise')

SHARED = pathlib.Path(__file__).resolve().parents[2] / 'shared'


@pytest.fixture
def shared() -> pathlib.Path:
  """Material that lies beside some checkouts and is never needed."""
  if not SHARED.is_dir():
    pytest.skip('there is no ../shared beside this checkout')
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

"""What is compiled once is kept, where it was said, and said to be."""

import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import refused
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments import compilation

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
import jax.numpy as jnp
from experiments import compilation
compilation.keep(*map(eval, sys.argv[1:]))
step = compilation.compiled('step', lambda x: jnp.sin(x) @ x, jnp.ones((3, 3)))
print(float(step(jnp.ones((3, 3))).sum()))
"""


def _run(directory, **variables):
  """What a process prints that compiles one step, and what it says."""
  env = {k: v for k, v in os.environ.items() if 'CACHE' not in k}
  env |= {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0', **variables}
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, repr(directory)],
    cwd=ROOT,
    env=env,
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout, done.stderr


def _kept(path):
  return [p for p in path.rglob('*') if p.is_file()]


def test_a_second_start_reads_what_the_first_compiled(tmp_path):
  where = tmp_path / 'new' / 'cache'
  printed, said = _run(str(where))
  assert 'step: traced in ' in said
  assert ', compiled in ' in said
  assert _kept(where)
  again, said = _run(str(where))
  assert ', read from the cache in ' in said
  assert again == printed


def test_the_variable_moves_the_cache_and_the_flag_turns_it_off(tmp_path):
  moved = tmp_path / 'moved'
  variable = {compilation.VARIABLE: str(moved), 'HOME': str(tmp_path)}
  for _ in range(2):
    _, said = _run(compilation.OFF, **variable)
    assert ', compiled in ' in said
  assert not moved.exists()
  _, said = _run(None, **variable)
  assert ', compiled in ' in said
  assert _kept(moved)
  # Without either it is the home folder's.
  _run(None, HOME=str(tmp_path))
  assert _kept(tmp_path / '.cache' / 'nasjax')


def test_a_cache_that_cannot_be_written_to_is_refused(tmp_path):
  file = tmp_path / 'file'
  file.touch()
  for path in (file, file / 'below'):
    refused(
      'compile_cache .* cannot be written to', compilation.keep, str(path)
    )


def test_what_a_start_looks_like_is_known_before_it_is_there():
  """A program compiled for the shapes takes the arrays."""

  def init(key, x):
    after, own = jax.random.split(key)
    return {'w': x * jax.random.normal(own, (3,)), 'key': after}

  def step(state):
    return {**state, 'w': state['w'] + 1}, state['w'].sum()

  key = jax.random.key(0)
  shapes, start = compilation.initial(init, key, jnp.float32(2))
  program = compilation.compiled('step', step, shapes, donate=False)
  state = start()
  assert state['key'].dtype == key.dtype
  after, _ = program(state)
  assert (after['w'] == state['w'] + 1).all()
  assert (start()['w'] == state['w']).all()


def test_a_start_and_its_shapes_are_where_batches_are_split():
  mesh = Mesh(np.array(jax.devices()[:1]), ('batch',))
  shapes, start = compilation.initial(
    lambda key: jax.random.normal(key, (3,)),
    jax.random.key(0),
    sharding=NamedSharding(mesh, PartitionSpec('batch')),
  )
  everywhere = NamedSharding(mesh, PartitionSpec())
  assert shapes.sharding == start().sharding == everywhere


def test_a_start_that_fails_says_so_to_who_waits():
  def init(key):
    return jax.pure_callback(_fails, jax.ShapeDtypeStruct((), 'float32'))

  _, start = compilation.initial(init, jax.random.key(0))
  with pytest.raises(Exception, match='no start'):
    jax.block_until_ready(start())


def _fails():
  raise ValueError('no start')

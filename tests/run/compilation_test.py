"""What is compiled once is kept, where it was said, and said to be."""

import os
import pathlib
import subprocess
import sys
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nasjax.run import compilation, kept_programs
from tests.conftest import refused

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import jax.numpy as jnp
from nasjax.run import compilation
compilation.keep(*map(eval, sys.argv[1:]))
def step(x):
  return jnp.sin(x) @ x
def other_step(x):
  return jnp.cos(x) @ x
for name, f in (('step', step), ('other', other_step)):
  found = compilation.compiled(name, f, jnp.ones((3, 3)))
  print(float(found(jnp.ones((3, 3))).sum()))
"""


def _run(directory, before='', **variables):
  """What a process prints that compiles one step, and what it says."""
  env = {k: v for k, v in os.environ.items() if 'CACHE' not in k}
  env |= {'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0', **variables}
  done = subprocess.run(
    [sys.executable, '-c', before + PROGRAM, repr(directory)],
    cwd=ROOT,
    env=env,
    capture_output=True,
    text=True,
    check=True,
  )
  return done.stdout, done.stderr


def _kept(path):
  return [p for p in path.rglob('*') if p.is_file()]


@pytest.mark.slow
def test_a_second_start_reads_what_the_first_compiled(tmp_path):
  where = tmp_path / 'new' / 'cache'
  printed, said = _run(str(where))
  assert 'step: traced in ' in said
  assert ', compiled in ' in said
  assert _kept(where)
  again, said = _run(str(where))
  assert ', read from the cache in ' in said
  assert again == printed


@pytest.mark.slow
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
  """And nothing of it is made."""
  file = tmp_path / 'file'
  file.touch()
  taken = kept_programs.folder(str(tmp_path / 'taken'))
  taken.parent.mkdir()
  taken.touch()
  cases = [file, file / 'below', taken.parent, '/dev/null/a', '~nobody-here/a']
  for path in (*cases, tmp_path / ('a' * 300)):
    refused(
      'compile_cache .* cannot be written to', compilation.keep, str(path)
    )
  assert sorted(tmp_path.iterdir()) == [file, taken.parent]


@pytest.mark.slow
def test_nothing_is_made_before_something_is_compiled(tmp_path):
  """Such as by a script whose other flags are bad."""
  cache, workdir = tmp_path / 'cache', tmp_path / 'workdir'
  for module, *bad in (
    ['search', '--space=tiny', '--limit=macs=1'],
    ['search', '--space=none', '--limit=macs=1M'],
    ['train', '--architecture=none.json'],
  ):
    flags = [f'--compile_cache={cache}', f'--workdir={workdir}', *bad]
    done = subprocess.run(
      [sys.executable, '-m', f'experiments.{module}', *flags],
      cwd=ROOT,
      capture_output=True,
      text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert not cache.exists()


def _truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 0x55
  path.write_bytes(content)


def _empty(path):
  path.write_bytes(b'')


def _replace_by_folder(path):
  path.unlink()
  (path / 'own').mkdir(parents=True)


def _of_something_else(path):
  path.write_bytes(zlib.compress(b'not a program' * 100))


@pytest.mark.drawn(3)
@pytest.mark.slow
@pytest.mark.parametrize(
  'damage', [_truncate, _flip, _empty, _replace_by_folder, _of_something_else]
)
def test_what_cannot_be_read_is_compiled_anew_and_said_once(tmp_path, damage):
  printed, _ = _run(str(tmp_path))
  entries = _kept(tmp_path)
  assert len(entries) > 2
  for path in entries:
    damage(path)
  again, said = _run(str(tmp_path))
  assert again == printed
  first, *others = said.splitlines()
  assert first.startswith('compiled anew: programs kept in ')
  assert len(first) < 300
  assert len(others) == 2
  assert all(', compiled in ' in line for line in others)
  if damage is _replace_by_folder:  # It may be somebody's.
    assert all((path / 'own').is_dir() for path in entries)
    return
  again, said = _run(str(tmp_path))
  assert again == printed
  assert said.count(', read from the cache in ') == 2
  assert 'anew' not in said


def test_what_is_whole_stays_beside_what_is_damaged(tmp_path):
  _run(str(tmp_path))
  (damaged,) = (p for p in _kept(tmp_path) if 'other_step' in p.name)
  before = {p: p.read_bytes() for p in _kept(tmp_path) if p != damaged}
  strange = tmp_path / 'from_earlier-cache'
  strange.touch()
  _empty(damaged)
  _, said = _run(str(tmp_path))
  assert 'programs kept in' in said
  assert ' step: ' in f' {said}'.replace('\n', ' ')
  assert said.count(', read from the cache in ') == 1
  assert {p: p.read_bytes() for p in before} == before
  assert damaged.stat().st_size > 0
  assert strange.exists()


# Files of more than 500 bytes cannot be written.
NO_SPACE = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
"""


def test_a_run_goes_on_where_nothing_can_be_kept(tmp_path):
  expected, _ = _run(str(tmp_path / 'whole'))
  printed, said = _run(str(tmp_path / 'full'), before=NO_SPACE)
  assert printed == expected
  assert said.count('programs cannot be kept in ') == 1
  assert 'File too large' in said
  assert len(said.splitlines()) == 3
  # What was written in part is gone.
  assert not _kept(tmp_path / 'full')


def test_folders_are_those_of_what_programs_run_on():
  name = kept_programs.folder_name
  cpu = (
    'processor\t: 0\nmodel name\t: A\nflags\t\t: sse avx\n'
    'cpu MHz\t\t: 2000.1\nbogomips\t: 5000.0\n\n'
  )
  other = cpu.replace('processor\t: 0', 'processor\t: 1')
  one = name('1', 'x86_64', cpu)
  assert name('1', 'x86_64', cpu.replace('2000.1', '3100.0')) == one
  assert name('1', 'x86_64', cpu.replace('5000.0', '5000.2')) == one
  assert name('1', 'x86_64', cpu.replace('sse avx', 'avx sse')) == one
  assert name('1', 'x86_64', cpu + other) == one
  different = {
    one,
    name('2', 'x86_64', cpu),
    name('1', 'aarch64', cpu),
    name('1', 'x86_64', cpu.replace('avx', 'avx avx512f')),
    name('1', 'x86_64', cpu.replace(': A', ': B')),
    name('1', 'arm64', 'Darwin arm'),
    name('1', 'arm64', 'Darwin i386'),
  }
  assert len(different) == 7
  assert all(pathlib.Path(found).name == found for found in different)
  # The same after every start.
  assert kept_programs.folder('a') == kept_programs.folder('a')


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

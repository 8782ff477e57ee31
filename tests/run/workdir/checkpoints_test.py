"""A run goes on from its newest whole checkpoint, bit for bit.

`DAMAGES` says how many kinds of damage each file meets, `SEED` which.
"""

import contextlib
import errno
import functools
import gc
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from nasjax import files
from nasjax.errors import InputError
from nasjax.run.workdir import (
  checkpoint_digest,
  checkpoints,
  stored,
)
from tests.children import child
from tests.conftest import refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
STEPS = 8, 12


class _State(NamedTuple):
  step: Any
  params: Any
  key: Any
  nothing: Any


@functools.cache
def _state(step, seed=0):
  """Of many types, with arrays that need files and files that hold many."""
  rng = np.random.default_rng((seed, step))
  weights = {
    'kernel': jax.numpy.float32(rng.normal(size=(40, 30))),
    'half': jax.numpy.bfloat16(rng.normal(size=(7, 3))),
    'edge': jax.numpy.float32([np.nan, -0.0, np.inf, 1e-42]),
    'one': jax.numpy.full((1,), rng.normal(), np.float32),
    'on': jax.numpy.bool_(rng.normal(size=5) > 0),
  }
  key = jax.random.key(step + seed)
  return _State(jax.numpy.int32(step), [weights, ()], key, ())


def _bits(state):
  def raw(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    data = np.asarray(jax.random.key_data(x) if is_key else x)
    return str(x.dtype), x.shape, data.tobytes()

  return jax.tree.map(raw, state)


class _Feed:
  """Where a stream stands."""

  def __init__(self, place):
    self.place = place

  def get_state(self):
    return {'place': self.place, 'of': [1, (2, 3)]}

  def set_state(self, state):
    assert state['of'] == [1, [2, 3]]
    self.place = state['place']


def _save(path, *steps, identity='run', fed=False, seed=0):
  feed = _Feed(None) if fed else None
  with checkpoints.open(path, identity, feed) as kept:
    for step in steps:
      if fed:
        feed.place = 10 * step
      kept.save(step, _state(step, seed))


def _restore(path, identity='run', fed=False, state=None):
  """The state that a run starts from, and where its stream stands."""
  feed = _Feed(0) if fed else None
  with checkpoints.open(path, identity, feed) as kept:
    found = kept.restore(_state(0) if state is None else state)
  return found, feed.place if fed else None


def _step_of(path, **options):
  """Restores; the step, whose state has to be whole, and the stream with it."""
  state, place = _restore(path, **options)
  step = int(state.step)
  assert _bits(state) == _bits(_state(step))
  assert jax.tree.structure(state) == jax.tree.structure(_state(step))
  assert place in (None, 10 * step)
  return step


def _tree(path):
  return {
    str(p.relative_to(path)): p.read_bytes() if p.is_file() else None
    for p in path.rglob('*')
  }


@pytest.fixture(scope='module', params=[False, True], ids=['', 'fed'])
def saved(request, tmp_path_factory):
  """Two checkpoints, with or without a stream; a third one is gone."""
  path = tmp_path_factory.mktemp('saved') / 'checkpoints'
  _save(path, 4, *STEPS, fed=request.param)
  assert sorted(int(p.name) for p in path.iterdir()) == list(STEPS)
  return path, {'fed': request.param}


@pytest.fixture
def copy(saved, tmp_path):
  """A copy of these for one test."""
  path, options = saved
  shutil.copytree(path, tmp_path / 'checkpoints')
  return tmp_path / 'checkpoints', options


def test_a_state_comes_back_bit_for_bit(copy, capfd):
  path, options = copy
  assert _step_of(path, **options) == 12
  assert capfd.readouterr().err == ''
  assert _step_of(path.parent / 'none', **options) == 0
  shutil.rmtree(path / '12')
  assert _step_of(path, **options) == 8


def test_a_step_that_is_there_is_not_saved_again(copy):
  path, options = copy
  before = _tree(path)
  with checkpoints.open(path, 'run', _Feed(0) if options['fed'] else None) as k:
    k.save(12, _state(12, seed=1))
  assert _tree(path) == before


# Damage.

DAMAGE = {
  'cut': lambda data: data[: len(data) // 2],
  'emptied': lambda data: b'',
  'flipped first': lambda data: bytes([data[0] ^ 1]) + data[1:],
  'flipped last': lambda data: data[:-1] + bytes([data[-1] ^ 1]),
  'flipped middle': lambda data: (
    data[: len(data) // 2]
    + bytes([data[len(data) // 2] ^ 0x10])
    + data[len(data) // 2 + 1 :]
  ),
  'longer': lambda data: data + b'\0',
  'deleted': None,
}
DAMAGES = int(os.environ.get('DAMAGES', '3'))
DRAWN = random.Random(os.environ['SEED']).sample(sorted(DAMAGE), DAMAGES)


def _files(path):
  return [p.relative_to(path) for p in sorted(path.rglob('*')) if p.is_file()]


@pytest.mark.quick_every(6)
@pytest.mark.parametrize('damage', DRAWN)
def test_each_file_of_the_newest_may_be_damaged(saved, tmp_path, capfd, damage):
  """Of either step, the state is one that was saved; one line says which."""
  original, options = saved
  fallen = set()
  for i, name in enumerate(_files(original / '12')):
    if options['fed'] and name.parts[0] != 'feed':
      continue
    path = tmp_path / str(i) / 'checkpoints'
    shutil.copytree(original, path)
    file = path / '12' / name
    if DAMAGE[damage] is None:
      file.unlink()
    else:
      file.write_bytes(DAMAGE[damage](file.read_bytes()))
    broken, other = _tree(path / '12'), _tree(path / '8')
    step = _step_of(path, **options)
    err = capfd.readouterr().err
    aside = path.parent / 'checkpoints_damaged' / '12'
    if step == 12:
      assert err == '', name
      assert not aside.exists()
      assert _tree(path / '12') == broken
      continue
    assert step == 8, name
    assert err.count('\n') == 1, err
    assert f'{path}/12 is damaged (' in err
    assert f'now {aside}, and the run goes on from step 8\n' in err
    assert not (path / '12').exists()
    assert _tree(aside) == broken
    assert _tree(path / '8') == other
    fallen.add(name.parts[0])
  gc.collect()
  assert capfd.readouterr().err == ''
  if damage != 'longer':
    assert fallen == {'feed'} if options['fed'] else {'state', 'record'}
    # Once is enough, and what is written again is whole.
    path = aside.parent.parent / 'checkpoints'
    _save(path, 12, **options)
    assert _step_of(path, **options) == 12
    assert capfd.readouterr().err == ''


@pytest.mark.slow
def test_bytes_that_orbax_takes_are_not_taken(saved, tmp_path, capfd):
  """Somewhere in the largest file, which has the data of arrays."""
  original, options = saved
  data = max((original / '12').rglob('*'), key=lambda p: p.stat().st_size)
  name, size = data.relative_to(original), data.stat().st_size
  rng, taken = np.random.default_rng(0), 0
  for i in range(10):
    path = tmp_path / str(i)
    shutil.copytree(original, path)
    content = bytearray((path / name).read_bytes())
    content[rng.integers(size)] ^= 1 << int(rng.integers(8))
    (path / name).write_bytes(content)
    target = checkpoints._like(_state(0))
    with ocp.StandardCheckpointer() as reader:
      try:
        reader.restore(path / '12' / 'state', target)
        taken += 1
      except Exception:
        pass
    capfd.readouterr()
    assert _step_of(path, **options) in STEPS
    assert 'Traceback' not in capfd.readouterr().err
  assert taken > 1


def _rename_item(path):
  (path / '12' / 'state').rename(path / '12' / 'away')


def _half_deleted(path):
  shutil.rmtree(path / '12' / 'state' / 'ocdbt.process_0')
  (path / '12' / '_CHECKPOINT_METADATA').unlink()


def _no_folder(path):
  shutil.rmtree(path / '12')
  (path / '12').write_text('12')


def _empty(path):
  shutil.rmtree(path / '12')
  (path / '12').mkdir()


def _of_another_step(path):
  shutil.rmtree(path / '12')
  shutil.copytree(path / '8', path / '12')


def _record_of_another(path):
  for name in 'record', 'state':
    shutil.rmtree(path / '12' / name)
    shutil.copytree(path / '8' / name, path / '12' / name)


def _mixed(path):
  shutil.rmtree(path / '12' / 'state')
  shutil.copytree(path / '8' / 'state', path / '12' / 'state')


def _other_json(path):
  for text in ('[]', '7', 'null', '{}', '{"check": 7}'):
    (path / '12' / 'record' / 'metadata').write_text(text)


def _other_identity(path):
  """A record that a disk has changed is not one of another run."""
  file = path / '12' / 'record' / 'metadata'
  text = file.read_text()
  file.write_text(text.replace('"run"', '"ruN"'))
  assert file.read_text() != text


@pytest.mark.drawn(6)
@pytest.mark.quick_every(5)
@pytest.mark.parametrize(
  'change',
  [
    _other_identity,
    _rename_item,
    _half_deleted,
    _no_folder,
    _empty,
    _of_another_step,
    _record_of_another,
    _mixed,
    _other_json,
  ],
)
def test_a_folder_may_be_damaged(copy, capfd, change):
  path, options = copy
  change(path)
  broken = _tree(path)
  assert _step_of(path, **options) == 8
  gc.collect()
  err = capfd.readouterr().err
  assert err.count('\n') == 1, err
  assert 'goes on from step 8' in err
  moved = _tree(path.parent / 'checkpoints_damaged')
  assert {**_tree(path), **moved} == broken


def test_a_feed_that_is_damaged_is_not_taken(tmp_path, capfd):
  path = tmp_path / 'checkpoints'
  _save(path, *STEPS, fed=True)
  (path / '12' / 'feed' / 'metadata').write_text(
    json.dumps({'place': 121, 'of': [1, [2, 3]]})
  )
  assert _step_of(path, fed=True) == 8
  assert 'not those that were written' in capfd.readouterr().err


def test_with_no_whole_one_the_run_starts_anew(copy, capfd):
  """And what was moved aside before stays where it is."""
  path, options = copy
  for again in range(3):
    for name in '8', '12':
      (path / name / 'record' / 'metadata').write_bytes(b'')
    assert _step_of(path, **options) == 0
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.endswith('goes on from the start') for line in lines)
    _save(path, *STEPS, **options)
    ends = [''] + [f'.{i + 1}' for i in range(again)]
    moved = {p.name for p in (path.parent / 'checkpoints_damaged').iterdir()}
    assert moved == {name + end for name in ('8', '12') for end in ends}


def test_what_a_kill_leaves_is_no_checkpoint(copy, capfd):
  """Names that are no step do not count, and none is in the way."""
  path, options = copy
  shutil.copytree(path / '12', path / '16.orbax-checkpoint-tmp')
  shutil.rmtree(path / '16.orbax-checkpoint-tmp' / 'record')
  shutil.copytree(path / '12', path / '0016')
  shutil.copytree(path / '12', path / '16 (copy)')
  (path / '20.orbax-checkpoint-tmp').write_text('')
  (path / 'notes.txt').write_text('')
  (path / '-3').mkdir()
  (path / '4').write_text('')
  assert _step_of(path, **options) == 12
  err = capfd.readouterr().err
  assert err.count('\n') == 1
  assert f'{path}/4 is damaged (it is no folder)' in err
  _save(path, 16, 24, **options)
  assert _step_of(path, **options) == 24
  assert capfd.readouterr().err == ''
  kept = {p.name for p in path.iterdir() if p.name.isdigit()}
  assert kept == {'16', '24', '0016'}


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path):
  path = tmp_path / 'checkpoints'
  path.write_text('')
  refused('cannot read .*checkpoints: Not a directory', _restore, path)
  refused('cannot write .*checkpoints/4', _save, path, 4)
  assert path.read_text() == ''


# Checkpoints of others.


@pytest.mark.parametrize('damaged', [False, True])
def test_a_checkpoint_of_another_run_is_refused(copy, capfd, damaged):
  """Though nothing of it is damaged; and nothing is moved."""
  path, options = copy
  if damaged:
    (path / '12' / 'record' / 'metadata').write_bytes(b'')
  before = _tree(path.parent)
  why = f'checkpoints/{8 if damaged else 12} is a checkpoint of another run'
  refused(why, _restore, path, 'another', **options)
  assert _tree(path.parent) == before
  assert capfd.readouterr().err == ''


def test_one_copied_between_seeds_is_refused(tmp_path):
  one, other = tmp_path / 'one', tmp_path / 'other'
  _save(one, *STEPS, identity='seed 0')
  _save(other, *STEPS, identity='seed 1', seed=1)
  shutil.rmtree(one / '12')
  shutil.copytree(other / '12', one / '12')
  refused('/12 is a checkpoint of another run', _restore, one, 'seed 0')


def _changed(**leaves):
  state = _state(0)
  weights = {**state.params[0], **leaves}
  return state._replace(params=[weights, ()])


@pytest.mark.parametrize(
  'state',
  [
    _changed(kernel=jax.numpy.zeros((40, 31))),
    _changed(kernel=jax.numpy.zeros((30, 40))),
    _changed(kernel=jax.numpy.zeros((40, 30), np.float16)),
    _changed(more=jax.numpy.zeros(3)),
    _state(0)._replace(nothing=jax.numpy.zeros(3)),
    _state(0)._replace(key=jax.random.key(0, impl='rbg')),
  ],
)
def test_other_arrays_are_refused(saved, state):
  path, options = saved
  before = _tree(path)
  why = '12 is a checkpoint of other arrays'
  refused(why, _restore, path, state=state, **options)
  assert _tree(path.parent) == before | {path.name: None} or (
    _tree(path) == before
  )


@pytest.mark.parametrize('fed', [False, True])
def test_one_of_an_earlier_version_is_refused(tmp_path, fed):
  path = tmp_path / 'checkpoints'
  args = ocp.args.StandardSave(_state(12))
  if fed:
    feed = ocp.args.JsonSave({'place': 120})
    args = ocp.args.Composite(state=args, feed=feed)
  with ocp.CheckpointManager(path) as manager:
    manager.save(12, args=args)
  before = _tree(tmp_path)
  refused('/12 was written by an earlier version', _restore, path, fed=fed)
  assert _tree(tmp_path) == before
  # One that is damaged as well is no more than damaged.
  for data in path.rglob('*'):
    if data.is_file():
      data.write_bytes(data.read_bytes()[:20])
  assert _step_of(path, fed=fed) == 0


# Disks without space.

SAVE = """
import errno, os, resource, sys
from tests.run.workdir import checkpoints_test as of
from nasjax.errors import InputError
import pathlib
path, limit = pathlib.Path(sys.argv[1]), int(sys.argv[2])
of._save(path, 4, 8)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
  of._save(path, 12)
except InputError as e:
  print(e)
"""


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('limit', [0, 80, 400, 3000])
def test_a_full_disk_is_one_line_and_the_last_one_stays(tmp_path, limit):
  """At whichever file it happens; with space, all is as it would have been."""
  path = tmp_path / 'checkpoints'
  ran = subprocess.run(
    [sys.executable, '-c', SAVE, path, str(limit)],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert ran.returncode == 0, ran.stderr
  assert ran.stdout.startswith(f'cannot write {path}/12: File too large; the')
  assert ran.stderr == ''
  assert _step_of(path) == 8
  assert not (tmp_path / 'checkpoints_damaged').exists()
  _save(path, 12)
  assert _step_of(path) == 12
  assert {p.name for p in path.iterdir()} == {'8', '12'}


def test_a_damaged_one_that_cannot_be_moved_is_one_line(copy):
  path, options = copy
  (path / '12' / 'record' / 'metadata').write_bytes(b'')
  (path.parent / 'checkpoints_damaged').write_text('')
  before = _tree(path.parent)
  refused('cannot write .*checkpoints_damaged/12', _restore, path, **options)
  assert _tree(path.parent) == before


def test_one_that_this_process_cannot_read_is_not_damaged(copy, monkeypatch):
  """With too many files open, say, or where the user may not read it."""
  path, options = copy
  before = _tree(path.parent)
  for code in errno.EACCES, errno.EMFILE:

    def fail(*args, code=code, **kwargs):
      raise ValueError(f'opening d/12: {os.strerror(code)}')

    monkeypatch.setattr(stored, 'read', fail)
    refused(f'cannot read .*12: {os.strerror(code)}', _restore, path, **options)
  assert _tree(path.parent) == before


# What is hashed.


def test_the_digest_is_of_every_bit():
  state = _state(3)
  same = jax.tree.map(lambda x: x + 0 if x.ndim else x, _state(3).params)
  assert checkpoint_digest.digest(state) == checkpoint_digest.digest(_state(3))
  found = {
    checkpoint_digest.digest(state),
    checkpoint_digest.digest(state, {'place': 1}),
  }
  found.add(checkpoint_digest.digest(state, {'place': 2}))
  found.add(checkpoint_digest.digest(state._replace(key=jax.random.key(4))))
  found.add(checkpoint_digest.digest(state._replace(step=jax.numpy.uint32(3))))
  weights = state.params[0]
  for name, leaf in weights.items():
    raw = np.asarray(leaf).reshape(-1).copy()
    raw.view(np.uint8)[-1] ^= 1
    changed = {**weights, name: raw.reshape(leaf.shape)}
    found.add(checkpoint_digest.digest(state._replace(params=[changed, ()])))
  swapped = {**weights, 'kernel': weights['kernel'].reshape(30, 40)}
  found.add(checkpoint_digest.digest(state._replace(params=[swapped, ()])))
  renamed = {**weights, 'other': weights['kernel']}
  renamed.pop('kernel')
  found.add(checkpoint_digest.digest(state._replace(params=[renamed, ()])))
  assert len(found) == 5 + len(weights) + 2
  assert jax.tree.structure(same) == jax.tree.structure(state.params)


@pytest.mark.slow
def test_the_same_is_hashed_wherever_it_lies():
  """On one device, on all of several, or on the host."""
  code = """
import sys
import jax, numpy as np
from tests.run.workdir import checkpoints_test as of
from nasjax.run.workdir import checkpoint_digest
from nasjax.run.workdir import checkpoints
from nasjax.run.hosts import devices
state = of._state(3)
sharding = devices.split(4)
everywhere = devices.everywhere(state, sharding)
assert len(jax.tree.leaves(everywhere)[0].devices()) == 2
import tempfile, pathlib
path = pathlib.Path(tempfile.mkdtemp()) / 'checkpoints'
with checkpoints.open(path, 'run') as kept:
  kept.save(3, everywhere)
with checkpoints.open(path, 'run') as kept:
  found = kept.restore(devices.everywhere(of._state(0), sharding))
assert of._bits(found) == of._bits(state)
for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(everywhere)):
  assert a.sharding == b.sharding
print(checkpoint_digest.digest(everywhere), checkpoint_digest.digest(found))
"""
  flags = os.environ['XLA_FLAGS'] + ' --xla_force_host_platform_device_count=2'
  ran = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
  )
  assert ran.returncode == 0, ran.stderr
  expected = checkpoint_digest.digest(_state(3))
  assert ran.stdout.split() == [expected, expected]


def _port():
  with socket.socket() as taken:
    taken.bind(('localhost', 0))
    return taken.getsockname()[1]


TOGETHER = """
import contextlib, json, pathlib, sys
from nasjax.run.hosts import processes
stack = contextlib.ExitStack()
stack.enter_context(processes.joined(2, int(sys.argv[1]), sys.argv[2]))
import jax
from tests.run.workdir import checkpoints_test as of
from nasjax.run.workdir import checkpoints
from nasjax.run.hosts import devices
from nasjax.errors import InputError
path, sharding = pathlib.Path(sys.argv[3]), devices.split(4)

def restored(identity):
  start = devices.everywhere(of._state(0), sharding)
  with checkpoints.open(path, identity, of._Feed(0)) as kept:
    state = kept.restore(start)
  for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(start)):
    assert one.sharding == other.sharding
  step = int(devices.own(state.step))
  own = jax.tree.map(lambda x: x.addressable_data(0), state)
  assert of._bits(own) == of._bits(of._state(step))
  return step

found = [restored('run')]
feed = of._Feed(0)
with checkpoints.open(path, 'run', feed) as kept:
  for step in 4, 8, 12:
    feed.place = 10 * step
    kept.save(step, devices.everywhere(of._state(step), sharding))
found.append(restored('run'))
if processes.first():
  (path / '12' / 'record' / 'metadata').write_bytes(b'')
processes.wait('damaged')
found.append(restored('run'))
try:
  restored('another')
except InputError as e:
  found.append(str(e))
print(json.dumps(found))
stack.close()
"""


@pytest.mark.slow
def test_two_processes_decide_as_one(tmp_path):
  """And one process reads what they have written."""
  path, address = tmp_path / 'checkpoints', f'localhost:{_port()}'
  with contextlib.ExitStack() as ends:
    running = []
    for i in '01':
      process = child(
        [sys.executable, '-c', TOGETHER, i, address, path],
        cwd=ROOT,
        env=os.environ | {'JAX_PLATFORMS': 'cpu'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
      running.append(ends.enter_context(process))
    said = [process.communicate(timeout=90) for process in running]
  assert [process.returncode for process in running] == [0, 0], said
  first, second = (json.loads(out.splitlines()[-1]) for out, _ in said)
  assert first[:3] == second[:3] == [0, 12, 8]
  assert '/8 is a checkpoint of another run' in first[3]
  assert 'process 0 does not take the checkpoints' in second[3]
  assert [err.count('is damaged') for _, err in said] == [1, 0]
  assert _step_of(path, fed=True) == 8


def test_other_errors_while_saving_stay_what_they_are(tmp_path):
  with checkpoints.open(tmp_path / 'checkpoints', 'run') as kept:
    with pytest.raises(AttributeError):
      kept.save(1, {'a': 'text'})
  assert issubclass(InputError, ValueError)
  assert files.reason(AttributeError('a')) is None

"""Runs that signals end, at any moment, end where they would have.

`KILLS` says how many are made, in turn of a search, a training and a sweep;
`SEED` at which moments. Both are in what a failure prints.
"""

import hashlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from nasjax import space, spaces
from tests.children import child

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get('KILLS', '3'))
SEED = int(os.environ['SEED'])

_SEARCH = '--space=tiny --limit=macs=60k --steps=36 --warmup_steps=6 '
_SEARCH += '--log_every=3 --checkpoint_every=4 --batch_size=16 '
_SEARCH += '--networks=60 --networks_per_step=2 --network_images=32'
_TRAIN = '--epochs=4 --batch_size=250 '
_TRAIN += '--valid_fraction=0.2 --ema_decay=0.9 --drop_path=0.1'
_SWEEP = '--space=tiny --limits=macs=55k --search_seeds=1 --random=1 '
_SWEEP += '--outer_random=0 --zoo= --epochs=2 --train_seeds=1 --batch_size=250 '
_SWEEP += '--search_steps=12 --search_warmup_steps=2 --search_log_every=1 '
_SWEEP += '--search_checkpoint_every=2 --search_batch_size=16 '
_SWEEP += '--train_images=2000 --control_seeds=1 --search_finalists=2 '
_SWEEP += '--search_finalist_epochs=1 --search_networks=40 '
_SWEEP += '--search_networks_per_step=4 --search_network_images=32'
COMMANDS = {'search': _SEARCH, 'train': _TRAIN, 'sweep': _SWEEP}
CODES = {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}
SIGNALS = list(CODES)


@pytest.fixture(scope='module')
def network(tmp_path_factory):
  """A network to train that is compiled quickly, as each start has to."""
  tiny = spaces.tiny(image_size=28, channels=1, num_classes=10)
  first = space.Architecture.from_indices(tiny, [0] * len(tiny.choices))
  path = tmp_path_factory.mktemp('network') / 'architecture.json'
  first.save(path)
  return path


def _start(script, workdir, network):
  command = [sys.executable, '-m', f'experiments.{script}']
  command += [f'--workdir={workdir}', *COMMANDS[script].split()]
  if script == 'train':
    command.append(f'--architecture={network}')
  return child(
    command,
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _finish(script, workdir, network):
  with _start(script, workdir, network) as process:
    _, err = process.communicate(timeout=400)
  assert process.returncode == 0, err


# What of a file depends on the clock, on the command or on the order in which
# a process found things.
_LOOSE = ('command', 'seconds', 'compile_seconds')


def _content(path):
  if path.suffix == '.json':
    document = json.loads(path.read_text())
    if isinstance(document, dict):
      document = {k: v for k, v in document.items() if k not in _LOOSE}
    return document
  return hashlib.sha256(path.read_bytes()).hexdigest()


def _end(workdir):
  """All that a run ends with: states as bytes, and what files say."""
  found = {}
  for path in sorted(workdir.rglob('*')):
    name = str(path.relative_to(workdir))
    if path.name == 'checkpoints':
      found[name] = _state(path)
    elif path.name in ('last', 'best', 'supernet', 'inherited'):
      if path.parent.name == 'weights':
        with ocp.StandardCheckpointer() as reader:
          found[name] = _raw(reader.restore(path.absolute()))
    elif path.suffix in ('.json', '.jsonl', '.csv'):
      if not re.search(r'(checkpoints|weights)/', name):
        found[name] = _content(path)
  return found


def _state(checkpoints):
  """Every array of the newest checkpoint, as bytes."""
  with ocp.CheckpointManager(checkpoints) as manager:
    step = manager.latest_step()
  with ocp.StandardCheckpointer() as reader:
    tree = reader.restore((checkpoints / str(step) / 'state').absolute())
  return step, _raw(tree)


def _raw(tree):
  def raw(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x).tobytes()

  return jax.tree.map(raw, tree)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, network):
  """What runs end with that nothing interrupts; a run of a script is made
  once."""
  made = {}

  def end(script):
    if script not in made:
      workdir = tmp_path_factory.mktemp(script) / 'run'
      start = time.monotonic()
      _finish(script, workdir, network)
      seconds = time.monotonic() - start
      made[script] = _end(workdir), seconds
    return made[script]

  return end


def _kill(process, workdir, number, rng, seconds, writing):
  """Sends a signal at a random moment, or while a checkpoint is written.

  Returns:
    Whether the process was still running.
  """
  until = time.monotonic() + rng.uniform(0.0, seconds)
  checkpoints = rng.randint(1, 3)
  seen = set()
  while process.poll() is None:
    if writing:
      # Orbax writes into a folder of another name first.
      now = {str(p) for p in workdir.rglob('*orbax-checkpoint-tmp*')}
      seen |= now
      due = bool(now) and len(seen) >= checkpoints
    else:
      due = time.monotonic() > until
    if due:
      process.send_signal(number)
      return True
    time.sleep(0.001)
  return False


@pytest.mark.parametrize('i', range(KILLS))
def test_a_killed_run_ends_bit_for_bit_where_it_would_have(
  i, whole, network, tmp_path
):
  rng = random.Random(f'{SEED} {i}')
  script = list(COMMANDS)[i % len(COMMANDS)]
  number = SIGNALS[(i // len(COMMANDS) + i) % len(SIGNALS)]
  writing = i % 3 == i // len(COMMANDS) % 3
  said = f'SEED={SEED} KILLS={KILLS}, {i}: {script}, {number.name}, {writing=}'
  print(said)
  wanted, seconds = whole(script)
  workdir = tmp_path / 'run'
  with _start(script, workdir, network) as process:
    hit = _kill(process, workdir, number, rng, seconds, writing)
    asked = time.monotonic()
    _, err = process.communicate(timeout=120)
  took = time.monotonic() - asked
  if hit and process.returncode != 0:  # It may have ended meanwhile.
    assert process.returncode == CODES[number], (said, err)
    assert 'Traceback' not in err, (said, err)
    if number != signal.SIGKILL:
      last = err.strip().splitlines()[-1]
      assert re.match(r'stopped.*; the same command goes on$', last), said
      assert took < (3 if number == signal.SIGINT else 35), said
      assert not list(workdir.rglob('lock')), said
      _check_saved(last, workdir, number, said)
  _finish(script, workdir, network)
  assert _end(workdir) == wanted, said


def _check_saved(last, workdir, number, said):
  """SIGTERM leaves a checkpoint of the step that was taken last."""
  named = re.match(r'stopped at step (\d+) of', last)
  folders = list(workdir.rglob('checkpoints'))
  if named is None or int(named[1]) == 0 or len(folders) != 1:
    return
  steps = [int(p.name) for p in folders[0].iterdir() if p.name.isdigit()]
  assert max(steps) == int(named[1]), said

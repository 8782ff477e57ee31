"""Scripts as a person starts them."""

import json
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import orbax.checkpoint as ocp

from tests.children import child

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = '--space=tiny --limit=macs=60k --steps=24 --warmup_steps=6'.split()
SMALL += '--log_every=3 --checkpoint_every=4 --batch_size=16'.split()
SMALL += '--networks=40 --networks_per_step=4 --network_images=64'.split()


def start(module, *args, stderr=subprocess.PIPE):
  return child(
    [sys.executable, '-m', f'experiments.{module}', *args],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=stderr,
    text=True,
  )


def finish(started):
  """The exit code of a process that was started, and what it wrote."""
  with started as process:
    out, err = process.communicate(timeout=300)
  return process.returncode, out, err


def call(module, *args):
  code, out, err = finish(start(module, *args))
  assert code == 0, err
  return out


def kill_after(started, metrics, lines):
  """`kill -9` after so many lines and a checkpoint; False if it was over."""
  with started as process:
    while process.poll() is None:
      kept = list((metrics.parent / 'checkpoints').glob('[0-9]*'))
      kept = [path for path in kept if path.name.isdigit()]
      if kept and metrics.read_text().count('\n') >= lines:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
      time.sleep(0.002)
  return False


def newest_state(workdir):
  """Every array of the newest checkpoint, as bytes."""
  with ocp.CheckpointManager(workdir / 'checkpoints') as manager:
    step = manager.latest_step()
    path = workdir / 'checkpoints' / str(step) / 'state'
  with ocp.StandardCheckpointer() as reader:
    tree = reader.restore(path.absolute())

  def raw(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x).tobytes()

  return step, jax.tree.map(raw, tree)


def without_command(path):
  document = json.loads(path.read_text())
  document.pop('command')
  return document

"""Several devices compute what one computes."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import search
from experiments.flags import cli
from nasjax.run.hosts import devices
from nasjax.run.workdir import metrics_file
from tests.conftest import refused
from tests.experiments.told_cases import search_run
from tests.run.run_cases import FEW

ROOT = pathlib.Path(__file__).resolve().parents[3]
SEARCH = '--space=tiny --limit=macs=60k --steps=6 --warmup_steps=2'.split()
SEARCH += '--log_every=1 --checkpoint_every=4 --batch_size=16'.split()
SEARCH += [f'--{name}={number}' for name, number in FEW.items()]
TRAIN = ['--epochs=1', '--batch_size=400', '--learning_rate=0.001']


def _call(number, module, *args):
  """Runs a script with so many devices."""
  flags = f'{os.environ["XLA_FLAGS"]} '
  flags += f'--xla_force_host_platform_device_count={number}'
  done = subprocess.run(
    [sys.executable, '-m', f'experiments.{module}', *args],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flags},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr


def _close(one, many):
  """Rows of metrics agree within what another order of sums makes of them."""
  assert [row['step'] for row in one] == [row['step'] for row in many]
  for a, b in zip(one, many, strict=True):
    assert a.keys() == b.keys()
    for name in a:
      for x, y in zip(
        jax.tree.leaves(a[name]), jax.tree.leaves(b[name]), strict=True
      ):
        assert x == pytest.approx(y, rel=2e-3, abs=2e-3), (a['step'], name)


@pytest.mark.slow
def test_scripts_on_eight_devices_do_what_they_do_on_one(tmp_path):
  """What they do on one is computed in this process, which has one."""
  assert jax.device_count() == 1
  found, trained = tmp_path / 's8', tmp_path / 't8'
  _call(8, 'search', f'--workdir={found}', *SEARCH)
  own = {'space': 'tiny', 'limit': ['macs=60k'], 'steps': 6, 'warmup_steps': 2}
  own |= {'log_every': 1, 'checkpoint_every': 4, 'batch_size': 16, **FEW}
  search_run(cli.defaults(search.OPTIONS) | own, tmp_path / 's1')
  _close(*(metrics_file.read(d) for d in (tmp_path / 's1', found)))
  # It goes on from what it left, on as many devices.
  file = f'--architecture={found / "architecture.json"}'
  _call(8, 'train', f'--workdir={trained}', file, *TRAIN)
  rows = metrics_file.read(trained)
  assert rows[-1]['step'] == 12  # 5,000 images in batches of 400.
  assert all(np.isfinite(row['train_loss']) for row in rows)


# The step alone: what it was compiled to, and what it computes.
STEP = """
import jax, jax.numpy as jnp, numpy as np, optax
from nasjax.run.hosts import devices
from nasjax import constraint, cost, data, search, spaces
assert len(jax.devices()) == 8
tiny = spaces.tiny(num_classes=4)
macs = cost.macs(tiny)
rng = np.random.default_rng(0)
arrays = data.Arrays(
  rng.integers(0, 256, (64, 8, 8, 1), np.uint8),
  (np.arange(64) % 4).astype(np.int32))
ends = []
for sharding in (None, devices.split(16)):
  parts = search.make(
    tiny.search_network(), tiny.choices,
    data.Batches(16, (0.4,), (0.3,), sharding=sharding),
    [(macs, constraint.linear(0.1, 9000))],
    weight_tx=optax.sgd(0.05), alpha_tx=optax.sgd(1.0))
  sets = devices.everywhere((arrays, arrays), sharding)
  state = devices.everywhere(parts.init(jax.random.key(0), *sets), sharding)
  step = jax.jit(parts.step).lower(state, *sets).compile()
  # Of every device's images alone, but for what all have to know.
  print('all-reduce' in step.as_text(), 'f32[2,8,8,1]' in step.as_text())
  ends.append(jax.device_get(step(state, *sets)[0]))
for field in ('alphas', 'params', 'batch_stats'):
  one, many = (getattr(end, field) for end in ends)
  gaps = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one, many)
  print(max(jax.tree.leaves(gaps)))
"""


@pytest.mark.slow
def test_a_batch_is_split_and_its_statistics_are_of_the_whole():
  flags = f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count=8'
  done = subprocess.run(
    [sys.executable, '-c', STEP],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flags},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  one, many, *gaps = done.stdout.split('\n')[:5]
  assert (one, many) == ('False False', 'True True')
  assert all(float(gap) < 2e-5 for gap in gaps), gaps
  assert any(float(gap) > 0 for gap in gaps)  # It was another program.


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch):
  found = jax.devices() * 8
  monkeypatch.setattr(jax, 'devices', lambda: found)
  refused('batch_size is 30; .* over 8 devices .*multiple', devices.split, 30)


def test_one_device_is_not_split():
  assert devices.split(30) is None
  tree = devices.everywhere({'a': np.ones(3)}, None)
  assert isinstance(tree['a'], jax.Array)

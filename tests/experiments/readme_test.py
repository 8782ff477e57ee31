"""Every command and every example of the README works as written."""

import doctest
import json
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys

import numpy as np
import pytest

from experiments.flags import names, presets
from nasjax import cost, space
from nasjax.run.workdir import metrics_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / 'README.md').read_text()

# Added to what is written, so that it takes seconds.
QUICKEST = ['--steps=6', '--warmup_steps=3', '--batch_size=8']
QUICK = {
  'experiments.search': ['--steps=20', '--warmup_steps=10'],
  'experiments.train': ['--epochs=2'],
  'experiments.count': [],
}


def test_python_examples_give_what_is_shown():
  failures, tried = doctest.testfile(
    str(ROOT / 'README.md'), module_relative=False
  )
  assert tried > 5
  assert failures == 0


# The README's limits are of the preset; each of these rules out networks of
# `tiny` that the other would let pass.
ON_TINY = {
  '--limit=macs=1.5M': '--limit=macs=63.5k',
  '--limit=params=60k': '--limit=params=1150',
}


def _quick(module, args):
  # The preset takes half a minute to compile; the README's own space does not.
  named = any(arg.startswith('--space') for arg in args)
  if named:
    return [*args, *QUICKEST]
  if module != 'experiments.search':
    return [*args, *QUICK[module]]
  within = [ON_TINY.get(arg, arg) for arg in args]
  return [*within, *QUICK[module], '--space=tiny']


def _commands():
  text = README.replace('\\\n', ' ')
  return re.findall(r'^    python -m (.*)$', text, re.MULTILINE)


def _on_tfds(command):
  """Of the section on one's own data, which goes on in the same workdir."""
  return 'runs/mine' in command


def _run(command, directory):
  module, *args = shlex.split(command)
  done = subprocess.run(
    [sys.executable, '-m', module, *_quick(module, args)],
    cwd=directory,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, (command, done.stderr)
  return done.stdout


@pytest.mark.slow
def test_commands_run(tmp_path):
  (own,) = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
  (tmp_path / 'my_ops.py').write_text(own)
  commands = [command for command in _commands() if not _on_tfds(command)]
  assert len(commands) == 3
  printed = {command: _run(command, tmp_path) for command in commands}
  file = tmp_path / 'runs/own/architecture.json'
  dilated = runpy.run_path(str(tmp_path / 'my_ops.py'))['Dilated']
  record = space.read_record(file)
  found = space.Architecture.load(file, [dilated])
  macs = cost.macs(found.space)
  # The op stands wherever it fits, at what its module costs there.
  slots = {slot.name: slot for slot in found.space.slots}
  tables = {table.axes: table for table in macs.tables}
  having = [
    n for n, options in found.space.choices.items() if 'dilated' in options
  ]
  assert having == ['stage1_2', 'stage2_2']
  for name, size in zip(having, (14, 7), strict=True):
    index = {name: slots[name].op_names.index('dilated')}
    weights = 3 * 3 * slots[name].features ** 2
    assert tables[(name,)].at(index) == size**2 * weights
  # The limit is kept, and the network counted, in these numbers.
  row = record['resources']['macs']
  assert row['cost'] == macs.exact(found) <= row['limit'] == 1_000_000
  (counted,) = (out for command, out in printed.items() if '--ops' in command)
  assert re.search(rf'^macs +{row["cost"]:,}$', counted, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.shared
def test_commands_on_a_tfds_set_run(shared, tmp_path):
  stage = [sys.executable, shared / 'tools/stage_datasets.py']
  done = subprocess.run(
    [*stage, tmp_path / 'data', '--only=mnist', '--limit=500'],
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, f'MNIST could not be staged: {done.stderr}'
  commands = [command for command in _commands() if _on_tfds(command)]
  assert len(commands) == 4
  for command in commands:
    _run(command, tmp_path)
  result = json.loads((tmp_path / 'runs/mine_trained/result.json').read_text())
  assert (result['dataset'], result['test_images']) == ('mnist', 100)
  for run in ('mine', 'mine_trained'):
    rows = metrics_file.read(tmp_path / 'runs' / run)
    assert rows[-1]['step'] >= 20
    assert all(np.isfinite(row['train_loss']) for row in rows)
  record = space.read_record(tmp_path / 'runs/mine/architecture.json')
  found = space.Architecture.load(tmp_path / 'runs/mine/architecture.json')
  for make in (cost.macs, cost.params):
    own = make(found.space)
    row = record['resources'][own.name]
    assert row['cost'] == result[own.name] <= row['limit'] < own.bounds()[1]


def test_every_file_of_the_map_is_there_and_every_file_is_on_the_map():
  there_are = README.partition('## Where things are')[2]
  rows = re.findall(r'^\| (`.*?) \|', there_are, re.MULTILINE)
  named = {p for row in rows for p in re.findall(r'`(?:nasjax/)?(.*?)`', row)}
  package = ROOT / 'nasjax'
  there = {p.name for p in package.glob('*.py')} - {'__init__.py', 'errors.py'}
  there |= {f'{p.parent.name}/' for p in package.glob('*/__init__.py')}
  assert named == there | {'experiments/', 'benchmarks/'}


def test_every_preset_of_the_command_line_is_explained():
  rows = README.partition('### What is chosen')[2].partition('###')[0]
  named = set(re.findall(r'`(\w+)`', rows))
  assert set(names.SPACES) - {'tiny'} <= named


def test_every_published_recipe_stands_there_with_its_accuracies():
  rows = README.partition('| `--preset=` |')[2].partition('\n\n')[0]
  rows = dict(re.findall(r'^\| `(\w+)` \| (.*)$', rows, re.MULTILINE))
  assert list(rows) == list(presets.TRAIN)
  for name, preset in presets.TRAIN.items():
    assert preset.source.partition(',')[0].partition(';')[0] in rows[name]
    assert all(f'{top1}' in rows[name] for top1 in preset.published.values())
    assert ('| none: ' in rows[name]) == (name not in presets.SEARCH)


def test_make_targets_of_the_readme_exist():
  makefile = (ROOT / 'Makefile').read_text()
  for target in re.findall(r'^    make (\w+)', README, re.MULTILINE):
    assert f'\n{target}:' in makefile

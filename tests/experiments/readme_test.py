"""Every command and every example of the README and of docs/ works."""

import doctest
import importlib.util
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
from PIL import Image

from experiments.flags import names, published
from nasjax import cost, latency, space, spaces
from nasjax.run.workdir import metrics_file
from tests.run.run_cases import FEW

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
TEXT = {page.name: page.read_text() for page in PAGES}
README = TEXT['README.md']

# Added to what is written, so that it takes seconds.
QUICK = {
  'search': [
    *('--steps=6', '--warmup_steps=3', '--batch_size=8'),
    *(f'--{name}={number}' for name, number in FEW.items()),
    '--networks=32',  # The space of library.md has 24 free options.
  ],
  'train': ['--epochs=1', '--batch_size=20'],
  'sweep': ['--zoo=', '--random=1', '--train_images=200'],
}
# The limits of the pages are those of larger spaces. Each of these rules out
# networks of `tiny` that the other would let pass.
ON_TINY = {
  '--limit=macs=1.5M': '--limit=macs=63.5k',
  '--limit=params=60k': '--limit=params=1150',
  '--limits=macs=1M,2M,3M': '--limits=macs=64k,80k',
}
# Imports once, and forks for each command: JAX computes in the children only.
RUNNER = """
import json, os, sys
from experiments import command, count, search, train
from experiments.sweep import main, setup
for i, args in enumerate(json.load(sys.stdin)):
  child = os.fork()
  if not child:
    for stream, kind in (1, 'out'), (2, 'err'):
      os.dup2(os.open(f'{i}.{kind}', os.O_CREAT | os.O_WRONLY), stream)
    sys.argv = ['nasjax', *args]
    command.main()
    sys.exit(0)
  _, status = os.waitpid(child, 0)
  if status:
    sys.exit(f'{args}: ' + open(f'{i}.err').read())
"""


def _commands(text):
  """Indented commands of a page, each as a subcommand with its flags."""
  text = text.replace('\\\n', ' ')
  start = r'^    (?:nasjax|python -m experiments\.)'
  return [
    shlex.split(line)
    for line in re.findall(rf'{start} ?(.*)$', text, re.MULTILINE)
  ]


def _quick(args):
  """A command with few steps and, unless it names one, the smallest space."""
  script, *given = args
  if '--evaluate' in given:
    return args
  given = [ON_TINY.get(arg, arg) for arg in given] + QUICK.get(script, [])
  if script in ('search', 'sweep') and not any(
    a.startswith('--space') for a in given
  ):
    given.append('--space=tiny')
  return [script, *given]


def _run(commands, directory):
  """Runs commands in one after the other; what each printed."""
  # Already as a script would ask for it, so that none starts itself again.
  tunables = {'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}
  done = subprocess.run(
    [sys.executable, '-W', 'ignore', '-c', RUNNER],
    cwd=directory,
    env=os.environ | tunables | {'PYTHONPATH': f'{ROOT}:{directory}'},
    input=json.dumps([_quick(command) for command in commands]),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return [(directory / f'{i}.out').read_text() for i in range(len(commands))]


def _blocks(text):
  return re.findall(r'```python\n(.*?)```', text, re.DOTALL)


@pytest.mark.parametrize('page', PAGES, ids=[*TEXT])
def test_examples_give_what_is_shown(page):
  failures, _ = doctest.testfile(str(page), module_relative=False)
  assert failures == 0


def test_most_pages_show_examples():
  parser = doctest.DocTestParser()
  having = {page for page, text in TEXT.items() if parser.get_examples(text)}
  assert having >= {
    *('data.md', 'search.md', 'latency.md', 'limits.md', 'library.md')
  }


@pytest.mark.slow
def test_the_way_from_python_works(capsys):
  (block,) = _blocks(README)
  quick = {
    'mobile_small': 'tiny',
    '1.5e6': '63_500',
    '60_000': '1150',
    '0.8e6': '50_000',
    'seed=0': 'seed=0, steps=6, warmup_steps=3, batch_size=8, **FEW',
    'epochs=6': 'epochs=1, batch_size=100',
  }
  for written, instead in quick.items():
    assert written in block
    block = block.replace(written, instead)
  made = {'FEW': FEW}
  exec(block, made)
  accuracy, *_ = capsys.readouterr().out.split()
  assert float(accuracy) == made['net'].test_accuracy > 0.1
  macs = cost.macs(made['space'])
  assert macs.exact(made['found'].architecture) <= 63_500
  assert macs.exact(made['smaller'].architecture) <= 50_000
  assert cost.macs(made['net'].network).constant == macs.exact(
    made['found'].architecture
  )
  assert made['found'].figure().axes


def _lacks_extra(command):
  """Whether a command exports to a format whose packages are not there."""
  if command[0] != 'export':
    return False
  module = 'onnxruntime' if '--format=onnx' in command else 'litert_converter'
  return importlib.util.find_spec(module) is None


@pytest.mark.slow
def test_commands_run(tmp_path):
  (own_ops,) = _blocks(TEXT['library.md'])
  (tmp_path / 'my_ops.py').write_text(own_ops)
  _write_folder(tmp_path / 'flowers')
  _write_latency(tmp_path / 'table.json')
  for name in ('rose', 'tulip'):
    Image.new('RGB', (40, 30), 'red').save(tmp_path / f'{name}.jpg')
  commands = [
    command
    for text in TEXT.values()
    for command in _commands(text)
    if not _on_tfds(command) and not _lacks_extra(command)
  ]
  # Pages are in the order of their names: what is exported is trained later.
  commands.sort(key=lambda command: command[0] in ('export', 'predict'))
  scripts = {script for script, *_ in commands} - {'export'}
  assert scripts == {'search', 'train', 'count', 'sweep', 'predict'}
  printed = _run(commands, tmp_path)
  for command, out in zip(commands, printed, strict=True):
    assert out, command
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
  (counted,) = (
    out
    for command, out in zip(commands, printed, strict=True)
    if '--ops=my_ops' in command
  )
  assert re.search(rf'^macs +{row["cost"]:,}$', counted, re.MULTILINE)
  fast = space.read_record(tmp_path / 'runs/latency/architecture.json')
  row = fast['resources']['latency_ms']
  assert row['cost'] <= row['limit'] == 3.5
  (counted,) = (
    out
    for command, out in zip(commands, printed, strict=True)
    if command[0] == 'count' and '--latency_table=table.json' in command
  )
  assert re.search(rf'^latency_ms +{row["cost"]}$', counted, re.MULTILINE)
  flowers = space.read_record(tmp_path / 'runs/flowers/architecture.json')
  assert flowers['classes'] == ['daisy', 'rose']


def _write_latency(path):
  tiny = spaces.tiny(image_size=28)
  # Half of the networks of the smallest space take at most 3.5 ms.
  entries = {
    f'{choice}/{option}': 1.0 + i
    for choice, options in tiny.choices.items()
    for i, option in enumerate(options)
  }
  entries['fixed'] = 0.25
  latency.LatencyTable('tiny', entries, 'choices', image_size=28).save(path)


def _write_folder(folder):
  rng = np.random.default_rng(0)
  for name in ('daisy', 'rose'):
    (folder / name).mkdir(parents=True)
    for i in range(40):
      pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
      Image.fromarray(pixels).save(folder / name / f'{i}.png')


def _on_tfds(command):
  """Of a set of TFDS, which goes on in the same workdirs."""
  return any('runs/mine' in arg for arg in command)


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
  commands = [c for c in _commands(README) if _on_tfds(c)]
  assert [script for script, *_ in commands] == ['search', 'train', 'count']
  _run(commands, tmp_path)
  result = json.loads((tmp_path / 'runs/mine_trained/result.json').read_text())
  assert (result['dataset'], result['test_images']) == ('mnist', 100)
  for run in ('mine', 'mine_trained'):
    rows = metrics_file.read(tmp_path / 'runs' / run)
    assert rows[-1]['step'] >= 4
    # The weights of a search are frozen after its warm-up.
    losses = [row.get('train_loss', row.get('valid_loss')) for row in rows]
    assert np.isfinite(losses).all()
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
  rows = TEXT['search.md'].partition('## Spaces')[2].partition('##')[0]
  named = set(re.findall(r'`(\w+)`', rows))
  assert set(names.SPACES) - {'tiny'} <= named


def test_every_published_recipe_stands_there_with_its_accuracies():
  rows = (
    TEXT['training.md'].partition('| `--preset=` |')[2].partition('\n\n')[0]
  )
  rows = dict(re.findall(r'^\| `(\w+)` \| (.*)$', rows, re.MULTILINE))
  assert list(rows) == list(published.TRAIN)
  for name, preset in published.TRAIN.items():
    assert preset.source.partition(',')[0].partition(';')[0] in rows[name]
    assert all(f'{top1}' in rows[name] for top1 in preset.published.values())
    assert ('| none: ' in rows[name]) == (name not in published.SEARCH)


def test_make_targets_of_the_readme_exist():
  makefile = (ROOT / 'Makefile').read_text()
  for target in re.findall(r'^    make (\w+)', README, re.MULTILINE):
    assert f'\n{target}:' in makefile

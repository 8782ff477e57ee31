"""What is timed by hand goes with the code that it times."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from benchmarks import constraints, ranks, sandwich
from experiments.sweep import networks
from experiments.sweep import plan as plan_lib
from nasjax import cost, data, ops, space, spaces
from nasjax.run import supernets
from nasjax.train import optimizers

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Each defines flags of its own, so they do not go together.
LOAD = """
import importlib, sys
from absl import flags
for name in sys.argv[1:]:
  module = importlib.import_module(f'benchmarks.{name}')
  assert callable(module.main), name
  for flag in list(flags.FLAGS):
    delattr(flags.FLAGS, flag)
"""


@pytest.mark.slow
def test_every_benchmark_loads_and_its_page_has_its_command():
  scripts = (ROOT / 'benchmarks').glob('*.py')
  names = sorted(p.stem for p in scripts if 'def main' in p.read_text())
  assert len(names) > 5
  done = subprocess.run(
    [sys.executable, '-c', LOAD, *names],
    cwd=ROOT,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  for page in (ROOT / 'benchmarks').glob('*.md'):
    assert page.stem in names
    assert f'python -m benchmarks.{page.stem}' in page.read_text()


def _cells(table, row):
  return [cell.strip() for cell in table.splitlines()[2 + row].split('|')[1:-1]]


def test_truth_ranks_as_itself_and_its_first_is_the_best():
  truth = {f'n{i}': v for i, v in enumerate((0.2, 0.9, 0.4, 0.1, 0.6))}
  backwards = {name: -value for name, value in truth.items()}
  shuffled = dict(reversed(truth.items()))  # The order of files says nothing.
  ways = [('itself', shuffled), ('backwards', backwards)]
  table = ranks.table(truth, [ranks.Scores(by, 7, v) for by, v in ways])
  assert _cells(table, 0) == ['itself', '7', '+1.00', '+46.00']
  assert _cells(table, 1)[2:] == ['-1.00', '-34.00']


def test_random_networks_are_grouped_by_where_they_downsample():
  macro = spaces.mobile_macro_small()
  (level,) = plan_lib.levels('macs=1M', None)[1]
  rng = np.random.default_rng(0)
  sizes = [len(options) for options in macro.choices.values()]
  entries = []
  for i, pattern in enumerate(['late', 'early', 'late']):
    drawn = [rng.integers(n) for n in sizes]
    drawn[list(macro.choices).index('pattern')] = macro.patterns.index(pattern)
    a = space.Architecture.from_indices(macro, drawn)
    network = space.fix(macro, a)
    own = 'random', level, 1e6, network, a
    entries.append(networks.Entry(f'random{i}', *own))
  by_hand = dataclasses.replace(entries[0], name='hand', kind='hand-made')
  plan = networks.Plan((*entries, by_hand), ())
  truth = {'random0': 0.8, 'random1': 0.5, 'random2': 0.9, 'hand': 0.1}
  table = ranks.by_pattern(truth, plan)
  assert _cells(table, 0) == ['early', '1', '50.00%', '50.00%', '50.00%']
  assert _cells(table, 1) == ['late', '2', '85.00%', '80.00%', '90.00%']


def test_networks_of_several_budgets_are_not_ranked():
  _, levels = plan_lib.levels('macs=1M,2M', None)
  prepared = ranks.Prepared(levels, None, None, None, 0, {})
  with pytest.raises(ranks.InputError, match=r'limits has 2 .* give one'):
    ranks.plan_of(prepared)


def _rows(accuracies):
  """Searches by three forms at two limits with two seeds."""
  places = [(limit, seed) for limit in (1e6, 2e6) for seed in (0, 1)]
  return [
    {
      'form': form,
      'limit': limit,
      'seed': seed,
      'accuracy': accuracies[i][j],
      'expected': limit,
      'argmax': limit * (1 + 0.1 * (-1) ** seed),
      'within': limit,
      'filled': limit - i,
    }
    for i, form in enumerate('abc')
    for j, (limit, seed) in enumerate(places)
  ]


def test_the_chance_of_forms_is_that_of_paired_values_and_blocks_do_not_count():
  rng = np.random.default_rng(0)
  noise = rng.normal(size=(3, 4))
  found = constraints.chance(_rows(noise))
  # Of two forms F is the square of the paired t.
  two = [row for row in _rows(noise) if row['form'] != 'c']
  paired = stats.ttest_rel(noise[0], noise[1]).pvalue
  assert constraints.chance(two) == pytest.approx(paired)
  blocks = 10 * rng.normal(size=4)
  assert constraints.chance(_rows(noise + blocks)) == pytest.approx(found)
  assert constraints.chance(_rows(noise + [[0], [0], [9]])) < 0.01 < found


def test_searches_are_read_as_they_were_written(tmp_path):
  rows = _rows(np.random.default_rng(0).random((3, 4)))
  rows[0]['number'] = None
  for row in rows[1:]:
    row['number'] = 0.1
  constraints.write(rows, tmp_path / 'rows.csv')
  assert constraints.read(tmp_path / 'rows.csv') == rows


def test_limits_that_differ_are_not_hidden_by_their_mean():
  rows = _rows(np.full((3, 4), 0.5))
  for row in rows:
    row['expected'] *= 1.5 if row['limit'] == 1e6 else 0.5
  cells = _cells(constraints.by_limit(rows), 1)
  assert cells[:5] == ['`b`', '150%', '50%', '10%', '10%']
  assert constraints.distinct(rows) == 12
  same = [{**row, 'filled': row['limit']} for row in rows]
  assert constraints.distinct(same) == 4


@pytest.mark.parametrize('of', [spaces.tiny_width, spaces.tiny_macro])
def test_the_largest_costs_most(of):
  whole = of()
  for i in range(max(1, len(whole.patterns))):
    macs = cost.macs(space.at_pattern(whole, i))
    assert macs.exact(sandwich.largest(macs)) == macs.bounds()[1]


@pytest.mark.slow
def test_a_sandwich_trains_networks_that_see_no_label():
  whole, budget = spaces.tiny(), 6e3
  rng = np.random.default_rng(0)
  labels = np.arange(256) % 10
  noise = rng.integers(60, size=(256, 8, 8, 1))
  images = (20 * labels[:, None, None, None] + noise).astype(np.uint8)
  arrays = data.Arrays(images, labels.astype(np.int32))
  batches = data.Batches(32, *data.statistics(images))
  numerics, steps = ops.Numerics(), 200
  params = sandwich.train(
    whole,
    budget,
    arrays,
    batches,
    optimizers.sgd(optimizers.cosine(0.1, steps)),
    numerics=numerics,
    steps=steps,
    networks=3,
    seed=0,
  )
  a = space.Architecture(whole, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))
  assert cost.macs(whole).exact(a) < budget
  found = supernets.inherited(
    'entangled', a, params, (arrays, arrays), batches, numerics
  )
  # By chance it is 10 %; without what the largest says it has no more.
  assert found.record['valid_accuracy'] > 0.5

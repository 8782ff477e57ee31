"""The script that compares: budgets, networks, and the report."""

import json
import re
import types

import numpy as np
import pytest

from experiments import compare
from experiments.flags import names
from experiments.sweep import one_search, one_search_page
from experiments.sweep.networks import Entry, Plan
from experiments.sweep.plan import Level
from experiments.sweep.setting import Setting
from nasjax import (
  cost,
  data,
  derive,
  files,
  report,
  space,
  spaces,
  zoo,
)
from nasjax.baselines import scaled
from nasjax.errors import DivergedError
from nasjax.run import datasets, training
from nasjax.run.workdir import diverged_file
from nasjax.train.recipe import Recipe
from tests.conftest import refused
from tests.experiments.script_cases import finish, start

# The comparison.
LIMIT = 2_100_000  # of `make demo`


def _record(seed, towards_cost):
  """As a search leaves it, whose probable ops are dear (1) or cheap (-1)."""
  s = spaces.mobile_small()
  rng = np.random.default_rng(seed)
  alphas = {
    axis: rng.normal(size=t.shape) + towards_cost * np.array(t.values) / 1e5
    for t in cost.macs(s).tables
    for axis in t.axes
  }
  a = derive.within(s, alphas, {cost.macs(s): LIMIT})
  record = {
    'resources': {'macs': {'limit': LIMIT}},
    'alphas': {k: v.tolist() for k, v in alphas.items()},
  }
  return a, record


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('seed', range(3))
def test_the_demo_compares_what_it_says(seed):
  a, record = _record(seed, towards_cost=1)
  low, high = cost.macs(a.space).bounds()
  entries = _entries(
    a, record, [1, 0.5, 0.25], 3, seed=0, fill=0.98, controls=2
  )
  kinds = [e.kind for e in entries]
  assert [kinds.count(k) for k in ('searched', 'MobileNetV2', 'random')] == [
    3,
    3,
    3,
  ]
  assert len({e.architecture for e in entries if e.kind == 'searched'}) == 3
  for entry in entries:
    assert low < entry.budget < high
    assert cost.macs(entry.network).constant <= entry.budget
    if entry.kind != 'MobileNetV2':
      assert cost.macs(entry.network).constant >= 0.98 * entry.budget
  randoms = [e for e in entries if e.kind == 'random']
  assert len({e.architecture for e in randoms}) == 3
  controls = [e for e in entries if e.kind == 'control']
  assert len({e.architecture for e in controls}) == 2
  for entry in randoms + controls:
    assert entry.budget == LIMIT // 2


def test_one_network_for_two_budgets_is_trained_once_and_named(
  capsys, tmp_path
):
  a, record = _record(0, towards_cost=-1)
  entries = _entries(a, record, [1, 0.5], 1, seed=0, fill=0.0)
  one, same = (e for e in entries if e.kind == 'searched')
  assert (one.budget, same.budget) == (LIMIT, LIMIT // 2)
  assert one.folder == same.folder == one.name
  (line,) = capsys.readouterr().out.splitlines()
  assert 'within 1050000 MACs' in line
  assert one.name in line


def test_budgets_that_would_share_a_folder_are_refused():
  a, record = _record(0, towards_cost=1)
  near = [1, 0.9999]
  refused(r'2100000, 2099790.*MACs', _entries, a, record, near, 0, 0, 0.98)


def test_mobilenet_v2_is_scaled_to_the_largest_width_within():
  s = spaces.mobile_small()
  for budget in (LIMIT, LIMIT // 2, LIMIT // 4):
    network = scaled.within(zoo.mobilenet_v2, s, cost.macs, budget)
    width = float(network.name.partition('@')[2].partition('_')[0])
    wider = names.for_images(
      'mobilenet_v2', width + 0.01, image_size=28, channels=1, num_classes=10
    )
    assert cost.macs(network).constant <= budget < cost.macs(wider).constant


@pytest.mark.slow
def test_a_comparison_is_trained_once_and_reported(tmp_path, capsys):
  s = spaces.tiny(image_size=28)
  a, b = (
    space.Architecture(s, (f'mbconv_k3_e{e}', 'mbconv_k3_e1', 'skip'))
    for e in (1, 3)
  )
  limit = cost.macs(s).bounds()[1]
  level, less = (Level(str(n), n, None, n == limit) for n in (limit, 1234567))

  def entry(name, kind, a, at=level, folder=None):
    network = space.fix(s, a)
    return Entry(name, kind, at, at.limit, network, a, folder=folder or name)

  entries = entry('one', 'searched', a), entry('two', 'random', b)
  plan = Plan((*entries, entry('three', 'searched', a, less, 'one')), ())
  recipe, dataset = Recipe(epochs=1, batch_size=250), data.load()
  batches = datasets.batches_for(recipe, dataset)
  setting = Setting(
    tmp_path, None, 'macs', dataset, None, batches, recipe, (), 'a command'
  )._replace(layout='{folder}')
  rows, diverged = compare.train(setting, plan, 0, 2)
  assert not diverged
  progress = capsys.readouterr().err
  # Which of them is at the front when a line is due, is open.
  assert re.search('(one|two): loss ', progress)
  for one in entries:
    assert f'{one.name}: step: traced' in progress
  for one, row in zip(entries, rows, strict=True):
    assert (row['name'], row['kind']) == (one.name, one.kind)
    assert row['limit'] == limit
    assert row['macs'] == cost.macs(s).exact(one.architecture)
    assert row['test_images'] == 10_000
    path = tmp_path / one.name / 'architecture.json'
    assert space.Architecture.load(path) == one.architecture
  assert [row.get('also') for row in rows] == [[1234567], None]
  trained = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('metrics.jsonl')}
  assert len(trained) == 2
  assert compare.train(setting, plan, 0, 2) == (rows, [])
  for path, when in trained.items():
    assert path.stat().st_mtime_ns == when
  table = one_search_page.write(setting, rows, 0.98)
  for row in rows:
    assert f'{row["macs"]:,}' in table
    assert f'{100 * row["test_accuracy"]:.2f}' in table
  text = (tmp_path / 'report.md').read_text()
  assert table in text
  assert 'a command' in text
  assert text.count('one is also the network derived within 1,234,567') == 1
  assert json.loads((tmp_path / 'results.json').read_text()) == rows
  assert (tmp_path / 'accuracy.png').stat().st_size > 10_000
  # Another network in one of the folders is refused before any is trained.
  other = Plan((entries[1], entry('one', 'searched', b)), ())
  refused('another architecture', compare.train, setting, other, 0, 2)


def test_the_other_limits_of_the_search_are_kept():
  a, record = _record(0, towards_cost=1)
  params = cost.params(a.space)
  limit = 30_000
  record['resources']['params'] = {'limit': limit}
  entries = _entries(a, record, [1, 0.5], 3, seed=0, fill=0.98)
  of_space = [e.architecture for e in entries if e.architecture]
  assert len(of_space) >= 4
  for found in of_space:
    assert params.exact(found) <= limit


@pytest.mark.slow
def test_a_budget_out_of_mobilenets_reach_is_refused(searched, tmp_path):
  args = [f'--search={searched}', f'--workdir={tmp_path}', '--epochs=1']
  args += ['--random=1', '--fractions=1,0.8', '--batch_size=64']
  # MobileNetV2 has no width this small on 28 pixels: it is said so.
  code, _, err = finish(start('compare', *args))
  assert code == 1
  assert 'mobilenet_v2 has no width' in err
  assert not any(tmp_path.iterdir())


def _entries(a, *args, **kwargs):
  return one_search.plan(a.space, *args, **kwargs).entries


def test_a_comparison_leaves_out_what_diverges(tmp_path, monkeypatch):
  """Of images that are not decoded, too, which stay as they are."""
  a, record = _record(0, towards_cost=1)
  plan = one_search.plan(a.space, record, [1, 0.5], 1, seed=0, fill=0.9)
  assert len(plan.networks) == 5
  streamed = types.SimpleNamespace(
    name='few', num_train=100, num_test=10, class_names=tuple('ab')
  )
  recipe = Recipe(epochs=1, batch_size=10)
  setting = Setting(
    tmp_path,
    None,
    'macs',
    streamed,
    None,
    data.Batches(10, (0.5,), (0.2,)),
    recipe,
    (),
    'typed',
  )._replace(layout='{folder}')
  lost = {'random_1', 'searched_1.05M'}

  def run(workdir, network, dataset, *_, **__):
    assert dataset is streamed
    with diverged_file.written(workdir):
      if workdir.name in lost:
        raise DivergedError('the training diverged')
    result = {
      'test_accuracy': 0.5,
      'test_images': 10,
      'macs': cost.macs(network).constant,
      'params': cost.params(network).constant,
      'network': network.name,
      'dataset': 'few',
    }
    files.write_json(workdir / 'result.json', result)

  monkeypatch.setattr(training, 'build', lambda *_: None)
  monkeypatch.setattr(training, 'run', run)
  monkeypatch.setattr(report, 'architecture_figure', lambda *_, **__: None)
  rows, diverged = compare.train(setting, plan, 0, 1)
  assert diverged == ['searched_1.05M', 'random_1']
  assert {row['name'] for row in rows} == {*plan.networks} - lost
  one_search_page.write(setting, rows, 0.9, diverged)
  page = (tmp_path / 'report.md').read_text()
  assert 'training of searched_1.05M, random_1 diverged' in page
  lost |= {*plan.networks}
  other = setting._replace(workdir=tmp_path / 'all')
  with pytest.raises(DivergedError, match='lower learning_rate'):
    compare.train(other, plan, 0, 1)

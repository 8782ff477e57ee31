"""A sweep: planned, done in pieces, killed, shared out, reported."""

import csv
import json
import math
import os
import re
import shutil

import chex
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from experiments import search
from experiments.sweep import dry, kept, main, pieces
from experiments.sweep import networks as networks_lib
from experiments.sweep import plan as plan_lib
from experiments.sweep import report as report_lib
from experiments.sweep.setting import flags_of
from nasjax import cost, space
from nasjax.errors import InputError
from nasjax.run import (
  search_loop,
  training,
)
from tests.conftest import refused
from tests.experiments.sweep.sweep_cases import (
  COMPILE_FOR,
  SPACE,
  compiled_once,
  config,
  known,
)
from tests.experiments.told_cases import sweep_prepare, sweep_run


@pytest.fixture(scope='module', autouse=True)
def _small():
  with compiled_once():
    yield


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
  """A sweep that nothing interrupted."""
  workdir = tmp_path_factory.mktemp('sweep') / 'run'
  sweep_run(config(), workdir, 'a command')
  return workdir


def _reported(workdir):
  """All that a sweep reports, but how long searches took."""
  text = (workdir / 'report.md').read_text()
  text = re.sub(r'\| (\d+|-) \| \d+ \| (?=cpu)', '', text)
  text = re.sub(r'\d+ s in \d+ searches', '', text)
  files = {
    p.name: p.read_bytes()
    for p in sorted((workdir / 'architectures').iterdir())
  }
  return text, (workdir / 'results.csv').read_text(), files


def _state(workdir):
  """Every array of the last checkpoint, as bytes."""
  (*_, last) = sorted(
    int(p.name) for p in (workdir / 'checkpoints').glob('[0-9]*')
  )
  with ocp.StandardCheckpointer() as reader:
    path = workdir / 'checkpoints' / str(last) / 'state'
    tree = reader.restore(path.absolute())

  def raw(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x).tobytes()

  return last, jax.tree.map(raw, tree)


def test_a_dry_run_counts_what_there_is_to_do_and_writes_nothing(tmp_path):
  workdir = tmp_path / 'run'
  prepared = sweep_prepare(config(), workdir, '')
  text = '\n'.join(dry.lines(prepared, 60.0, 30.0))
  assert not any(tmp_path.iterdir())
  assert 'searches: 3, of which 0 are finished' in text
  # 3 searched, 2 argmax, 1 random, 1 published by 2 rules, 2 made by hand, of
  # which the last five may be the same.
  networks = int(re.search(r'at most (\d+) networks, 2 seeds', text).group(1))
  assert 5 + 2 <= networks <= 5 + 5
  assert f'trainings: at most {2 * networks} ' in text
  minutes = round((3 * 60 + 2 * networks * 30) / 60)
  assert f'{minutes} minutes' in text
  assert 'efficientnet_lite0_2px cannot be scaled to' in text
  assert 'assumed' not in text
  assert 'assumed: 4e-10 s per MAC' in '\n'.join(dry.lines(prepared))


def test_a_search_is_assumed_to_take_the_images_of_its_rule(tmp_path):
  rule = {'search_steps': None, 'search_warmup_steps': None}
  prepared = sweep_prepare(config(**rule), tmp_path / 'run', '')
  levels, _, setting, searched, *_ = prepared
  found = dry._search_seconds(setting, searched, levels)
  # 55 images of weights, 3 options, batches of 8; 16 networks on 16 images.
  trained, judged = 8 * math.ceil(12 * 3 * 55 / 8), 16 * 16
  one = dry.SECONDS_PER_MAC * cost.macs(searched).bounds()[1] / 2
  wanted = one * (trained + judged / 3) + 3 * dry.SECONDS_TO_COMPILE
  assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.slow
def test_a_search_records_the_images_that_it_computed(whole):
  records = [
    json.loads(path.read_text())
    for path in whole.glob('searches/*/member.json')
  ]
  assert len(records) == 3
  # 2 weight steps of 8 images; 6 alpha steps of 4 networks on 16 images.
  images = 2 * 8 + 6 * 4 * 16
  assert {(r['steps'], r['images']) for r in records} == {(8, images)}


@pytest.mark.slow
def test_a_dry_run_of_what_is_done_has_nothing_left(whole):
  prepared = sweep_prepare(config(), whole, '')
  text = '\n'.join(dry.lines(prepared))
  assert 'searches: 3, of which 3 are finished' in text
  trained = len(list((whole / 'trainings').iterdir()))
  assert f'trainings: {trained} (' in text
  assert 'time: 0 searches of' in text
  assert 'and 0 trainings of' in text


@pytest.mark.slow
def test_a_control_has_finalists_and_alphas_that_learnt_nothing(tmp_path):
  given = {'control_seeds': 2, 'search_finalists': 2, 'search_seeds': 1}
  given |= {'search_finalist_epochs': 1}
  prepared = sweep_prepare(config(**given), tmp_path / 'run', '')
  levels, sizes, setting, searched, *_ = prepared
  members = plan_lib.controls(levels, sizes)
  assert [m.seed for m in members] == [0, 1]
  assert all(m.level.middle for m in members)
  text = '\n'.join(dry.lines(prepared, 60.0, 30.0))
  assert 'controls: 2, of which 0 are finished' in text
  pieces.run_controls(setting, members)
  found = pieces.read_controls(setting, members)
  assert [one.member for one in found] == list(members)
  plan = networks_lib.plan(searched, 'macs', levels, sizes, [], found)
  own = [e for e in plan.entries if e.kind == 'control']
  assert [e.architecture for e in own] == [one.architecture for one in found]
  paths = [pieces.control_path(setting.workdir, m) for m in members]
  for entry, path in zip(own, paths, strict=True):
    price = cost.macs(entry.network).constant
    assert price <= entry.budget
    tried = space.read_record(path)['finalists']
    best = max(tried, key=lambda one: one['valid_accuracy'])
    assert list(entry.architecture.choice) == list(best['choice'])
  # As if searches had found the same.
  shutil.copytree(tmp_path / 'run/controls', tmp_path / 'run/searches')
  groups = report_lib.finalists(prepared)
  for whose, files in (('searches', paths[:1]), ('controls', paths)):
    own = [one for one in groups if one.whose == whose]
    assert len({one.pattern for one in own}) == len(own)
    told = sorted(x for one in own for x in one.accuracies)
    records = [space.read_record(path)['finalists'] for path in files]
    each = [one['valid_accuracy'] for found in records for one in found]
    assert told == sorted(each)
  # What is done is read.
  times = [path.stat().st_mtime_ns for path in paths]
  pieces.run_controls(setting, members)
  assert [path.stat().st_mtime_ns for path in paths] == times
  text = '\n'.join(dry.lines(prepared, 60.0, 30.0))
  assert 'controls: 2, of which 2 are finished' in text
  assert ', 2 controls of' not in text


@pytest.mark.slow
def test_all_is_trained_tested_and_reported(whole):
  with (whole / 'results.csv').open() as file:
    rows = list(csv.DictReader(file))
  kinds = {row['kind'] for row in rows}
  assert kinds >= {'searched', 'random', 'hand-made', 'zoo'}
  for row in rows:
    path = whole / 'architectures' / f'{row["trained_as"]}.json'
    found = space.Architecture.load(path)
    exact = cost.macs(space.fix(found.space, found)).constant
    assert int(row['macs']) == exact
    if row['kind'] != 'argmax':
      assert exact <= float(row['budget'])
    result = json.loads(
      (
        whole / f'trainings/{row["trained_as"]}_seed{row["seed"]}/result.json'
      ).read_text()
    )
    assert space.read_record(path)['classes'] == result['classes']
    # The last weights are tested, and looked at on what was held out.
    assert result['evaluated'] == 'last'
    assert float(row['test_accuracy']) == result['last_test_accuracy']
    assert float(row['valid_accuracy']) == result['valid_accuracy']
    assert (result['train_images'], result['valid_images']) == (110, 10)
    assert (row['supernet_accuracy'] == '') == (row['kind'] == 'zoo')
    seeds = {(row['trained_as'], row['seed']) for row in rows}
  assert len(seeds) == len(list((whole / 'trainings').iterdir()))
  text = (whole / 'report.md').read_text()
  html = (whole / 'report.html').read_text()
  for words in (
    'a command',
    '120 of 120 training images',
    'Welch',
    'efficient',
  ):
    assert words in text, words
    assert words in html, words
  assert html.count('data:image/png;base64,') == 5
  assert re.findall(r'!\[.*\]\((.*)\)', text) == ['macs.png', 'differences.png']


@pytest.mark.slow
def test_the_report_follows_from_what_is_kept(whole, tmp_path):
  for name in ('report.md', 'results.csv', 'architectures.json'):
    shutil.copy(whole / name, tmp_path)
  html, folder = kept.restore(tmp_path)
  assert html.read_bytes() == (whole / 'report.html').read_bytes()
  before = sorted((whole / 'architectures').glob('*.json'))
  assert [path.name for path in before] == sorted(os.listdir(folder))
  for path in before:
    assert (folder / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_killed_again_and_again_and_shared_out_it_ends_in_the_same_report(
  whole, tmp_path, monkeypatch
):
  workdir = tmp_path / 'run'
  shutil.copytree(whole, workdir)
  prepared = sweep_prepare(config(), workdir, '')
  members = plan_lib.members(prepared.levels, prepared.sizes)
  found = pieces.read_searches(prepared.setting, members)
  networks = networks_lib.plan(
    SPACE, 'macs', prepared.levels, prepared.sizes, found
  ).networks
  folders = list(networks)
  of_space = [f for f in folders if networks[f].architecture is not None]
  left = of_space[-2:]
  # What is left is a search of the second part, both seeds of two networks,
  # what a supernet gives those, which is a piece of each part, and the report.
  shutil.rmtree(workdir / 'searches' / members[1].name)
  for folder in left:
    (workdir / 'inherited' / f'{folder}.json').unlink()
    for path in (workdir / 'trainings').glob(f'{folder}_seed*'):
      shutil.rmtree(path)
  for path in workdir.glob('re*.*'):
    path.unlink()
  shutil.rmtree(workdir / 'architectures')
  before = _finished(workdir)
  trained, last = 2 * len(folders) - 4, folders.index(left[-1]) + 1
  assert len(before) >= 2 + trained + len(of_space) - 2

  def do(index=1, of=1):
    part = plan_lib.Part(index, of)
    return sweep_run(config(), workdir, 'a command', part=part)

  def killed(where, name, function):
    with monkeypatch.context() as patch:
      patch.setattr(where, name, function)
      with pytest.raises(KeyboardInterrupt):
        do(2, 2)

  (line,) = do(1, 2)
  wait = f'searches of other parts are not finished: {members[1].name};'
  assert line.startswith(wait)
  assert _finished(workdir) == before
  killed(search_loop, 'stepper', _dies(search_loop.stepper, 7))
  assert _finished(workdir) == before
  # At the second of its trainings that are left.
  killed(training, 'run', _raises_at(training.run, last))
  (line,) = do(1, 2)
  assert line.startswith(f'{trained + 3} of {trained + 4} trainings')
  killed(pieces.supernets, 'inherited', _raises_at(None, 1))
  (line,) = do(2, 2)
  assert line.startswith(f'{trained + 4} of {trained + 4} trainings')
  assert not (workdir / 'report.md').exists()
  before |= _finished(workdir)
  with monkeypatch.context() as patch:
    patch.setattr(main.report, '_written', _raises_at(_kept, 2))
    with pytest.raises(KeyboardInterrupt):
      do()
  do()
  assert _reported(workdir) == _reported(whole)
  assert _state(workdir / 'searches' / members[1].name) == _state(
    whole / 'searches' / members[1].name
  )
  # Nothing that was finished was done again.
  assert _finished(workdir) == before


def _finished(workdir):
  """Pieces that are done, and when."""
  return {
    p: p.stat().st_mtime_ns
    for p in workdir.rglob('*.json')
    if p.name in ('result.json', 'member.json') or p.parent.name == 'inherited'
  }


def _kept(path, text):
  path.write_text(text)
  return path


@pytest.mark.slow
def test_a_training_of_another_network_is_not_taken_for_its_own(
  whole, tmp_path
):
  workdir = tmp_path / 'run'
  shutil.copytree(whole, workdir)
  one, *_, other = sorted((workdir / 'trainings').iterdir())
  shutil.copy(other / 'architecture.json', one)
  refused('another architecture', sweep_run, config(), workdir)


def _raises_at(function, call):
  """The function, which is killed at one of its calls."""
  calls = []

  def counted(*args, **kwargs):
    calls.append(args)
    if len(calls) == call:
      raise KeyboardInterrupt
    return function(*args, **kwargs)

  return counted


def _dies(stepper, step):
  """A run that it makes steps for is killed at one of them."""

  def make(*args, **kwargs):
    advance = stepper(*args, **kwargs)

    def dying(state, i):
      if i == step:
        raise KeyboardInterrupt
      return advance(state, i)

    return dying

  return make


@pytest.mark.slow
def test_members_are_bit_for_bit_single_searches(whole, tmp_path, monkeypatch):
  """Though they share programs that were compiled for another limit."""
  monkeypatch.setattr(search_loop, 'compile_for', COMPILE_FOR)
  prepared = sweep_prepare(config(), whole, '')
  setting, levels = prepared.setting, prepared.levels
  first, *_, other = plan_lib.members(levels, prepared.sizes)
  assert other.level != first.level
  folder = whole / 'searches' / other.name
  told = flags_of(setting.search, setting.resource, other)
  found = search.run(told, tmp_path / 'single', dataset=setting.dataset)
  assert (
    space.Architecture.load(folder / 'architecture.json') == found.architecture
  )
  one, single = (
    (d / 'metrics.jsonl').read_text() for d in (folder, tmp_path / 'single')
  )
  assert one == single
  chex.assert_trees_all_equal(_state(folder), _state(tmp_path / 'single'))


# Damage.


@pytest.mark.slow
@pytest.mark.parametrize(
  ('pattern', 'edit', 'message'),
  [
    ('searches/*/member.json', lambda d: {}, "has no 'steps'"),
    ('searches/*/member.json', lambda d: [], 'must be a JSON object'),
    (
      'searches/*/member.json',
      lambda d: {**d, 'seconds': float('nan')},
      "'seconds', which is nan",
    ),
    (
      'searches/*/architecture.json',
      lambda d: {**d, 'alphas': {}},
      "'alphas', which has no",
    ),
    (
      'searches/*/architecture.json',
      lambda d: {**d, 'finalists': [{'choice': 3}]},
      "'finalists', which has item 0",
    ),
    (
      'trainings/*/result.json',
      lambda d: {**d, 'valid_accuracy': None},
      "'valid_accuracy', which is None",
    ),
    ('trainings/*/result.json', lambda d: 'x', 'must be a JSON object'),
    (
      'inherited/*.json',
      lambda d: {**d, 'valid_accuracy': '1'},
      "'valid_accuracy', which is '1'",
    ),
  ],
)
def test_a_damaged_piece_is_one_line_and_nothing_is_reported(
  whole, tmp_path, pattern, edit, message
):
  workdir = tmp_path / 'run'
  shutil.copytree(
    whole, workdir, ignore=shutil.ignore_patterns('checkpoints', 'weights')
  )
  before = (workdir / 'report.md').read_bytes()
  for path in workdir.glob(pattern):
    path.write_text(json.dumps(edit(json.loads(path.read_text()))))
  refused(message, sweep_run, config(), workdir, 'a command')
  assert (workdir / 'report.md').read_bytes() == before


@pytest.mark.slow
def test_metrics_without_an_entropy_are_one_line(whole, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(
    whole, workdir, ignore=shutil.ignore_patterns('checkpoints', 'weights')
  )
  for path in workdir.glob('searches/*/metrics.jsonl'):
    path.write_text('{"step": 8}\n')
  refused("has no 'entropy'", sweep_run, config(), workdir, 'a command')


def test_a_part_is_not_done_twice_at_once_and_not_beside_the_whole(tmp_path):
  given = config()
  first, second = (plan_lib.part(text) for text in ('1/2', '2/2'))
  with known():
    workdir = tmp_path / 'run'
    with main._claimed(workdir, given, first):
      # Other parts are free.
      with main._claimed(workdir, given, second):
        pass
      held = rf'in use by process {os.getpid()} on '
      for part in (first, plan_lib.Part()):
        with pytest.raises(InputError, match=held):
          with main._claimed(workdir, given, part):
            pass
    with main._claimed(workdir, given, plan_lib.Part()):
      with pytest.raises(InputError, match=held):
        with main._claimed(workdir, given, second):
          pass
  assert not list(workdir.glob('lock*'))

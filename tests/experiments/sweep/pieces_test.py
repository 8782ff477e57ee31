"""Sweeps of which pieces diverge, that run at once, or that ask too much."""

import contextlib

import pytest

from experiments import train
from experiments.flags import cli, configs, limits, sources
from experiments.sweep import main, networks, plan, setup, sweep_flags
from nasjax import data, derive
from nasjax.errors import DivergedError, InputError
from nasjax.run import finalists, search_loop
from nasjax.run.workdir import diverged_file, lock
from tests.conftest import refused
from tests.experiments.sweep.sweep_cases import (
  COMPILE_FOR,
  compiled_once,
  config,
)
from tests.experiments.told_cases import (
  search_prepare,
  sweep_prepare,
  sweep_run,
  train_as_told,
)


@pytest.fixture(scope='module', autouse=True)
def small():
  with compiled_once():
    yield


# What diverges is left out, and said.


@pytest.mark.slow
def test_a_sweep_whose_searches_all_diverge_trains_nothing(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(search_loop, 'compile_for', COMPILE_FOR)
  told = config(search_learning_rate=1e30, search_seeds=1)
  workdir = tmp_path / 'run'
  refused('all 2 searches diverged', sweep_run, told, workdir)
  assert not (workdir / 'trainings').exists()
  assert not (workdir / 'report.md').exists()
  refused('all 2 searches diverged', sweep_run, told, workdir)


FINALISTS = {'search_finalists': 2, 'search_finalist_epochs': 1}
FINALISTS |= {'search_seeds': 1, 'control_seeds': 1, 'train_seeds': 1}
FINALISTS |= {'zoo': ''}


def _diverge(monkeypatch, within):
  """Trainings whose workdir has this in its path diverge."""
  run = finalists.training.run

  def training_run(workdir, *args, **kwargs):
    if within in str(workdir):
      raise DivergedError('the training diverged')
    return run(workdir, *args, **kwargs)

  monkeypatch.setattr(finalists.training, 'run', training_run)


@pytest.mark.slow
def test_pieces_without_finalists_are_named_in_the_report(
  tmp_path, monkeypatch
):
  told, workdir = config(**FINALISTS), tmp_path / 'run'
  _, levels = plan.levels(told['limits'], None)
  (outer,) = (level.name for level in levels if not level.middle)
  with monkeypatch.context() as patch:
    _diverge(patch, f'searches/{outer}')
    _diverge(patch, 'controls/')
    lines = sweep_run(told, workdir)
  text = (workdir / 'report.md').read_text()
  control = next((workdir / 'controls').iterdir())
  for name in (f'search {outer}_seed0', f'control {control.name}'):
    assert f'Not there: {name}, which diverged.' in text
  for folder in (control, workdir / 'searches' / f'{outer}_seed0'):
    assert not (folder / 'architecture.json').exists()
    assert 'no finalist is left' in diverged_file.read(folder)
  # Nothing of them is done again, though it would succeed now.
  with monkeypatch.context() as patch:
    patch.setattr(finalists, 'chosen', None)
    assert sweep_run(told, workdir) == lines
  assert not (control / 'architecture.json').exists()
  assert (workdir / 'report.md').read_text() == text


@pytest.mark.parametrize('text', ['', '[]', '{}', 'null', '{"diverged": 3}'])
def test_a_damaged_file_of_a_divergence_is_one_line(tmp_path, text):
  (tmp_path / 'diverged.json').write_text(text)
  refused(r'^\S*diverged.json is ', diverged_file.read, tmp_path)


def test_a_training_that_diverged_is_not_evaluated(tmp_path):
  with pytest.raises(DivergedError), diverged_file.written(tmp_path):
    raise DivergedError('the training diverged: so')
  for given in ({}, {'epochs': 3}):
    refused('diverged: so', train.evaluate, tmp_path, given)


# One process does a piece.

WHOLE = plan.Part()


def _enter(workdir, part, told=config()):  # noqa: B008 (not changed)
  with main._claimed(workdir, told, part):
    return sorted(p.name for p in workdir.iterdir())


@pytest.mark.slow
def test_parts_run_at_once_and_neither_twice_nor_beside_the_whole(tmp_path):
  first, second = plan.Part(1, 2), plan.Part(2, 2)
  workdir, told = tmp_path / 'run', config()
  with main._claimed(workdir, told, first):
    with main._claimed(workdir, told, second):
      for part in (first, second, WHOLE):
        refused('is in use by process', _enter, workdir, part)
    refused('is in use by process', _enter, workdir, WHOLE)
    assert _enter(workdir, second)
  with main._claimed(workdir, told, WHOLE):
    for part in (first, second, WHOLE):
      refused('is in use by process', _enter, workdir, part)
    # Nor does one with other flags change what the first goes by.
    for part in (first, WHOLE):
      refused('is in use', _enter, workdir, part, config(seed=3))
  assert [p.name for p in workdir.iterdir()] == ['config.json']


def test_locks_that_killed_parts_left_are_taken_and_removed(tmp_path):
  workdir = tmp_path / 'run'
  _enter(workdir, WHOLE)
  for name in ('lock', 'lock.2_of_3', 'lock.3_of_3'):
    (workdir / name).write_text('no process wrote this')
  assert 'lock.2_of_3' in _enter(workdir, plan.Part(2, 3))
  assert _enter(workdir, WHOLE) == ['config.json', 'lock']
  assert [p.name for p in workdir.iterdir()] == ['config.json']


def test_a_sweep_that_took_no_step_accepts_the_corrected_command(tmp_path):
  workdir = tmp_path / 'run'
  one, other = config(), config(search_learning_rate=0.01)
  member = workdir / 'searches' / 'a'
  _enter(workdir, WHOLE, one)
  member.mkdir(parents=True)
  (member / 'config.json').write_text('{}')
  (member / 'checkpoints').mkdir()
  _enter(workdir, WHOLE, other)
  _enter(workdir, WHOLE, one)
  for name in ('lock', 'checkpoints/4', 'finalists', 'architecture.png'):
    with contextlib.ExitStack() as ends:
      (member / name).mkdir()
      ends.callback((member / name).rmdir)
      refused('a run with other values', _enter, workdir, WHOLE, other)
  _enter(workdir, WHOLE, other)


# Sizes.


@pytest.mark.parametrize(
  'name',
  ['search_seeds', 'outer_seeds', 'train_seeds', 'random', 'outer_random'],
)
@pytest.mark.parametrize('number', [10_001, 10**9, 10**20])
def test_more_pieces_than_anybody_could_wait_for_are_refused(name, number):
  refused(
    f'{name} is {number}; it must be at most',
    *(configs.of, sweep_flags.Flags, config(**{name: number})),
  )


@pytest.mark.parametrize('there', [1, 2, 5, 99, 100])
def test_as_many_are_drawn_as_there_are_with_few_tries(monkeypatch, there):
  tries = []

  def sample(space, limits, number, rng, **_):
    tries.append(number)
    if number > there:
      raise InputError('too few')
    return list(range(number))

  monkeypatch.setattr(derive, 'sample_within', sample)
  sizes = configs.of(sweep_flags.Flags, config()).sizes
  drawn = networks._drawn(None, {}, 100, sizes)
  assert drawn == list(range(there))
  assert len(tries) <= 9
  assert networks._drawn(None, {}, 0, sizes) == []


@pytest.mark.slow
def test_limits_without_effect_are_warned_of_at_the_start(tmp_path):
  low = config()['limits'].partition(',')[0]
  told = config(limits=f'{low},900M')
  prepared = sweep_prepare(told, tmp_path / 'run', '')
  (line,) = setup.warnings(prepared)
  assert line.startswith('warning: limit macs=900000000 has no effect')
  (cost,) = limits.of(['macs=1'], prepared.space)
  assert line.endswith('cost {} to {}'.format(*cost.bounds()))


# Checks come before images are decoded.


def _opened():
  def read():
    raise AssertionError('images were decoded')

  return data.Opened('photos', (8, 8, 1), tuple('abcdefghij'), 120, 50, read)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'limits': 'macs=1,2'}, 'no architecture has'),
    ({'search_relax': 'x'}, 'unknown relaxation'),
    ({'search_batch_size': 121}, 'batch_size is 121; with 120'),
    ({'search_cutout': 9}, 'cutout is 9 pixels'),
    ({'batch_size': 0}, 'batch_size is 0'),
    ({'erasing': 2.0}, 'erasing is 2.0'),
    ({'mixup': -1.0}, 'mixup is -1.0'),
    ({'valid_fraction': 0.0}, 'valid_fraction is 0'),
    ({'valid_fraction': 1.5}, 'valid_fraction is 1.5'),
    ({'train_images': 121}, 'train_images is 121; photos has 120'),
    ({'search_finalists': 0}, 'finalists is 0'),
  ],
)
def test_a_sweep_is_checked_before_images_are_decoded(
  tmp_path, monkeypatch, given, message
):
  monkeypatch.setattr(sources, 'open_set', lambda *_: _opened())
  run = sweep_prepare
  refused(message, run, config(**given), tmp_path / 'run', '')
  with pytest.raises(AssertionError, match='were decoded'):
    run(config(), tmp_path / 'run', '')


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'batch_size': 0}, 'batch_size is 0'),
    ({'batch_size': 121}, 'batch_size is 121; with 120'),
    ({'cutout': 9}, 'cutout is 9 pixels'),
    ({'valid_fraction': 2.0}, 'valid_fraction is 2.0'),
    ({'erasing': -1.0}, 'erasing is -1.0'),
    ({'teacher': 'nowhere'}, 'nowhere holds no finished training'),
  ],
)
def test_a_run_is_checked_before_images_are_decoded(
  tmp_path, monkeypatch, given, message
):
  monkeypatch.setattr(sources, 'open_or_stream', lambda *_: _opened())
  told = cli.defaults(train.OPTIONS) | {'network': 'pocket'}
  told |= {'batch_size': 8}
  refused(message, train_as_told, told | given, tmp_path / 'run', '')
  if set(given) <= {'batch_size', 'cutout'}:
    told = sweep_flags.searches_of(
      configs.of(sweep_flags.Flags, config())
    ).values
    told |= {'limit': ['macs=900M'], 'batch_size': 8}
    refused(message, search_prepare, told | given)
  assert lock.NAME not in {p.name for p in tmp_path.iterdir()}

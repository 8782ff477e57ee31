"""Finalists: who they are, and that the right one is taken."""

import dataclasses
import itertools
import shutil

import numpy as np
import pytest

from experiments import search
from experiments.flags import cli, configs, names
from nasjax import cost, data, derive, space, spaces
from nasjax.data import stream
from nasjax.run import finalists, progress
from nasjax.run import inputs as inputs_lib
from nasjax.run import record as record_lib
from nasjax.run.config import SearchConfig
from tests.conftest import refused
from tests.experiments.sweep import sweep_cases
from tests.experiments.told_cases import search_prepare, search_run
from tests.run.run_cases import FEW


def _alphas(s, rng):
  return {k: rng.normal(size=len(o)) for k, o in s.choices.items()}


def _every(s):
  sizes = (range(len(options)) for options in s.choices.values())
  return [
    space.Architecture.from_indices(s, indices)
    for indices in itertools.product(*sizes)
  ]


def _config(**given):
  small = {
    'space': 'speck',
    'limit': ['macs=12k'],
    'fill': 0.5,
    'steps': 6,
    'warmup_steps': 2,
    'batch_size': 8,
    'finalists': 2,
    'finalist_epochs': 2,
    **FEW,
  }
  return {**cli.defaults(search.OPTIONS), **small, **given}


@pytest.fixture(scope='module')
def few():
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(names.SPACES, 'speck', sweep_cases.speck)
    yield sweep_cases.few()


@pytest.fixture(scope='module')
def searched(few, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('finalists') / 'run'
  return workdir, search_run(_config(), workdir, dataset=few).architecture


@pytest.mark.slow
def test_the_best_of_them_is_taken(searched):
  workdir, found = searched
  rows = space.read_record(workdir / 'architecture.json')['finalists']
  assert len(rows) == 2
  best = max(rows, key=lambda row: row['valid_accuracy'])
  assert list(found.choice) == best['choice']
  for i, row in enumerate(rows, 1):
    result = record_lib.read_json(
      workdir / 'finalists' / str(i) / 'result.json'
    )
    # The halves of 120 images.
    assert (result['train_images'], result['test_images']) == (60, 60)
    assert result['test_accuracy'] == row['valid_accuracy']


@pytest.mark.slow
def test_no_test_image_has_a_part_in_it(few, searched, tmp_path):
  workdir, found = searched
  other = data.Arrays(few.test.images[::-1], (few.test.labels + 3) % 10)
  tested = dataclasses.replace(few, test=other)
  again = search_run(_config(), tmp_path / 'run', dataset=tested)
  assert again.architecture == found
  first, second = (
    space.read_record(path / 'architecture.json')['finalists']
    for path in (workdir, tmp_path / 'run')
  )
  assert first == second


@pytest.mark.slow
def test_what_is_trained_is_not_trained_again(few, searched, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(searched[0], workdir)
  record = space.read_record(workdir / 'architecture.json')
  first, second = (workdir / 'finalists' / n / 'result.json' for n in '12')
  before = first.stat().st_mtime_ns
  (workdir / 'architecture.json').unlink()
  second.unlink()  # As where a process was killed in the second.
  search_run(_config(), workdir, dataset=few)
  assert first.stat().st_mtime_ns == before
  assert second.exists()
  assert space.read_record(workdir / 'architecture.json') == record


@pytest.mark.slow
def test_another_network_of_a_finalist_is_refused(few, searched, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(searched[0], workdir)
  (workdir / 'architecture.json').unlink()
  first, second = (workdir / 'finalists' / n for n in '12')
  # As where another version would have named another one.
  shutil.copy(first / 'architecture.json', second / 'architecture.json')
  refused(
    'holds another architecture',
    search_run,
    _config(),
    workdir,
    dataset=few,
  )
  assert not (workdir / 'architecture.json').exists()


def _told(few, s, limits, **given):
  config = _config(relax='softmax', **dict.fromkeys(FEW), **given)
  return search_prepare(config, few)._replace(space=s, limits=limits)


def _looked_up(monkeypatch, accuracy):
  """Trainings that give `accuracy(architecture, epochs)`; who had which."""
  seen = []

  def trained_by(inputs, own, workdir, numbered=()):
    def one(a):
      seen.append((own.epochs, a))
      return accuracy(a, own.epochs)

    return one

  monkeypatch.setattr(finalists, '_trained_by', trained_by)
  return seen


@pytest.mark.parametrize('worth', ['leader', 'other leader', 'neighbour'])
def test_the_next_have_the_pattern_of_the_better_leader(
  worth, few, tmp_path, monkeypatch
):
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  limits = {macs: 0.9 * macs.bounds()[1]}
  alphas = _alphas(s, np.random.default_rng(1))
  leaders = derive.leaders(s, alphas, limits, fill=0.5)
  best = leaders[0 if worth == 'leader' else 1]
  order = []

  def accuracy(a, epochs):
    order.append(a)
    if a in leaders:
      return 0.6 if a == best else 0.5
    return 0.7 if worth == 'neighbour' and len(order) == 4 else 0.4

  _looked_up(monkeypatch, accuracy)
  inputs = _told(few, s, limits, finalists=5)
  found, rows = finalists.chosen(inputs, alphas, tmp_path)
  assert order[:2] == leaders
  own = derive.likeliest(s, alphas, limits, 4, like=best, fill=0.5)
  assert order[2:] == own[1:]
  assert found == (order[3] if worth == 'neighbour' else best)
  assert [list(row['choice']) for row in rows] == [
    list(a.choice) for a in order
  ]
  assert [row['log_prob'] for row in rows] == [
    derive.log_prob(a, alphas) for a in order
  ]
  assert len(set(order)) == 5


@pytest.mark.parametrize('halvings', [1, 2])
def test_the_better_half_is_trained_for_twice_the_epochs(
  halvings, few, monkeypatch
):
  s = spaces.tiny()
  limits, alphas = {}, _alphas(s, np.random.default_rng(1))
  every = _every(s)
  assert len(every) == 12
  # What is good after few epochs is not what is good in the end.
  early = {a: 0.1 + 0.01 * i for i, a in enumerate(every)}
  late = {a: 0.9 - 0.01 * i for i, a in enumerate(every)}
  last = 8
  worth = lambda a, epochs: (late if epochs == last else early)[a]  # noqa: E731
  seen = _looked_up(monkeypatch, worth)
  given = {'finalists': 12, 'finalist_epochs': last}
  inputs = _told(few, s, limits, finalist_halvings=halvings, **given)
  found, rows = finalists.chosen(inputs, alphas, None)
  number, epochs = 12, last // 2**halvings
  left = set(every)
  for i in range(halvings + 1):
    own = [a for e, a in seen if e == epochs]
    assert set(own) == left
    assert len(own) == number
    assert i == 0 or max(early[a] for a in own) == early[every[-1]]
    left = set(sorted(own, key=early.get)[number // 2 :])
    number, epochs = number // 2, epochs * 2
  final = [a for e, a in seen if e == last]
  assert found == max(final, key=late.get)
  by_choice = {tuple(row['choice']): row for row in rows}
  for a in every:
    longest = max(e for e, b in seen if b == a)
    row = by_choice[a.choice]
    assert (row['epochs'], row['valid_accuracy']) == (
      longest,
      worth(a, longest),
    )
  images = finalists.images_of(inputs.config, 12, 100)
  assert images == 100 * sum(e for e, _ in seen)


@pytest.mark.slow
def test_a_halved_search_that_is_killed_trains_what_is_left(few, tmp_path):
  """Each round's trainings have folders of their own."""
  config = _config(finalists=2, finalist_halvings=1)
  whole, again = tmp_path / 'whole', tmp_path / 'again'
  found = search_run(config, whole, dataset=few).architecture
  folders = {path.name for path in (whole / 'finalists').iterdir()}
  record = space.read_record(whole / 'architecture.json')
  rows = record['finalists']
  last = [i for i, row in enumerate(rows, 1) if row['epochs'] == 2]
  assert [row['epochs'] for row in rows].count(1) == 1
  assert folders == {'1', '2', f'{last[0]}_2'}
  assert list(found.choice) == rows[last[0] - 1]['choice']
  shutil.copytree(whole, again)
  (again / 'architecture.json').unlink()
  shutil.rmtree(again / 'finalists' / f'{last[0]}_2')
  before = (again / 'finalists' / '1' / 'result.json').stat().st_mtime_ns
  search_run(config, again, dataset=few)
  assert space.read_record(again / 'architecture.json') == record
  first = again / 'finalists' / '1' / 'result.json'
  assert first.stat().st_mtime_ns == before


def test_fewer_finalists_than_asked_for_are_said(
  few, tmp_path, monkeypatch, capsys
):
  s = spaces.tiny()
  macs = cost.macs(s)
  least = sorted({macs.exact(a) for a in _every(s)})[1]
  limits, alphas = {macs: least}, _alphas(s, np.random.default_rng(1))
  within = [a for a in _every(s) if macs.exact(a) <= least]
  _looked_up(monkeypatch, lambda a, epochs: 0.5)
  config = _config(finalists=len(within) + 3, fill=0.0)
  inputs = search_prepare(config, few)._replace(space=s, limits=limits)
  with progress.shown(True):
    _, rows = finalists.chosen(inputs, alphas, tmp_path)
  assert len(rows) == len(within)
  said = capsys.readouterr().err
  assert f'finalists={len(within) + 3}: {len(within)} architectures' in said


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'finalists': 0}, 'finalists is 0; it must be at least 1'),
    ({'finalist_epochs': 0}, 'finalist_epochs is 0'),
    ({'finalists': 1, 'finalist_epochs': 3}, 'by finalists=1'),
    ({'finalists': 1, 'finalist_halvings': 1}, 'by finalists=1'),
    ({'finalist_halvings': -1}, 'finalist_halvings is -1'),
    (
      {'finalists': 7, 'finalist_halvings': 3},
      'finalist_halvings=3 needs finalists of at least 8; it is 7',
    ),
    (
      {'finalists': 8, 'finalist_halvings': 3, 'finalist_epochs': 7},
      'needs finalist_epochs of at least 8; it is 7',
    ),
  ],
)
def test_bad_flags_are_one_line(given, message):
  refused(message, configs.of, SearchConfig, {'finalists': 2, **given})


def test_finalists_are_not_trained_on_a_stream():
  s = spaces.tiny(num_classes=2)
  shape = s.image_size, s.image_size, s.channels
  rows = [None] * 64
  streamed = stream.Streamed('set', rows, rows, ('a', 'b'), 'test', shape)
  limits = {cost.macs(s): cost.macs(s).bounds()[1]}
  check = lambda **given: inputs_lib.check(  # noqa: E731
    SearchConfig(**given), s, streamed, limits
  )
  check(finalists=1)
  refused('finalists=2 does not go with a stream', check, finalists=2)

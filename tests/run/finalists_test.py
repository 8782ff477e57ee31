"""Finalists: who they are, and that the right one is taken."""

import collections
import dataclasses
import itertools
import shutil

import numpy as np
import pytest
from scipy import stats

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


@pytest.mark.parametrize('place', [0.3, 0.7])
def test_leaders_are_the_most_probable_of_each_pattern(place):
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  low, high = macs.bounds()
  limit = low + place * (high - low)
  alphas = _alphas(s, np.random.default_rng(0))
  found = derive.leaders(s, alphas, {macs: limit}, fill=0.7)
  assert found[0] == derive.within(s, alphas, {macs: limit}, fill=0.7)
  best = {}
  for name in s.patterns:
    own = [a for a in _every(s) if a.choice[0] == name]
    filled = [a for a in own if 0.7 * limit <= macs.exact(a) <= limit]
    best[name] = max(derive.log_prob(a, alphas) for a in filled)
  first = {a.choice[0]: derive.log_prob(a, alphas) for a in found}
  assert first == pytest.approx(best)


@pytest.mark.parametrize('fill', [0.0, 0.9])
def test_of_equally_probable_leaders_the_first_is_the_derived_one(fill):
  s = spaces.tiny_macro()
  macs, alphas = cost.macs(s), space.init_alphas(s)
  for limit in np.linspace(*macs.bounds(), 7)[1:]:
    found = derive.leaders(s, alphas, {macs: limit}, fill=fill)
    assert found[0] == derive.within(s, alphas, {macs: limit}, fill=fill)


def test_a_pattern_that_cannot_fill_the_limit_has_no_leader():
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  limit = sorted({macs.exact(a) for a in _every(s)})[-2]
  reaches = collections.Counter()
  for a in _every(s):
    if 0.9 * limit <= macs.exact(a) <= limit:
      reaches[a.choice[0]] += 1
  assert set(reaches) == {'late'}
  alphas = _alphas(s, np.random.default_rng(0))
  alphas['pattern'] = np.array([9.0, -9.0])  # However much less probable it is.
  assert s.patterns[0] == 'early'
  best = derive.within(s, alphas, {macs: limit}, fill=0.9)
  assert derive.leaders(s, alphas, {macs: limit}, fill=0.9) == [best]
  first, second = derive.leaders(s, alphas, {macs: limit})
  assert (first.choice[0], second.choice[0]) == ('early', 'late')


def test_a_pattern_that_no_limit_allows_has_no_leader():
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  least = {name: [] for name in s.patterns}
  for a in _every(s):
    least[a.choice[0]].append(macs.exact(a))
  cheap, dear = sorted(least, key=lambda name: min(least[name]))
  limit = min(least[dear]) - 1
  alphas = {**_alphas(s, np.random.default_rng(0)), 'pattern': np.zeros(2)}
  (leader,) = derive.leaders(s, alphas, {macs: limit})
  assert leader.choice[0] == cheap


def test_finalists_keep_limits_and_the_pattern_and_all_differ():
  s = spaces.tiny_macro()
  macs, rng = cost.macs(s), np.random.default_rng(0)
  limit = 0.8 * macs.bounds()[1]
  alphas = _alphas(s, rng)
  for leader in derive.leaders(s, alphas, {macs: limit}, fill=0.5):
    found = derive.finalists(leader, alphas, {macs: limit}, 3, rng, fill=0.5)
    assert len({leader, *found}) == 4
    assert {a.choice[0] for a in found} == {leader.choice[0]}
    assert all(0.5 * limit <= macs.exact(a) <= limit for a in found)


@pytest.mark.slow
def test_without_limits_they_are_drawn_by_their_probabilities():
  s = spaces.tiny()
  alphas = _alphas(s, np.random.default_rng(3))
  (leader,) = derive.leaders(s, alphas, {})
  draws = 600
  drawn = collections.Counter(
    derive.finalists(leader, alphas, {}, 1, np.random.default_rng(seed))[0]
    for seed in range(draws)
  )
  others = [a for a in _every(s) if a != leader]
  p = np.exp([derive.log_prob(a, alphas) for a in others])
  expected = draws * p / p.sum()
  seen = np.array([drawn[a] for a in others])
  # Rare ones together, as a chi-squared test needs.
  rare = expected < 5
  fold = lambda x: np.append(x[~rare], x[rare].sum())  # noqa: E731
  assert stats.chisquare(fold(seen), fold(expected)).pvalue > 1e-3


def test_there_are_no_more_than_there_are():
  s = spaces.tiny()
  alphas = {k: np.zeros(len(o)) for k, o in s.choices.items()}
  rng, every = np.random.default_rng(0), _every(s)
  (leader,) = derive.leaders(s, alphas, {})
  found = [leader]
  found += derive.finalists(leader, alphas, {}, len(every), rng)
  assert sorted(a.indices for a in found) == [a.indices for a in every]


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


@pytest.mark.parametrize('relax', ['contributions', 'softmax'])
@pytest.mark.parametrize('worth', ['leader', 'other leader', 'neighbour'])
def test_whoever_labels_most_right_is_taken(
  worth, relax, few, tmp_path, monkeypatch
):
  s = spaces.tiny_macro()
  macs = cost.macs(s)
  limits = {macs: 0.9 * macs.bounds()[1]}
  alphas = _alphas(s, np.random.default_rng(1))
  few_networks = FEW if relax == 'contributions' else dict.fromkeys(FEW)
  config = _config(finalists=5, relax=relax, **few_networks)
  leaders = derive.leaders(s, alphas, limits, fill=0.5)
  seen = []

  def accuracy(a):
    seen.append(a)
    if a in leaders:
      first = leaders[0 if worth == 'leader' else 1]
      return 0.6 if a == first else 0.5
    return 0.7 if worth == 'neighbour' and len(seen) == 4 else 0.4

  monkeypatch.setattr(finalists, '_trained_by', lambda *_: accuracy)
  inputs = search_prepare(config, few)._replace(space=s, limits=limits)
  found, rows = finalists.chosen(inputs, alphas, tmp_path)
  assert seen[:2] == leaders
  best = leaders[0 if worth == 'leader' else 1]
  # The others are near the better one of the leaders.
  assert {a.choice[0] for a in seen[2:]} == {best.choice[0]}
  assert found == (seen[3] if worth == 'neighbour' else best)
  assert [list(row['choice']) for row in rows] == [list(a.choice) for a in seen]
  assert [row['log_prob'] for row in rows] == [
    derive.log_prob(a, alphas) for a in seen
  ]
  assert len(set(seen)) == 5
  if relax == 'contributions':  # The next best by their scores.
    own = derive.likeliest(s, alphas, limits, 4, like=best, fill=0.5)
    assert seen[2:] == own[1:]


def test_fewer_finalists_than_asked_for_are_said(
  few, tmp_path, monkeypatch, capsys
):
  s = spaces.tiny()
  macs = cost.macs(s)
  least = sorted({macs.exact(a) for a in _every(s)})[1]
  limits, alphas = {macs: least}, _alphas(s, np.random.default_rng(1))
  within = [a for a in _every(s) if macs.exact(a) <= least]
  monkeypatch.setattr(finalists, '_trained_by', lambda *_: lambda a: 0.5)
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

"""Finalists: who they are, and that the right one is taken."""

import collections
import dataclasses
import itertools
import shutil

import numpy as np
import pytest
import sweep_cases
from conftest import refused
from scipy import stats

from experiments import cli, finalists, loop, names, search
from nasjax import cost, data, derive, space, spaces


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
  found = derive.leaders(s, alphas, {macs: limit}, fill=0.8)
  assert found[0] == derive.within(s, alphas, {macs: limit}, fill=0.8)
  best = {}
  for name in s.patterns:
    own = [a for a in _every(s) if a.choice[0] == name]
    kept = [a for a in own if macs.exact(a) <= limit]
    # Of a pattern that cannot use so much of it, all.
    filled = [a for a in kept if macs.exact(a) >= 0.8 * limit] or kept
    best[name] = max(derive.log_prob(a, alphas) for a in filled)
  first = {a.choice[0]: derive.log_prob(a, alphas) for a in found}
  assert first == pytest.approx(best)


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
  return workdir, search.run(_config(), workdir, dataset=few)


def test_the_best_of_them_is_taken(searched):
  workdir, found = searched
  rows = space.read_record(workdir / 'architecture.json')['finalists']
  assert len(rows) == 2
  best = max(rows, key=lambda row: row['valid_accuracy'])
  assert list(found.choice) == best['choice']
  for i, row in enumerate(rows, 1):
    result = loop.read_json(workdir / 'finalists' / str(i) / 'result.json')
    # The halves of 120 images.
    assert (result['train_images'], result['test_images']) == (60, 60)
    assert result['test_accuracy'] == row['valid_accuracy']


def test_no_test_image_has_a_part_in_it(few, searched, tmp_path):
  workdir, found = searched
  other = data.Arrays(few.test.images[::-1], (few.test.labels + 3) % 10)
  tested = dataclasses.replace(few, test=other)
  assert search.run(_config(), tmp_path / 'run', dataset=tested) == found
  first, second = (
    space.read_record(path / 'architecture.json')['finalists']
    for path in (workdir, tmp_path / 'run')
  )
  assert first == second


def test_what_is_trained_is_not_trained_again(few, searched, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(searched[0], workdir)
  record = space.read_record(workdir / 'architecture.json')
  first, second = (workdir / 'finalists' / n / 'result.json' for n in '12')
  before = first.stat().st_mtime_ns
  (workdir / 'architecture.json').unlink()
  second.unlink()  # As where a process was killed in the second.
  search.run(_config(), workdir, dataset=few)
  assert first.stat().st_mtime_ns == before
  assert second.exists()
  assert space.read_record(workdir / 'architecture.json') == record


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    ({'finalists': 0}, 'finalists is 0; it must be at least 1'),
    ({'finalist_epochs': 0}, 'finalist_epochs is 0'),
    ({'stream': True}, 'does not go with --stream'),
    ({'finalists': 1, 'finalist_epochs': 3}, 'by --finalists=1'),
  ],
)
def test_bad_flags_are_one_line(given, message):
  config = {**cli.defaults(finalists.OPTIONS), 'stream': False}
  config |= {'finalists': 2, **given}
  refused(message, finalists.check, config)

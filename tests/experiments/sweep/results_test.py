"""What a sweep concludes, from results that are made up."""

import numpy as np
import pytest

from experiments.sweep import results
from experiments.sweep.networks import Entry
from experiments.sweep.plan import Level
from experiments.sweep.results import Scored
from nasjax import spaces
from nasjax.report import intervals

LEVEL = Level('1.00M', 1e6, None, True)


def _scored(name, kind, tests, valid=0.5, folder=None):
  entry = Entry(name, kind, LEVEL, 1e6, spaces.tiny(), folder=folder or name)
  return Scored(entry, tuple(tests), (valid,) * len(tests), 10, 20)


def _found(shift=0.0):
  searched = [0.80 + shift, 0.81 + shift, 0.82 + shift]
  return [
    *(_scored(f's{i}', 'searched', (x, x)) for i, x in enumerate(searched)),
    *(
      _scored(f'r{i}', 'random', (x,)) for i, x in enumerate((0.79, 0.82, 0.8))
    ),
    _scored('zoo_a_1.00M', 'zoo', (0.70, 0.71), valid=0.9),
    _scored('zoo_b_1.00M', 'zoo', (0.98, 0.99), valid=0.1),
    _scored('hand_1.00M', 'hand-made', (0.78, 0.80)),
  ]


def test_the_unit_is_the_search_and_trainings_are_averaged_first():
  found = results.comparisons([LEVEL], _found())
  random, zoo, hand, best_random = found
  assert random.difference == intervals.welch(
    [0.80, 0.81, 0.82], [0.79, 0.82, 0.8]
  )
  searched, noises = [0.80, 0.81, 0.82], results.noises_of(_found())
  assert zoo.difference == intervals.welch(
    searched, [0.70, 0.71], noise=noises[True]
  )
  assert hand.difference == intervals.welch(
    searched, [0.78, 0.80], noise=noises[False]
  )
  assert (best_random.label, best_random.difference.n) == (
    'r0 (best random)',
    (3, 1),
  )


def test_the_best_alternative_is_chosen_by_validation_not_by_test():
  zoo = results.comparisons([LEVEL], _found())[1]
  assert 'zoo_a' in zoo.label
  rows = results.groups([LEVEL], _found())
  assert [g.label for g in rows if g.chosen] == ['hand', 'zoo_a']


def test_of_one_random_architecture_none_is_the_best():
  few = [s for s in _found() if s.entry.name not in ('r1', 'r2')]
  labels = [c.label for c in results.comparisons([LEVEL], few)]
  assert not any('best random' in label for label in labels)


def test_a_network_that_several_searches_found_counts_once():
  twice = [
    _scored('s0', 'searched', (0.8,)),
    _scored('s1', 'searched', (0.8,), folder='s0'),
    _scored('s2', 'searched', (0.9,)),
    _scored('r0', 'random', (0.7,)),
    _scored('r1', 'random', (0.6,)),
  ]
  one, _ = results.comparisons([LEVEL], twice)
  assert one.difference == intervals.welch([0.8, 0.9], [0.7, 0.6])
  group = results.groups([LEVEL], twice)[0]
  assert (group.interval.n, group.searches) == (2, 3)


@pytest.mark.parametrize(
  ('shift', 'word'), [(0.0, 'no difference'), (0.2, 'better'), (-0.2, 'worse')]
)
def test_a_verdict_says_no_more_than_its_interval(shift, word):
  one = results.comparisons([LEVEL], _found(shift))[0]
  text = results.verdict(one)
  words = {'no difference', 'better', 'worse', 'no statement'}
  assert [w for w in words if w in text] == [word]
  d = one.difference
  assert (d.low <= 0 <= d.high) == (word == 'no difference')
  assert f'{100 * d.low:+.2f} to {100 * d.high:+.2f}' in text
  assert f'{100 * d.mean / d.base:+.2f} %' in text


def test_two_searches_are_no_statement_however_narrow_their_interval():
  two = [s for s in _found(0.2) if s.entry.name != 's1']
  for one in results.comparisons([LEVEL], two):
    text = results.verdict(one)
    assert one.claim == 0
    assert 'better' not in text
    assert 'no difference' not in text
    assert 'no statement' in text
  assert results.comparisons([LEVEL], two)[0].difference.sign == 1


def test_a_single_search_is_no_statement():
  single = [s for s in _found(0.2) if s.entry.name not in ('s1', 's2')]
  text = results.verdict(results.comparisons([LEVEL], single)[0])
  assert 'no statement' in text
  assert 'better' not in text


def test_single_networks_have_the_noise_of_their_like():
  # Another role of a network is no other training.
  again = _scored('again', 'argmax', (0.80, 0.80), folder='s0')
  found = [*_found(), again]
  noises = results.noises_of(found)
  published = [s.tests for s in found if s.entry.kind == 'zoo']
  others = [s.tests for s in _found() if s.entry.kind != 'zoo']
  assert noises == {
    True: intervals.pooled(published),
    False: intervals.pooled(others),
  }
  assert noises[True] != noises[False]
  rows = {g.label: g for g in results.groups([LEVEL], found)}
  half = noises[True].half(2)
  zoo = rows['zoo_b'].interval
  assert (zoo.low, zoo.high) == pytest.approx((0.985 - half, 0.985 + half))
  half = noises[False].half(2)
  hand = rows['hand'].interval
  assert (hand.low, hand.high) == pytest.approx((0.79 - half, 0.79 + half))
  assert rows['searched'].interval == intervals.mean_interval(
    [0.80, 0.81, 0.82]
  )


def test_a_control_is_a_group_and_is_compared_with():
  control = [
    _scored(f'c{i}', 'control', (x,)) for i, x in enumerate((0.7, 0.8))
  ]
  found = [*_found(), *control]
  rows = {
    r.label: r
    for r in results.comparisons([LEVEL], found)
    if r.kind == 'searched'
  }
  one = rows['finalists of alphas that learnt nothing (control)']
  assert one.difference == intervals.welch([0.80, 0.81, 0.82], [0.7, 0.8])
  # And random ones with it, which tells what trying several gives.
  (of_control,) = (
    r for r in results.comparisons([LEVEL], found) if r.kind == 'control'
  )
  assert of_control.difference == intervals.welch([0.7, 0.8], [0.79, 0.82, 0.8])
  assert of_control.label == 'random ones'
  said = results.verdict(of_control)
  assert 'networks of the control against random ones' in said
  assert '2 controls are too few' in said
  assert said.endswith('; 10 and 10 MACs).')
  (group,) = (g for g in results.groups([LEVEL], found) if g.kind == 'control')
  assert group.interval == intervals.mean_interval([0.7, 0.8])


def test_prices_are_not_drawn_as_limits():
  assert results.budgets([LEVEL], [2e6, 1e6, 2e6]) == [1e6, 2e6]
  price = Level('strength_1', None, 1.0, True)
  assert results.budgets([price], [2e6, 1e6]) == []


def test_a_training_that_learnt_nothing_is_no_noise_of_others():
  found = _found()
  before = results.noises_of(found)
  stalled = _scored('zoo_c_1.00M', 'zoo', (0.70, 0.10), valid=0.4)
  assert spaces.tiny().num_classes == 10
  assert (stalled.stalled, found[0].stalled) == (1, 0)
  assert results.noises_of([*found, stalled]) == before
  rows = {g.label: g for g in results.groups([LEVEL], [*found, stalled])}
  assert rows['zoo_c'].interval.mean == pytest.approx(0.4)
  assert np.isnan(rows['zoo_c'].interval.low)
  assert not np.isnan(rows['zoo_b'].interval.low)
  assert results.drawn(list(rows.values())) == [
    group for label, group in rows.items() if label != 'zoo_c'
  ]
  assert results.drawn([rows['zoo_c']]) == [rows['zoo_c']]
  # Where none learnt anything, as after a step or two, all are alike.
  guesses = [
    _scored('zoo_a_1.00M', 'zoo', (0.1, 0.12)),
    _scored('zoo_b_1.00M', 'zoo', (0.1, 0.14)),
  ]
  assert results.noises_of(guesses)[True].freedom == 2

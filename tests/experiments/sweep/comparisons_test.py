"""What a sweep concludes, from results that are made up."""

import pytest

from experiments.sweep import comparisons, results
from nasjax.report import intervals
from tests.experiments.sweep.results_cases import LEVEL, made_up, scored


def test_the_unit_is_the_search_and_trainings_are_averaged_first():
  found = comparisons.comparisons([LEVEL], made_up())
  random, zoo, hand, best_random = found
  assert random.difference == intervals.welch(
    [0.80, 0.81, 0.82], [0.79, 0.82, 0.8]
  )
  searched, noises = [0.80, 0.81, 0.82], results.noises_of(made_up())
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
  zoo = comparisons.comparisons([LEVEL], made_up())[1]
  assert 'zoo_a' in zoo.label
  rows = results.groups([LEVEL], made_up())
  assert [g.label for g in rows if g.chosen] == ['hand', 'zoo_a']


def test_of_one_random_architecture_none_is_the_best():
  few = [s for s in made_up() if s.entry.name not in ('r1', 'r2')]
  labels = [c.label for c in comparisons.comparisons([LEVEL], few)]
  assert not any('best random' in label for label in labels)


def test_a_network_that_several_searches_found_counts_once():
  twice = [
    scored('s0', 'searched', (0.8,)),
    scored('s1', 'searched', (0.8,), folder='s0'),
    scored('s2', 'searched', (0.9,)),
    scored('r0', 'random', (0.7,)),
    scored('r1', 'random', (0.6,)),
  ]
  one, _ = comparisons.comparisons([LEVEL], twice)
  assert one.difference == intervals.welch([0.8, 0.9], [0.7, 0.6])
  group = results.groups([LEVEL], twice)[0]
  assert (group.interval.n, group.searches) == (2, 3)


@pytest.mark.parametrize(
  ('shift', 'word'), [(0.0, 'no difference'), (0.2, 'better'), (-0.2, 'worse')]
)
def test_a_verdict_says_no_more_than_its_interval(shift, word):
  one = comparisons.comparisons([LEVEL], made_up(shift))[0]
  text = comparisons.verdict(one)
  words = {'no difference', 'better', 'worse', 'no statement'}
  assert [w for w in words if w in text] == [word]
  d = one.difference
  assert (d.low <= 0 <= d.high) == (word == 'no difference')
  assert f'{100 * d.low:+.2f} to {100 * d.high:+.2f}' in text
  assert f'{100 * d.mean / d.base:+.2f} %' in text


def test_two_searches_are_no_statement_however_narrow_their_interval():
  two = [s for s in made_up(0.2) if s.entry.name != 's1']
  for one in comparisons.comparisons([LEVEL], two):
    text = comparisons.verdict(one)
    assert one.claim == 0
    assert 'better' not in text
    assert 'no difference' not in text
    assert 'no statement' in text
  assert comparisons.comparisons([LEVEL], two)[0].difference.sign == 1


def test_a_single_search_is_no_statement():
  single = [s for s in made_up(0.2) if s.entry.name not in ('s1', 's2')]
  text = comparisons.verdict(comparisons.comparisons([LEVEL], single)[0])
  assert 'no statement' in text
  assert 'better' not in text


def test_a_control_is_a_group_and_is_compared_with():
  control = [scored(f'c{i}', 'control', (x,)) for i, x in enumerate((0.7, 0.8))]
  found = [*made_up(), *control]
  rows = {
    r.label: r
    for r in comparisons.comparisons([LEVEL], found)
    if r.kind == 'searched'
  }
  one = rows['finalists of alphas that learnt nothing (control)']
  assert one.difference == intervals.welch([0.80, 0.81, 0.82], [0.7, 0.8])
  # And random ones with it, which tells what trying several gives.
  (of_control,) = (
    r for r in comparisons.comparisons([LEVEL], found) if r.kind == 'control'
  )
  assert of_control.difference == intervals.welch([0.7, 0.8], [0.79, 0.82, 0.8])
  assert of_control.label == 'random ones'
  said = comparisons.verdict(of_control)
  assert 'networks of the control against random ones' in said
  assert '2 controls are too few' in said
  assert said.endswith('; 10 and 10 MACs).')
  (group,) = (g for g in results.groups([LEVEL], found) if g.kind == 'control')
  assert group.interval == intervals.mean_interval([0.7, 0.8])

"""Rows of a sweep's table, from results that are made up."""

import numpy as np
import pytest

from experiments.sweep import results
from experiments.sweep.plan import Level
from nasjax import spaces
from nasjax.report import intervals
from tests.experiments.sweep.results_cases import LEVEL, made_up, scored


def test_single_networks_have_the_noise_of_their_like():
  # Another role of a network is no other training.
  again = scored('again', 'argmax', (0.80, 0.80), folder='s0')
  found = [*made_up(), again]
  noises = results.noises_of(found)
  published = [s.tests for s in found if s.entry.kind == 'zoo']
  others = [s.tests for s in made_up() if s.entry.kind != 'zoo']
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


def test_prices_are_not_drawn_as_limits():
  assert results.budgets([LEVEL], [2e6, 1e6, 2e6]) == [1e6, 2e6]
  price = Level('strength_1', None, 1.0, True)
  assert results.budgets([price], [2e6, 1e6]) == []


def test_a_training_that_learnt_nothing_is_no_noise_of_others():
  found = made_up()
  before = results.noises_of(found)
  stalled = scored('zoo_c_1.00M', 'zoo', (0.70, 0.10), valid=0.4)
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
    scored('zoo_a_1.00M', 'zoo', (0.1, 0.12)),
    scored('zoo_b_1.00M', 'zoo', (0.1, 0.14)),
  ]
  assert results.noises_of(guesses)[True].freedom == 2

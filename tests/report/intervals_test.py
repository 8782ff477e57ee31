"""Intervals against closed forms, SciPy and simulated coverage."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from nasjax.report import intervals

A, B = [0.91, 0.93, 0.92, 0.95], [0.90, 0.92, 0.905]


@pytest.mark.parametrize('level', [0.9, 0.95])
@pytest.mark.parametrize('values', [A, B, [1.0, 2.0]])
def test_the_interval_of_a_mean_is_students(values, level):
  found = intervals.mean_interval(values, level)
  known = stats.ttest_1samp(values, 0).confidence_interval(level)
  np.testing.assert_allclose(found[:3], (np.mean(values), *known), rtol=1e-12)
  assert found.n == len(values)


@pytest.mark.parametrize('level', [0.9, 0.95])
@pytest.mark.parametrize('pair', [(A, B), (B, A), (A, A[:2])])
def test_a_difference_is_welchs(pair, level):
  found = intervals.welch(*pair, level)
  t = stats.ttest_ind(*pair, equal_var=False).confidence_interval(level)
  mean = np.mean(pair[0]) - np.mean(pair[1])
  np.testing.assert_allclose(found[:3], (mean, *t), rtol=1e-9)
  assert found.n == tuple(map(len, pair))
  assert found.base == pytest.approx(np.mean(pair[1]))


def test_against_what_has_no_noise_it_is_the_interval_of_the_mean():
  found, own = intervals.welch(A, [0.5, 0.5]), intervals.mean_interval(A)
  assert found[:3] == pytest.approx([end - 0.5 for end in own[:3]])


def test_a_difference_has_the_opposite_sign_the_other_way_round():
  one, other = [3.0, 3.1, 2.9], [1.0, 1.1, 0.9]
  first, second = intervals.welch(one, other), intervals.welch(other, one)
  assert (first.sign, second.sign) == (1, -1)
  assert (first.low, first.high) == pytest.approx((-second.high, -second.low))
  assert intervals.welch(one, [2.9, 3.0, 3.2]).sign == 0


@pytest.mark.parametrize(
  'pair',
  [
    ([1.0], [2.0]),
    ([1.0], [2.0, 3.0]),
    ([1.0, 2.0], [3.0]),
    ([2.0, 2.0], [1.0, 1.0]),  # Equal by rounding: nothing is known of noise.
  ],
)
def test_too_few_values_have_no_interval_and_no_sign(pair):
  found = intervals.welch(*pair)
  assert math.isnan(found.low)
  assert math.isnan(found.high)
  assert found.sign == 0
  assert found.mean == statistics.fmean(pair[0]) - statistics.fmean(pair[1])


@pytest.mark.parametrize('values', [[1.0], [1.0, 1.0, 1.0]])
def test_a_mean_without_noise_has_no_interval(values):
  found = intervals.mean_interval(values)
  assert found.mean == 1
  assert math.isnan(found.low)
  assert math.isnan(found.high)


@pytest.mark.parametrize('function', [intervals.mean_interval, intervals.welch])
def test_no_values_are_refused(function):
  with pytest.raises(ValueError, match='at least one value'):
    function([], [1.0]) if function is intervals.welch else function([])


def test_an_interval_covers_as_often_as_it_says():
  rng = np.random.default_rng(0)
  inside = 0
  for _ in range(1500):
    d = intervals.welch(rng.normal(1, 2, 5), rng.normal(0, 0.5, 3))
    inside += d.low <= 1 <= d.high
  assert abs(inside / 1500 - 0.95) < 0.025


def test_with_the_noise_of_many_repeats_it_covers_as_often_and_is_shorter():
  rng = np.random.default_rng(0)
  inside, lengths = 0, []
  for _ in range(1500):
    searches, few = rng.normal(1, 0.5, 3), rng.normal(0, 2, 2)
    noise = intervals.pooled([few, *rng.normal(0, 2, (20, 2)) + 7])
    d = intervals.welch(searches, few, noise=noise)
    inside += d.low <= 1 <= d.high
    alone = intervals.welch(searches, few)
    lengths.append((d.high - d.low) / (alone.high - alone.low))
  assert abs(inside / 1500 - 0.95) < 0.025
  assert statistics.median(lengths) < 0.7


def test_noise_of_the_values_alone_is_what_they_say():
  noise = intervals.pooled([B])
  found = intervals.welch(A, B, noise=noise)
  assert found[:3] == pytest.approx(intervals.welch(A, B)[:3])
  assert noise.half(len(B)) == pytest.approx(
    intervals.mean_interval(B).high - statistics.fmean(B)
  )


def test_pooled_noise_is_the_within_variance():
  groups = [[1.0, 3.0], [10.0, 12.0, 14.0], [7.0]]
  found = intervals.pooled(groups)
  # Sums of squares over degrees of freedom.
  assert found == pytest.approx(((2 + 8) / 3, 3))
  known = stats.t.ppf(0.975, 3) * math.sqrt((2 + 8) / 3)
  assert found.half() == pytest.approx(known)
  nothing = intervals.pooled([[1.0], [2.0]])
  assert math.isnan(nothing.half())
  assert math.isnan(intervals.welch(A, [1.0], noise=nothing).low)


def test_rank_correlation_is_scipys_and_sees_ranks_alone():
  rng = np.random.default_rng(1)
  x = rng.normal(size=20)
  y = x + rng.normal(size=20)
  y[3] = y[5]  # A tie.
  found = intervals.spearman(x, y)
  assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
  assert found.n == 20
  assert found.low < found.rho < found.high
  assert intervals.spearman(np.exp(x), y**3) == found
  half = stats.norm.ppf(0.975) * math.sqrt((1 + found.rho**2 / 2) / 17)
  assert math.atanh(found.high) == pytest.approx(math.atanh(found.rho) + half)


def test_rank_correlation_of_nothing_is_none():
  assert math.isnan(intervals.spearman([1, 1, 1], [1, 2, 3]).rho)
  assert math.isnan(intervals.spearman([], []).rho)
  assert intervals.spearman([1, 2, 3], [5, 4, 3])[0] == -1
  assert math.isnan(intervals.spearman([1, 2, 3], [5, 4, 3]).low)
  with pytest.raises(ValueError, match='pairs'):
    intervals.spearman([1], [1, 2])

"""What a few numbers say of a mean, a difference, a correlation."""

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95


class Interval(NamedTuple):
  """A mean, and where it may lie.

  Attributes:
    mean: of the values.
    low: lower end of the interval; nan where the values allow none.
    high: upper end of the interval; nan where the values allow none.
    n: how many values.
  """

  mean: float
  low: float
  high: float
  n: int


class Difference(NamedTuple):
  """A difference of two means, and where it may lie.

  Attributes:
    mean: of the first values, less that of the second.
    low: lower end of the interval; nan where the values allow none.
    high: upper end of the interval; nan where the values allow none.
    n: how many values of each.
    base: the mean of the second.
  """

  mean: float
  low: float
  high: float
  n: tuple[int, int]
  base: float

  @property
  def sign(self) -> int:
    """1 or -1 where the interval is on one side of 0, else 0."""
    return (self.low > 0) - (self.high < 0)


class Noise(NamedTuple):
  """How repeats of one thing differ, from repeats of many.

  Attributes:
    variance: of one value; nan where nothing was repeated.
    freedom: degrees of freedom of that estimate.
  """

  variance: float
  freedom: int

  def half(self, n: int = 1, level: float = LEVEL) -> float:
    """Half the interval of a mean of n repeats, after Student."""
    if not self.freedom:
      return math.nan
    return _quantile(level, self.freedom) * math.sqrt(self.variance / n)


class Correlation(NamedTuple):
  """A rank correlation, and where it may lie.

  Attributes:
    rho: Spearman's; nan where one side does not vary.
    low: lower end of the interval; nan where the values allow none.
    high: upper end of the interval; nan where the values allow none.
    n: pairs.
  """

  rho: float
  low: float
  high: float
  n: int


def mean_interval(values: Iterable[float], level: float = LEVEL) -> Interval:
  """Student's interval of a mean.

  Values that do not differ allow none: that rounding made them equal does not
  mean that nothing varies.

  Args:
    values: at least one.
    level: of confidence.

  Raises:
    ValueError: there are no values.

  Example:
    >>> low, high = mean_interval([1.0, 2.0, 3.0])[1:3]
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
  """
  values = _checked(values)
  mean, n = statistics.fmean(values), len(values)
  error = _standard_error(values)
  if not error > 0:
    return Interval(mean, math.nan, math.nan, n)
  half = _quantile(level, n - 1) * error
  return Interval(mean, mean - half, mean + half, n)


def welch(
  values: Iterable[float],
  base: Iterable[float],
  level: float = LEVEL,
  *,
  noise: Noise | None = None,
) -> Difference:
  """Interval of a difference of means whose variances differ (Welch 1947).

  The degrees of freedom are Satterthwaite's. There is none unless both sides
  have two values, or `base` a noise, and one side values that differ.

  Args:
    values: at least one.
    base: at least one, of what they are compared with.
    level: of confidence.
    noise: of each of `base`, where more is known of it than these few values
      say: as `pooled` gives it.

  Raises:
    ValueError: a side has no values.

  Example:
    >>> found = welch([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> found.mean, round(found.low, 3), found.sign
    (2.0, -0.267, 0)
  """
  values, base = _checked(values), _checked(base)
  n = len(values), len(base)
  second = statistics.fmean(base)
  mean = statistics.fmean(values) - second
  a, b = _standard_error(values) ** 2, _standard_error(base) ** 2
  freedoms = n[0] - 1, n[1] - 1
  if noise is not None:
    b, freedoms = noise.variance / n[1], (n[0] - 1, noise.freedom)
  if not a + b > 0:  # As nan does not.
    return Difference(mean, math.nan, math.nan, n, second)
  freedom = (a + b) ** 2 / (a**2 / freedoms[0] + b**2 / freedoms[1])
  half = _quantile(level, freedom) * math.sqrt(a + b)
  return Difference(mean, mean - half, mean + half, n, second)


def pooled(groups: Iterable[Sequence[float]]) -> Noise:
  """The variance within groups, which is taken to be the same in all.

  Args:
    groups: of repeats; those of one value say nothing.

  Example:
    >>> noise = pooled([[1.0, 3.0], [10.0, 12.0], [5.0]])
    >>> noise, round(noise.half(), 3)
    (Noise(variance=2.0, freedom=2), 6.085)
  """
  groups = [list(g) for g in groups if len(g) > 1]
  freedom = sum(len(g) - 1 for g in groups)
  if not freedom:
    return Noise(math.nan, 0)
  squares = sum(statistics.variance(g) * (len(g) - 1) for g in groups)
  return Noise(squares / freedom, freedom)


def spearman(
  x: Sequence[float], y: Sequence[float], level: float = LEVEL
) -> Correlation:
  """Spearman's rank correlation, with Bonett and Wright's interval (2000).

  Args:
    x: `[n]`.
    y: `[n]`.
    level: of confidence.

  Raises:
    ValueError: not as many of one as of the other.

  Example:
    >>> spearman([1, 2, 3, 4], [10, 20, 40, 30]).rho
    0.8
  """
  if len(x) != len(y):
    raise ValueError(f'spearman requires pairs, got {len(x)} and {len(y)}.')
  n, ranks = len(x), [stats.rankdata(v) for v in (x, y)]
  if n < 2 or any(np.ptp(r) == 0 for r in ranks):
    return Correlation(math.nan, math.nan, math.nan, n)
  rho = float(np.corrcoef(*ranks)[0, 1].clip(-1, 1).round(12))
  if n < 4 or abs(rho) == 1:
    return Correlation(rho, math.nan, math.nan, n)
  half = float(stats.norm.ppf((1 + level) / 2))
  half *= math.sqrt((1 + rho**2 / 2) / (n - 3))
  low, high = (math.tanh(math.atanh(rho) + s * half) for s in (-1, 1))
  return Correlation(rho, low, high, n)


def _checked(values: Iterable[float]) -> list[float]:
  values = [float(v) for v in values]
  if not values:
    raise ValueError('an interval requires at least one value, got [].')
  return values


def _standard_error(values: list[float]) -> float:
  """Of the mean; nan of a single value."""
  if len(values) < 2:
    return math.nan
  return statistics.stdev(values) / math.sqrt(len(values))


def _quantile(level: float, freedom: float) -> float:
  return float(stats.t.ppf((1 + level) / 2, freedom))

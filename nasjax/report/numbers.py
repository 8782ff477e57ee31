"""Numbers as people read them."""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple

_PREFIXES = ('', 'k', 'M', 'G', 'T')


def si(number: float) -> str:
  """Three significant digits and a prefix; ints below 1000 as they are.

  Example:
    >>> si(1600000), si(38046), si(950), si(999_999), si(0.25)
    ('1.60M', '38.0k', '950', '1.00M', '0.25')
  """
  number = float(number)
  if not math.isfinite(number):
    return str(number)
  power = 0
  # 999.5 would be written as 1000: it belongs to the next prefix.
  while abs(number) >= 999.5 and power < len(_PREFIXES) - 1:
    number, power = number / 1000, power + 1
  if power == 0:
    return f'{number:.3g}'
  digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
  return f'{number:.{digits}f}{_PREFIXES[power]}'


class Spread(NamedTuple):
  """How repeated measurements lie.

  Attributes:
    mean: arithmetic mean.
    std: sample standard deviation (`n - 1`); nan for a single value.
    low: the smallest.
    high: the largest.
    n: how many.
  """

  mean: float
  std: float
  low: float
  high: float
  n: int


def spread(values: Iterable[float]) -> Spread:
  """Mean, sample standard deviation and range.

  Args:
    values: at least one number.

  Raises:
    ValueError: there are no values.

  Example:
    >>> spread([1, 2, 3])
    Spread(mean=2.0, std=1.0, low=1.0, high=3.0, n=3)
  """
  values = [float(v) for v in values]
  if not values:
    raise ValueError('spread requires at least one value, got [].')
  std = statistics.stdev(values) if len(values) > 1 else math.nan
  return Spread(
    statistics.fmean(values), std, min(values), max(values), len(values)
  )

"""Numbers as people read them, and their spread."""

import math

import numpy as np
import pytest

from nasjax import report


@pytest.mark.parametrize(
  ('number', 'text'),
  [
    (0, '0'),
    (7, '7'),
    (950, '950'),
    (999, '999'),
    (999.6, '1.00k'),
    (1000, '1.00k'),
    (9996, '10.0k'),
    (38046, '38.0k'),
    (99_960, '100k'),
    (999_499, '999k'),
    (999_500, '1.00M'),
    (1_600_000, '1.60M'),
    (300_774_272, '301M'),
    (5e9, '5.00G'),
    (-38046, '-38.0k'),
    (0.25, '0.25'),
    (math.inf, 'inf'),
  ],
)
def test_si_has_three_significant_digits(number, text):
  assert report.si(number) == text


def test_si_is_within_half_a_unit_of_the_third_digit():
  factors = {'k': 1e3, 'M': 1e6, 'G': 1e9}
  for number in np.random.default_rng(0).uniform(3, 12, 200):
    number = 10**number
    text = report.si(number)
    if text[-1] in factors:
      assert float(text[:-1]) * factors[text[-1]] == pytest.approx(
        number, rel=5.1e-3
      )


def test_spread_is_the_closed_form():
  got = report.spread([1.0, 2.0, 6.0])
  assert got.mean == 3
  assert got.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
  assert (got.low, got.high, got.n) == (1, 6, 3)


def test_spread_of_one_value_has_no_deviation_and_of_none_is_an_error():
  assert math.isnan(report.spread([5]).std)
  with pytest.raises(ValueError, match='at least one value'):
    report.spread([])

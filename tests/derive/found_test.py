"""When an answer is proven: up to rounding, and not beyond."""

import math

import pytest

from nasjax.derive import found


@pytest.mark.parametrize(
  ('bound', 'value', 'proven'),
  [
    (-3.0, -3.0, True),
    (-3.0 + 1e-13, -3.0, True),
    (-3.0 + 1e-9, -3.0, False),
    (-1e6 + 1e-7, -1e6, True),  # Rounding is relative to the sum.
    (-math.inf, -math.inf, True),
    (-5.0, -math.inf, False),
  ],
)
def test_a_bound_closes_on_its_value(bound, value, proven):
  assert found.closed(bound, value) == proven


def test_where_nothing_is_allowed_that_is_proven():
  assert found.NEVER.index is None
  assert found.closed(found.NEVER.bound, -math.inf)

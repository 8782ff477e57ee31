"""How outputs are compared."""

import numpy as np
import pytest

from nasjax.export import parity

LOGITS = np.array([[4.0, 1.0, 0.0], [2.0, 3.0, -8.0]])


def test_differences_are_relative_to_the_largest_logit():
  found = parity.compare(LOGITS, LOGITS + [[0, 0, 0], [0, 0, 0.4]])
  assert found.max_difference == pytest.approx(0.4)
  assert found.relative_difference == pytest.approx(0.4 / 8)
  rms = np.sqrt(0.4**2 / 6) / np.sqrt((LOGITS**2).mean())
  assert found.relative_rms == pytest.approx(rms)
  scaled = parity.compare(1000 * LOGITS, 1000 * LOGITS + 0.4)
  assert scaled.relative_difference == pytest.approx(0.4 / 8000)


def test_another_class_counts_unless_logits_are_equal_to_rounding():
  other = LOGITS + [[0, 0, 0], [1.5, 0, 0]]
  assert parity.compare(LOGITS, other).same_top == 0.5
  ties = np.array([[1.0, 1.0 + 1e-6]])
  assert parity.compare(ties, ties[:, ::-1]).same_top == 1
  apart = np.array([[1.0, 1.01]])
  assert parity.compare(apart, apart[:, ::-1]).same_top == 0


@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_what_is_not_finite_is_no_match(wrong):
  found = parity.compare(LOGITS, LOGITS + [[0, 0, 0], [0, 0, wrong]])
  with pytest.raises(RuntimeError, match='computes other outputs'):
    parity.check('model', found)


def test_rounding_passes_and_other_outputs_do_not():
  parity.check('model', parity.compare(LOGITS, LOGITS * (1 + 1e-6)))
  for factor in (1 + 1e-3, -1.0):
    with pytest.raises(RuntimeError, match='nothing was written'):
      parity.check('model', parity.compare(LOGITS, factor * LOGITS))


def test_networks_that_amplify_rounding_have_a_larger_tolerance():
  """What float32 itself does not keep cannot be asked of a file."""
  exact = LOGITS.astype(np.float64)
  assert parity.tolerance_of(exact, exact + 1e-7) == parity.TOLERANCE
  rounded = exact + [[0, 0, 0], [0, 0, 0.08]]
  tolerance = parity.tolerance_of(exact, rounded)
  assert tolerance == pytest.approx(10 * 0.08 / 8)
  other = rounded - [[0, 0, 0], [0, 0, 0.3]]
  assert parity.fits(parity.compare(rounded, other, tolerance))
  assert not parity.fits(parity.compare(rounded, other))
  assert not parity.fits(parity.compare(rounded, -rounded, tolerance))

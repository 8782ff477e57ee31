"""Rules that stop: when, why, and what they return to."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import guard


def _stopped(rule, rows, alphas=None):
  """At which row, counted from 1, and the verdict; None if at none."""
  alphas = alphas or [{'a': np.float32([i])} for i in range(1, len(rows) + 1)]
  state = rule.init(alphas[0])
  for i, (row, own) in enumerate(zip(rows, alphas, strict=True), 1):
    state = rule.update(i, row, own, state)
    if verdict := rule.verdict(state):
      return i, verdict
  return None


def test_skips_stop_once_they_stay_too_many():
  rule = guard.too_many_skips(2, patience=3)
  counts = [0, 2, 3, 1, 2, 2, 1, 3, 2, 2, 2]
  at, verdict = _stopped(rule, [{'skips': n} for n in counts])
  assert at == 10
  assert verdict.alphas is None
  assert 'skips won 2 of the choices, for 3 steps' in verdict.reason
  assert _stopped(rule, [{'skips': n} for n in (1, 2, 2, 1) * 5]) is None


def _eigenvalues(values):
  """A step without a measurement before each that has one."""
  pairs = [({}, {'eigenvalue': np.float32(v)}) for v in values]
  return [row for pair in pairs for row in pair]


def test_a_rising_eigenvalue_stops_where_the_ratio_says_so():
  """Held to the definition, written out, on a series that first wavers."""
  values = [1.0, 1.3, 0.8, 1.1, 0.9, 1.0, 1.2, 0.9, 1.1, 1.2, 1.4, 1.5]
  values += [1.6, 1.7, 1.8, 1.9, 2.0, 2.1]
  mean = lambda t: np.mean(values[t - 4 : t + 1])  # noqa: E731
  first = next(t for t in range(8, len(values)) if mean(t - 4) / mean(t) < 0.75)
  assert 9 < first < len(values) - 1
  at, verdict = _stopped(guard.rising_curvature(), _eigenvalues(values))
  assert at == 2 * (first + 1)
  # To the middle of the five that ended four measurements before; the i-th
  # measurement was at step 2 i, with alphas of that value.
  assert verdict.step == 2 * (first + 1 - 4 - 2)
  assert verdict.alphas['a'].tolist() == [verdict.step]
  assert f'from {mean(first - 4):.3g} to {mean(first):.3g}' in verdict.reason


@pytest.mark.parametrize(
  'values',
  [
    [1.0] * 20,
    list(np.linspace(2, 1, 20)),
    list(np.geomspace(1, 2, 20)),  # By a ratio of 0.86 in four.
    list(np.geomspace(1, 100, 8)),  # Too few to say.
    list(np.linspace(-9, -1, 20)),  # Of no sign to divide by.
    [-3.0] * 5 + [1.0] * 4,
    [np.nan] * 20,
  ],
)
def test_an_eigenvalue_that_does_not_rise_does_not_stop(values):
  assert _stopped(guard.rising_curvature(), _eigenvalues(values)) is None


@pytest.mark.parametrize('window', [1, 2, 3, 4, 5])
@pytest.mark.parametrize('apart', [1, 2, 4])
def test_it_returns_to_the_middle_of_the_older_measurements(window, apart):
  values = [1.0] * (window + apart - 1) + [1e6]
  rule = guard.rising_curvature(window=window, apart=apart)
  at, verdict = _stopped(rule, [{'eigenvalue': v} for v in values])
  assert at == len(values)
  older = range(1, window + 1)
  assert verdict.step == older[(window - 1) // 2]
  assert verdict.alphas['a'].tolist() == [verdict.step]


@pytest.mark.parametrize('place', range(9))
def test_a_single_negative_eigenvalue_does_not_silence_the_rule(place):
  values = np.geomspace(1, 100, 9)
  values[place] = -0.01
  at, _ = _stopped(
    guard.rising_curvature(), [{'eigenvalue': v} for v in values]
  )
  assert at == 9


def test_the_first_rule_that_stops_says_why():
  rule = guard.any_of(
    guard.too_many_skips(2, patience=1),
    guard.rising_curvature(window=1, apart=1),
  )
  rows = [{'skips': 0, 'eigenvalue': v} for v in (1.0, 1.1, 3.0)]
  assert _stopped(rule, rows)[0] == 3
  assert 'eigenvalue' in _stopped(rule, rows)[1].reason
  rows[1] = {'skips': 2}
  assert 'skip' in _stopped(rule, rows)[1].reason
  assert _stopped(guard.any_of(), rows) is None


def test_updates_change_no_state_and_keep_its_types():
  """What was saved stays what it was, and loads into what `init` gives."""
  rule = guard.any_of(guard.too_many_skips(2), guard.rising_curvature())
  alphas = {'a': jnp.ones(3), 'b': jnp.ones((2, 3))}
  start = rule.init(alphas)
  kept = jax.tree.map(np.copy, start)
  row = {'skips': jnp.int32(3), 'eigenvalue': jnp.float32(2.0)}
  after = rule.update(7, row, jax.tree.map(lambda a: 2 * a, alphas), start)
  chex.assert_trees_all_equal(start, kept)
  chex.assert_trees_all_equal_shapes_and_dtypes(start, after)
  # NumPy's scalars, which look the same, cannot be saved.
  assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves((start, after)))


@pytest.mark.parametrize(
  ('make', 'bad'),
  [
    (guard.too_many_skips, {'limit': 0}),
    (guard.rising_curvature, {'ratio': 1.0}),
    (guard.rising_curvature, {'ratio': 0.0}),
    (guard.rising_curvature, {'window': 0}),
    (guard.rising_curvature, {'apart': 0}),
  ],
)
def test_rules_out_of_range_are_refused(make, bad):
  ((name, value),) = bad.items()
  with pytest.raises(ValueError, match=f'{name}={value}'):
    make(**bad)

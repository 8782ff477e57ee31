"""TransNAS-Bench-101's macro space: its costs, and which networks are tried."""

import itertools
import os
import random

import numpy as np
import pytest

from benchmarks.truth import macro
from tests.conftest import refused

TRUTH = macro.load()


def test_the_table_has_every_network_of_the_space():
  """4 to 6 modules, 1 to 3 doublings of channels, 1 to 4 halvings."""
  expected = set()
  for modules in 4, 5, 6:
    for digits in itertools.product('1234', repeat=modules):
      wider = sum(d in '24' for d in digits)
      smaller = sum(d in '34' for d in digits)
      if 1 <= wider <= 3 and 1 <= smaller <= 4:
        expected.add(''.join(digits))
  assert set(TRUTH.digits) == expected
  assert len(TRUTH.digits) == 3256


def test_costs_are_those_of_the_networks():
  rng = random.Random(os.environ['SEED'])
  number = min(30 * int(os.environ.get('ARCHITECTURES', '20')) // 20, 3256)
  macro.check(TRUTH, rng.sample(range(3256), number))


@pytest.mark.parametrize('name', ['macs', 'params'])
def test_a_row_of_other_costs_is_named(name):
  other = getattr(TRUTH, name).copy()
  other[7] += 1
  wrong = TRUTH._replace(**{name: other})
  refused(
    f"row 8 of the table, '{TRUTH.digits[7]}', has {other[7]} {name}; its "
    f'network has {other[7] - 1}',
    macro.check,
    wrong,
    range(20),
  )


@pytest.mark.parametrize('way', macro.WAYS)
def test_eight_different_networks_within_the_limit_are_looked_up(way):
  limit = float(np.quantile(TRUTH.macs, 0.5))
  score = TRUTH.scores['jigsaw']
  for seed in range(5):
    order = np.random.default_rng(seed).permutation(TRUTH.band(limit)).tolist()
    found = macro.WAYS[way](order, score)
    assert len(set(found)) == 8
    assert max(TRUTH.macs[found]) <= limit
    assert min(TRUTH.macs[found]) >= 0.9 * limit
    first = 2
    if way == 'random':
      assert found == order[:8]
      continue
    if way.startswith('stratified'):
      first = len(set(TRUTH.modules[order]))
      assert first > 2
      seen = {}
      for row in order:
        seen.setdefault(int(TRUTH.modules[row]), row)
      assert found[:first] == list(seen.values())
    for i in range(first, 8, 2):
      best = max(found[:i], key=lambda row: score[row])
      rest = [row for row in order if row not in found[:i]]
      near = [row for row in rest if _changes(best, row) <= 2]
      far = [row for row in rest if _changes(best, row) > 2]
      more = min(2, 8 - i)
      assert found[i : i + more] == (near + far)[:more]


def _changes(one, other):
  a, b = TRUTH.digits[one], TRUTH.digits[other]
  if len(a) != len(b):
    return 9
  return sum(x != y for x, y in zip(a, b, strict=True))


def test_stratified_finalists_are_better_than_random_ones():
  """Over 20 limits, by more than twice the error of the difference."""
  quantiles = np.linspace(0.1, 0.95, 20)
  ways = 'random', 'stratified, then near the best'
  one, other = (macro.regrets(way, 'jigsaw', quantiles) for way in ways)
  gap = one - other
  assert gap.mean() > 2 * gap.std(ddof=1) / len(gap) ** 0.5

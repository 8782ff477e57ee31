"""The table of true accuracies."""

import csv
import gzip

import numpy as np
import pytest

from benchmarks.truth import table
from nasjax import spaces
from nasjax.errors import InputError


@pytest.fixture(scope='module')
def rows():
  with gzip.open(table.PATH, 'rt', newline='') as file:
    return list(csv.DictReader(file))


@pytest.mark.parametrize('name', ['macs', 'params'])
def test_the_first_row_that_differs_is_named(rows, name):
  wrong = [dict(row) for row in rows]
  for i in (700, 6000):
    wrong[i][name] = str(int(wrong[i][name]) + 1)
  with pytest.raises(InputError, match=rf'row 701 .*{rows[700]["arch"]}'):
    table.read(spaces.nasbench_macro(), wrong)


def test_rows_out_of_order_or_missing_are_named(rows):
  with pytest.raises(InputError, match='6560 rows; nasbench_macro has 6561'):
    table.read(spaces.nasbench_macro(), rows[1:])
  with pytest.raises(InputError, match=r'row 1 .*00000001.*00000000'):
    table.read(spaces.nasbench_macro(), [rows[1], rows[0], *rows[2:]])


def test_a_regret_is_what_the_best_within_the_limit_has_more():
  truth = table.load()
  limits = {'macs': truth.quantile(0.5)}
  within = [
    (acc, i)
    for i, (acc, macs) in enumerate(
      zip(truth.accuracy, truth.costs['macs'], strict=True)
    )
    if macs <= limits['macs']
  ]
  best, row = max(within)
  assert len(within) == pytest.approx(6561 / 2, abs=2)
  assert truth.best(limits) == best
  assert truth.regret(row, limits) == 0
  assert truth.regret(0, limits) == best - truth.accuracy[0] > 40
  with pytest.raises(ValueError, match='the limit is'):
    truth.regret(6560, limits)


def test_two_limits_are_kept_and_one_has_to_be_used():
  truth = table.load()
  limits = {name: truth.quantile(0.4, name) for name in table.RESOURCES}
  kept = truth.keeping(limits, 0.9)
  shares = np.stack([truth.costs[n][kept] / v for n, v in limits.items()])
  assert 0 < len(kept) < len(truth.keeping(limits))
  assert (shares <= 1).all()
  assert (shares.max(0) >= 0.9).all()


def test_a_row_is_that_of_its_architecture():
  truth = table.load()
  for i in np.random.default_rng(0).integers(6561, size=20):
    assert truth.row(truth.architecture(int(i))) == i

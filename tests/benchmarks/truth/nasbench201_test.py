"""NAS-Bench-201's table."""

import time

import numpy as np
import pytest

from benchmarks.truth import nasbench201, table
from nasjax import cost, spaces
from nasjax.errors import InputError


def _read(rows):
  space = spaces.nasbench201()
  return table.read(space, rows, named='edges', tests=('c10_val200',))


@pytest.mark.parametrize('name', ['macs', 'params'])
def test_the_first_row_that_differs_is_named(name):
  wrong = [dict(row) for row in nasbench201.rows()]
  for i in (9000, 15000):
    wrong[i][name] = str(int(wrong[i][name]) - 1)
  edges = wrong[9000]['edges']
  with pytest.raises(InputError, match=rf"row 9001 of the table, '{edges}'"):
    _read(wrong)


def test_rows_out_of_order_or_missing_are_named():
  rows = nasbench201.rows()
  with pytest.raises(InputError, match='15624 rows; nasbench201 has 15625'):
    _read(rows[1:])
  with pytest.raises(InputError, match=r"row 1 .*'000001'.*'000000'"):
    _read([rows[1], rows[0], *rows[2:]])


def test_it_is_read_in_seconds():
  start = time.process_time()
  nasbench201.load.cache_clear()
  truth = nasbench201.load()
  assert time.process_time() - start < 10
  # The published maxima of these columns.
  assert truth.accuracy.max() == 91.57
  assert nasbench201.short().max() == 89.16
  assert nasbench201.PATH.stat().st_size < 250_000


def test_costs_of_many_networks_are_those_of_each():
  truth = nasbench201.load()
  own = cost.params(truth.space)
  for i in np.random.default_rng(0).integers(15625, size=20):
    a = truth.architecture(int(i))
    assert truth.row(a) == i
    assert truth.costs['params'][i] == own.exact(a)


def test_a_regret_may_be_under_a_latency():
  truth = nasbench201.load()
  limits = {'pixel3_ms': truth.quantile(0.3, 'pixel3_ms')}
  rows = truth.keeping(limits)
  assert len(rows) == pytest.approx(0.3 * 15625, rel=0.01)
  best = rows[truth.accuracy[rows].argmax()]
  assert truth.regret(int(best), limits) == 0


@pytest.mark.shared
def test_it_is_the_reference_but_for_the_order(shared):
  import csv

  path = shared / 'reference/groundtruth/nas_bench_201.csv'
  with path.open(newline='') as file:
    reference = {row['edges']: row for row in csv.DictReader(file)}
  for row in nasbench201.rows():
    assert row.items() <= reference[row['edges']].items()

"""What `make demo` left, where it has run: floors, limits, differences."""

import json
import pathlib

import pytest

from nasjax import cost, space

DEMO = pathlib.Path(__file__).resolve().parents[2] / 'runs/demo/compare'


@pytest.fixture(scope='module')
def rows():
  if not (DEMO / 'results.json').exists():
    pytest.skip('`make demo` has not run in this checkout')
  return json.loads((DEMO / 'results.json').read_text())


def test_every_network_reaches_75_percent_on_all_test_images(rows):
  assert len(rows) == 10
  for row in rows:
    assert row['test_images'] == 10_000
    assert row['test_accuracy'] >= 0.75, row['name']


def test_every_network_keeps_its_budget(rows):
  for row in rows:
    assert row['macs'] <= row['limit'], row['name']


def test_three_budgets_gave_three_networks_inside_the_space(rows):
  searched = [row['name'] for row in rows if row['kind'] == 'searched']
  found = [
    space.Architecture.load(DEMO / name / 'architecture.json')
    for name in searched
  ]
  assert len(set(found)) == 3
  macs = cost.macs(found[0].space)
  low, high = macs.bounds()
  limits = sorted(row['limit'] for row in rows if row['kind'] == 'searched')
  assert low < limits[0] < limits[-1] < high
  assert limits[2] == 2 * limits[1] == 4 * limits[0]

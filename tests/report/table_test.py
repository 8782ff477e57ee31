"""The table of a comparison holds the exact numbers."""

import re

import pytest

from nasjax import report
from tests.page_cases import has, numbers, tables
from tests.report.report_cases import ROWS, row


def test_table_has_the_exact_numbers_of_each_network():
  lines = report.comparison_table(ROWS).splitlines()
  for r in ROWS:
    (line,) = (x for x in lines if x.startswith(f'| {r["name"]} |'))
    cells = [c.strip() for c in line.strip('|').split('|')]
    assert cells[1] == r['kind']
    assert int(cells[2].replace(',', '')) == r['macs']
    assert int(cells[4].replace(',', '')) == r['params']
    if r['limit']:
      used = float(cells[3].split(' %')[0])
      assert used == pytest.approx(100 * r['macs'] / r['limit'], abs=0.05)
      assert ('(over)' in cells[3]) == (r['macs'] > r['limit'])
    if r['test_accuracy'] is None:
      assert cells[5] == 'not measured'
    else:
      assert float(cells[5]) == pytest.approx(100 * r['test_accuracy'])


def test_table_is_sorted_by_limit_kind_and_name():
  table = report.comparison_table(reversed(ROWS))
  first = re.findall(r'^\| (?!network)([\w ]+) \|', table, re.MULTILINE)
  assert first == ['r', 'a', 'b', 'too big', 'late', 'free']
  budgets = re.findall('^### (.*)$', table, re.MULTILINE)
  assert [numbers(title) for title in budgets] == [[1e6], [2e6], []]


def test_table_summarises_repeats_and_nothing_else():
  lines = report.comparison_table(ROWS).splitlines()
  (line,) = (x for x in lines if x.startswith('- '))
  assert 'searched' in line
  assert numbers(line) == [84.0, 1.41, 83.0, 85.0, 2]


def test_table_speaks_of_the_limited_resource():
  rows = [row('a', 'searched', 1, 0.5, 2e4, params=15_000)]
  table = report.comparison_table(rows, limited='params')
  (title,) = re.findall('^### (.*)$', table, re.MULTILINE)
  assert numbers(title) == [20_000]
  ((cells,),) = tables(table)
  assert cells[:2] == ['a', 'searched']
  assert has(cells[3], [75.0])


def test_table_survives_a_bar_in_a_name():
  rows = [row('a|b', 'searched', 1, 0.5, None)]
  assert r'| a\|b | searched |' in report.comparison_table(rows)

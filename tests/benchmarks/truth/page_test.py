"""What `results/truth.md` prints is what the oracle computes."""

import csv
import pathlib
import re

import pytest

from benchmarks.truth import floors, macro, oracle, report, table

RESULTS = pathlib.Path(__file__).resolve().parents[3] / 'results'
COLUMNS = 'fill 0', 'fill 0.9', 'fill 0.98', 'of 8', 'worst'


@pytest.fixture(scope='module')
def rows():
  with (RESULTS / 'truth' / 'oracle.csv').open(newline='') as file:
    return list(csv.DictReader(file))


def _number(row):
  return f'{float(row["number"]):.3g}' if row['number'] else 'none'


@pytest.mark.parametrize('name', ['truth.md', 'constraints.md'])
def test_the_pages_have_the_numbers_of_the_csv(name, rows):
  page = (RESULTS / name).read_text()
  shown = re.findall(r'^\| `(\w+)` \| (\S+) \| `(\w+)` \| (.*) \|$', page, re.M)
  assert len(shown) >= 8
  known = {
    (row['form'], _number(row), row['relaxation']): [
      f'{float(row[name]):.2f}' for name in COLUMNS
    ]
    for row in rows
  }
  for form, number, relaxation, cells in shown:
    numbers = cells.split(' | ')[: len(COLUMNS)]
    assert numbers == known[form, number, relaxation], (form, number)


def test_every_case_is_there(rows):
  cases = {(c.form, c.number, c.relaxation) for c in oracle.cases()}
  assert len(rows) == len(cases)
  for row in rows:
    number = float(row['number']) if row['number'] else None
    assert any(
      (row['form'], row['relaxation']) == (form, relaxation)
      and (number == case or abs(number / case - 1) < 1e-5)
      for form, case, relaxation in cases
    ), row


def test_the_page_has_the_table_of_ranks():
  with (RESULTS / 'truth' / 'ranks.csv').open(newline='') as file:
    ranks = list(csv.DictReader(file))
  assert report.rank_table(ranks) in (RESULTS / 'truth.md').read_text()


def test_the_page_has_the_table_of_searches():
  with (RESULTS / 'truth' / 'searches.csv').open(newline='') as file:
    searches = list(csv.DictReader(file))
  assert report.search_table(searches) in (RESULTS / 'truth.md').read_text()
  # Each regret is that of the kept row.
  truth = table.load()
  for row in searches:
    limits = {'macs': truth.quantile(float(row['quantile']))}
    own = truth.regret(int(row['row']), limits)
    assert float(row['regret']) == pytest.approx(own, abs=1e-4)
    looked_up = [int(i) for i in row['finalists'].split()]
    best = truth.regret(truth.chosen(looked_up), limits)
    assert float(row['regret_of_8']) == pytest.approx(best, abs=1e-4)


def test_the_readme_has_the_regrets_of_the_page():
  with (RESULTS / 'truth' / 'searches.csv').open(newline='') as file:
    searches = list(csv.DictReader(file))
  readme = ' '.join((RESULTS.parent / 'README.md').read_text().split())
  said = (
    r'finds is ([\d.]+) points .* and ([\d.]+) with eight finalists; random '
  )
  said += r'networks are ([\d.]+) below, and the best of eight ([\d.]+)\.'
  numbers = re.search(said, readme).groups()
  for method, own in ('contributions', numbers[:2]), ('random', numbers[2:]):
    rows = [row for row in searches if row['method'] == method]
    for key, number in zip(('regret', 'regret_of_8'), own, strict=True):
      means = report.by_seed(rows, key).values()
      assert f'{sum(means) / len(means):.2f}' == number


def test_the_page_says_how_much_of_a_limit_the_peer_uses():
  with (RESULTS / 'truth' / 'searches.csv').open(newline='') as file:
    peers = [row for row in csv.DictReader(file) if row['method'] == 'peer']
  truth, low = table.load(), 0
  for row in peers:
    limit = truth.quantile(float(row['quantile']))
    low += truth.costs['macs'][int(row['row'])] < 0.9 * limit
  said = f'in {low / len(peers):.0%} of its {len(peers)} cases'.replace(
    '%', ' %'
  )
  assert said in (RESULTS / 'truth.md').read_text()


def test_the_page_has_what_can_be_reached():
  assert floors.report() in (RESULTS / 'truth.md').read_text()


@pytest.mark.slow
def test_the_page_has_the_table_of_macro_choices():
  assert macro.report() in (RESULTS / 'truth.md').read_text()


@pytest.mark.slow
def test_a_row_is_what_is_computed_now(rows):
  each = oracle.limits(oracle.BUDGETS)
  alphas = oracle.optimised(oracle.Case('hinge', 9.0), each)
  found = oracle.judged(alphas, each, 'softmax')
  (kept,) = (
    row
    for row in rows
    if (row['form'], row['number'], row['relaxation'])
    == ('hinge', '9', 'softmax')
  )
  # Rounding on another processor may change which of two equal ones is derived.
  for name in ('fill 0.9', 'of 8', 'expected / limit'):
    assert found[name] == pytest.approx(float(kept[name]), abs=0.02), name

"""Tables of searches and of ranks, from rows that were kept."""

import csv
import json
import math

import numpy as np
import pytest

from benchmarks.truth import proxy, rank, report, search, table
from nasjax.report import intervals
from tests.conftest import refused

QUANTILES = 0.2, 0.4


def _case(method, quantile, seed, *, resources='macs', steps=None):
  recipe = '' if steps is None else f', {proxy.Recipe(steps=steps)}'
  return f'{method}, {resources} {quantile}, seed {seed}{recipe}'


def _row(case, regret, of_8=0.0):
  return {
    'case': case,
    'regret': regret,
    'regret_of_8': of_8,
    'regret_of_first_8': of_8,
    'seconds': 10.0,
    'row': 7,
    'finalists': [7, 8],
  }


def _kept():
  rows = []
  for seed in range(3):
    for q in QUANTILES:
      ours = 0.1 * seed + q
      rows.append(_row(_case('contributions', q, seed, steps=24000), ours))
      rows.append(_row(_case('noise', q, seed), ours + 1 + 0.1 * seed))
  return rows


def test_rows_say_which_search_they_are_of():
  kept = _kept()
  kept.append(
    _row(_case('regression', 0.2, 4, resources='macs+params', steps=1500), 1.0)
  )
  kept.append(_row(_case('noise', 0.9, 0), 1.0))
  rows = report.searched(kept, QUANTILES)
  assert len(rows) == len(kept) - 1
  (other,) = (r for r in rows if r['method'] == 'regression')
  assert (other['resources'], other['seed'], other['steps']) == (
    'macs+params',
    4,
    '1500',
  )
  assert {r['steps'] for r in rows if r['method'] == 'noise'} == {''}


def test_cases_of_a_search_are_read_as_they_are_written(tmp_path):
  limits = {'macs': table.load().quantile(0.2)}
  rows = search.run(
    tmp_path, '', proxy.Recipe(), ['noise', 'depth'], [0.2], [3]
  )
  kept = report.read(tmp_path / 'searches.jsonl')
  found = report.searched(kept, [0.2])
  assert [r['method'] for r in found] == ['depth', 'noise']
  for row in found:
    assert row['seed'] == 3
    assert row['regret'] == table.load().regret(row['row'], limits)
  assert {r['regret'] for r in found} == {r['regret'] for r in rows}


def test_a_seed_is_the_mean_of_its_limits_and_counts_when_it_has_all():
  rows = report.searched(_kept(), QUANTILES)
  ours = [r for r in rows if r['method'] == 'contributions']
  means = report.by_seed(ours, 'regret')
  assert means == pytest.approx({0: 0.3, 1: 0.4, 2: 0.5})
  assert set(report.by_seed(ours[:-1], 'regret')) == {0, 1}


def test_differences_are_paired_by_seed():
  rows = report.searched(_kept(), QUANTILES)
  text = report.search_table(rows)
  lines = [line for line in text.split('\n') if line.startswith('| `')]
  assert [line.split('`')[1] for line in lines] == ['contributions', 'noise']
  paired = intervals.mean_interval([1.0, 1.1, 1.2])
  cells = [cell.strip() for cell in lines[1].split('|')]
  assert (
    cells[4] == f'{paired.mean:+.2f} ({paired.low:+.2f} to {paired.high:+.2f})'
  )
  own = intervals.mean_interval([0.3, 0.4, 0.5])
  assert lines[0].split('|')[3].strip() == (
    f'{own.mean:.2f} ({own.low:.2f} to {own.high:.2f})'
  )
  assert not math.isnan(paired.low)


def test_a_csv_has_the_rows(tmp_path):
  rows = report.searched(_kept(), QUANTILES)
  path = tmp_path / 'searches.csv'
  report.write(path, report.SEARCH_COLUMNS, rows)
  with path.open(newline='') as file:
    again = list(csv.DictReader(file))
  assert report.search_table(again) == report.search_table(rows)


def _ranked(noise, draw, steps):
  truth, rng = table.load(), np.random.default_rng(0)
  losses = {
    name: -truth.accuracy[rows] + noise * rng.normal(size=len(rows))
    for name, rows in rank.networks().items()
  }
  return {
    'case': f'{draw} {steps}',
    'draw': draw,
    'steps': steps,
    'seed': 0,
    'taus': rank.taus(losses),
    **rank.gates_of(losses),
    'seconds': 3.0,
    'losses': {name: x.tolist() for name, x in losses.items()},
  }


def test_taus_have_an_interval_of_the_networks(tmp_path, monkeypatch):
  monkeypatch.setattr(report, 'RESAMPLES', 60)
  kept = [_ranked(1.0, 'uniform', 1500), _ranked(0.3, 'uniform', 6000)]
  worse, better = report.ranked(kept)
  for row in worse, better:
    assert row['low'] < row['raw bands'] < row['high']
    assert 0.02 < row['high'] - row['low'] < 0.2
  assert worse['high'] < better['low']
  text = report.rank_table([worse, better])
  assert text.count('\n') == 5  # Two of a head, two rows, two trivial rankers.
  for name, whole, bands in report.trivial():
    assert f'| {name} alone | | | {whole:.2f} | {bands:.2f} |' in text
  report.rank_figure([worse, better], tmp_path / 'ranks.png')
  report.search_figure(
    report.searched(_kept(), QUANTILES), tmp_path / 's.png', ['contributions']
  )
  assert (tmp_path / 'ranks.png').stat().st_size > 5000
  assert (tmp_path / 's.png').stat().st_size > 5000


def test_without_rows_or_with_others_there_is_one_line(tmp_path):
  refused('does not exist', report.read, tmp_path / 'searches.jsonl')
  path = tmp_path / 'ranks.jsonl'
  path.write_text(json.dumps({'case': 'x'}) + '\n')
  refused("'x' is no search", report.searched, report.read(path), [0.2])

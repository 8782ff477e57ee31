"""What is published in `results/` agrees with itself, and with the code."""

import csv
import pathlib
import re
import statistics

import pytest

from benchmarks import constraints
from experiments import search
from experiments.sweep import comparisons, kept, ranks, results
from experiments.sweep import page as page_lib
from nasjax import cost, report, space
from nasjax.report import intervals
from tests.page_cases import has, numbers, tables

ROOT = pathlib.Path(__file__).resolve().parents[2] / 'results'
SWEEPS = sorted(path.parent for path in ROOT.glob('*/results.csv'))
assert SWEEPS


def _rows(folder):
  with (folder / 'results.csv').open() as file:
    return list(csv.DictReader(file))


def _report(folder):
  return (folder / 'report.md').read_text()


@pytest.fixture(scope='module', params=SWEEPS, ids=lambda path: path.name)
def study(request, tmp_path_factory):
  """A folder, its architectures as files, and what they say together."""
  folder = request.param
  files = tmp_path_factory.mktemp(folder.name) / 'architectures'
  paths = kept.extract(folder / 'architectures.json', files)
  return folder, paths, kept.read(folder, paths)


@pytest.mark.quick_every(6)
def test_every_network_is_kept_and_keeps_its_budget(study):
  folder, paths, _ = study
  rows = _rows(folder)
  assert {row['trained_as'] for row in rows} == set(paths)
  for name, path in paths.items():
    a, record = space.Architecture.load(path), space.read_record(path)
    network = space.fix(a.space, a)
    assert cost.macs(network).constant == record['macs']
    # What was the likeliest of all may cost more; that is what it is for.
    assert record['kind'] == 'argmax' or record['macs'] <= record['budget']
    assert cost.params(network).constant == record['params']
    own = [row for row in rows if row['trained_as'] == name]
    assert {int(row['macs']) for row in own} == {record['macs']}
    tests = {row['seed']: float(row['test_accuracy']) for row in own}
    assert sorted(tests.values()) == sorted(record['test_accuracies'])


def test_the_page_has_the_numbers_of_every_comparison(study):
  folder, _, (_, levels, found, *_) = study
  own = comparisons.comparisons(levels, found)
  assert len(own) >= len(levels)
  lines = _report(folder).split('\n')
  said = [line[2:] for line in lines if line.startswith('- ')]
  # In their order, each in a line of its level.
  place = [line.startswith(own[0].level.name) for line in said].index(True)
  for one, line in zip(own, said[place : place + len(own)], strict=True):
    d = one.difference
    assert line.startswith(one.level.name)
    shares = [100 * x for x in (d.mean, d.low, d.high)]
    assert has(line, [*shares, 100 * d.mean / d.base, 100 * d.base]), line
    assert has(line, [*d.n, *map(round, one.macs)]), line


def test_the_page_has_a_table_of_every_group(study):
  folder, _, (_, levels, found, *_) = study
  groups = results.groups(levels, found)
  rows = [list(page_lib.row(group)) for group in groups]
  assert [rows] == [t for t in tables(_report(folder)) if t[:1] == rows[:1]]


@pytest.mark.parametrize('folder', SWEEPS, ids=lambda path: path.name)
def test_what_is_kept_is_what_the_page_needs(folder):
  shown = re.findall(r'\]\((.*?)\)', _report(folder))
  assert shown == ['macs.png', 'differences.png']
  made_again = {'report.html', 'architectures'}
  there = {path.name for path in folder.iterdir()} - made_again
  assert there == {'report.md', 'results.csv', 'architectures.json', *shown}


def test_ranks_are_of_what_keeps_the_limit_of_the_middle_level(study):
  folder, _, (_, _, scored, inherited, _) = study
  seen, text = {}, _report(folder)
  for row in _rows(folder):
    # Of published networks the supernet has no part.
    if row['supernet_accuracy'] and row['kind'] != 'argmax':
      key = row['level'], row['trained_as']
      seen.setdefault(key, []).append(row)
  # The level in the middle is the one of which a search is looked at.
  levels = list(dict.fromkeys(row['level'] for row in _rows(folder)))
  level = levels[len(levels) // 2]
  own = [rows for key, rows in seen.items() if key[0] == level]
  lines = text.split('\n')
  assert any(numbers(line)[:1] == [len(own)] for line in lines)
  for kinds in (None, ('random', 'hand-made')):
    pairs = [
      (
        float(rows[0]['supernet_accuracy']),
        statistics.mean(float(row['test_accuracy']) for row in rows),
      )
      for rows in own
      if kinds is None or rows[0]['kind'] in kinds
    ]
    found = intervals.spearman(*zip(*pairs, strict=True))
    wanted = found.rho, found.low, found.high
    assert any(has(line, wanted) for line in lines)
    drawn = ranks.of(scored, inherited, '')
    assert found == (drawn.unchosen if kinds else drawn.correlation)


def test_what_two_sweeps_of_cifar10_show_together():
  rows = [
    [row for row in _rows(ROOT / name) if row['level'] == '2.00M']
    for name in ('cifar10', 'cifar10_again')
  ]

  def tests(**wanted):
    """Of each network of each sweep, all trainings."""
    found = {}
    for sweep, each in enumerate(rows):
      for row in each:
        if wanted.items() <= row.items():
          own = found.setdefault((sweep, row['trained_as']), [])
          own.append(float(row['test_accuracy']))
    return list(found.values())

  searched = [statistics.mean(own) for own in tests(kind='searched')]
  text = (ROOT / 'search.md').read_text()
  for kind in ('random', 'control'):
    others = [statistics.mean(own) for own in tests(kind=kind)]
    d = intervals.welch(searched, others)
    assert has(text, [100 * x for x in (d.mean, d.low, d.high)])
  for name in ('hand_late_2.00M', 'mobilenet_v3_small_4px_2.00M'):
    others = [test for own in tests(name=name) for test in own]
    assert len(others) == 4
    d = intervals.welch(searched, others)
    assert has(text, [100 * d.mean])
    assert has(text, [100 * x for x in (d.low, d.high)])


def test_the_table_of_constraints_follows_from_its_searches():
  rows = constraints.read(ROOT / 'constraints.csv')
  page = (ROOT / 'constraints.md').read_text()
  default = search.OPTIONS['constraint'][0]
  for table in (
    constraints.table(rows),
    constraints.by_limit(rows),
    constraints.against(rows, default),
  ):
    assert table in page
  assert has(page, [constraints.distinct(rows), len(rows)])
  assert has(page, [constraints.chance(rows)])


def test_the_page_says_of_forms_of_constraint_what_its_tables_show():
  rows = constraints.read(ROOT / 'constraints.csv')
  default = search.OPTIONS['constraint'][0]
  table = constraints.against(rows, default).split('\n')[2:]
  above = []
  for line in table:
    form, _, interval = (cell.strip() for cell in line.split('|')[1:-1])
    if float(interval.split(' to ')[0]) > 0:
      above.append(form)
  page = (ROOT / 'constraints.md').read_text()
  paragraphs = re.split(r'\n\n|\n- ', page)
  chance = constraints.chance(rows)
  (own,) = (
    text
    for text in paragraphs
    if 'F-test' in text and all(form in text for form in (*above, default))
  )
  assert has(own, [chance])
  assert f'{"two" if len(above) == 2 else len(above)} of twelve' in own


def test_the_readme_has_the_numbers_of_the_pages(tmp_path):
  """Of each sweep: searched networks, and what they are ahead of four others.

  The others are random ones, the control, the best hand-made and the best
  published network.
  """
  text = (ROOT.parent / 'README.md').read_text()
  rows = [row for t in tables(text) for row in t if '/report.md)' in row[0]]
  assert len(rows) == 4
  for label, searched, *cells in rows:
    number, page = re.fullmatch(r'\[.+, (\S+) M\]\((\S+)\)', label).groups()
    name = report.si(1e6 * float(number))
    folder = (ROOT.parent / page).parent
    paths = kept.extract(folder / 'architectures.json', tmp_path / folder.name)
    _, levels, found, *_ = kept.read(folder, paths)
    group, *_ = (
      group
      for group in results.groups(levels, found)
      if (group.level.name, group.kind) == (name, 'searched')
    )
    assert has(searched, [100 * group.interval.mean])
    # Their order: random, argmax, control, the best of each other kind.
    random, _, control, published, hand_made, _ = (
      one.difference
      for one in comparisons.comparisons(levels, found)
      if one.level.name == name and one.kind == 'searched'
    )
    ahead = random, control, hand_made, published
    for cell, d in zip(cells, ahead, strict=True):
      assert has(cell, [100 * x for x in (d.mean, d.low, d.high)])

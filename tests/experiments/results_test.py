"""What is published in `results/` agrees with itself, and with the code."""

import csv
import pathlib
import re
import statistics

import pytest

from benchmarks import constraints
from experiments import search
from experiments.sweep import kept, ranks, results
from experiments.sweep import page as page_lib
from nasjax import cost, report, space
from nasjax.report import intervals

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


def test_the_page_says_what_follows_from_the_trainings(study):
  folder, _, (_, levels, found, *_) = study
  lines = _report(folder).split('\n')
  shown = lines[lines.index('## What it shows') : lines.index('## Accuracy')]
  said = [line[2:] for line in shown if line.startswith('- ')]
  own = results.comparisons(levels, found)
  assert said == [results.verdict(one) for one in own]
  (place,) = (i for i, line in enumerate(lines) if '| test (%) |' in line)
  groups = results.groups(levels, found)
  table = lines[place + 2 : place + 2 + len(groups)]
  assert table == [f'| {" | ".join(page_lib.row(g))} |' for g in groups]
  assert not lines[place + 2 + len(groups)]


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
  count, level = re.search(
    r'^(\d+) networks of the space.* of the search (\S+)_seed', text, re.M
  ).groups()
  own = [rows for key, rows in seen.items() if key[0] == level]
  assert len(own) == int(count)
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
    assert f'Spearman {found.rho:+.2f}, 95 % interval {found.low:+.2f}' in text
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
  text = ' '.join((ROOT / 'search.md').read_text().split())
  for kind, form in (
    ('random', '{} points better than random networks ({} to {})'),
    ('control', 'by {}, which is not shown ({} to {})'),
  ):
    others = [statistics.mean(own) for own in tests(kind=kind)]
    assert _said(searched, others, form) in text
  for name, form in (
    ('hand_late_2.00M', '{} than `hand_late` ({} to {})'),
    ('mobilenet_v3_small_4px_2.00M', '{} than MobileNetV3-Small'),
    ('mobilenet_v3_small_4px_2.00M', 'chose both times ({1} to {2}'),
  ):
    others = [test for own in tests(name=name) for test in own]
    assert len(others) == 4
    assert _said(searched, others, form) in text


def _said(these, others, form):
  d = intervals.welch(these, others)
  return form.format(*(f'{100 * x:.2f}' for x in (d.mean, d.low, d.high)))


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
  assert f'{constraints.distinct(rows)} of {len(rows)} searches came' in page
  assert f'by form: p = {constraints.chance(rows):.2f}' in page


def test_the_readme_says_of_forms_of_constraint_what_their_page_shows():
  rows = constraints.read(ROOT / 'constraints.csv')
  default = search.OPTIONS['constraint'][0]
  table = constraints.against(rows, default).split('\n')[2:]
  above = []
  for line in table:
    form, _, interval = (cell.strip() for cell in line.split('|')[1:-1])
    if float(interval.split(' to ')[0]) > 0:
      above.append(form)
  text = ' '.join((ROOT.parent / 'README.md').read_text().split())
  (number, said) = re.search(
    r'\(p = ([\d.]+), an F-test over all forms\); the 95 % intervals of (.+?) '
    rf'lie above `{default}`',
    text,
  ).groups()
  assert number == f'{constraints.chance(rows):.2f}'
  assert said == f'{len(above)}, {" and ".join(above)},'


# Columns of its table, in words of the pages.
COLUMNS = 'random ones', '(control)', '(best hand-made)', '(best zoo)'


def test_the_readme_says_what_the_pages_say():
  text = (ROOT.parent / 'README.md').read_text()
  rows = [line for line in text.split('\n') if '/report.md) |' in line]
  assert len(rows) == 4
  for row in rows:
    label, searched, *cells = (cell.strip() for cell in row.split('|')[1:-1])
    number, page = re.fullmatch(r'\[.+, (\S+) M\]\((\S+)\)', label).groups()
    level = report.si(1e6 * float(number))
    content = (ROOT.parent / page).read_text().split('\n')
    mean = searched.removesuffix(' %')
    own = [line for line in content if line.startswith(f'| {level} | searched')]
    assert [f'| {mean} |' in line for line in own] == [True]
    assert len(cells) == len(COLUMNS)
    for cell, what in zip(cells, COLUMNS, strict=True):
      numbers = re.fullmatch(r'(\S+) \((\S+) to (\S+)\)', cell).groups()
      said = '{} points, 95 % interval {} to {};'.format(*numbers)
      start = f'- {level}: '
      own = [x for x in content if x.startswith(start) and what in x]
      own = [x for x in own if ' searched networks ' in x]
      assert [said in line for line in own] == [True]

"""What is published in `results/` agrees with itself, and with the code."""

import collections
import csv
import pathlib
import re
import statistics

import pytest

from nasjax import cost, space

ROOT = pathlib.Path(__file__).resolve().parents[1] / 'results'
SWEEPS = sorted(path.parent for path in ROOT.glob('*/results.csv'))
assert SWEEPS


def _rows(folder):
  with (folder / 'results.csv').open() as file:
    return list(csv.DictReader(file))


def _report(folder):
  return (folder / 'report.md').read_text()


@pytest.mark.parametrize('folder', SWEEPS, ids=lambda path: path.name)
def test_every_network_has_its_file_and_keeps_its_budget(folder):
  rows = _rows(folder)
  assert {row['trained_as'] for row in rows} == {
    path.stem for path in (folder / 'architectures').glob('*.json')
  }
  for name in {row['trained_as'] for row in rows}:
    path = folder / 'architectures' / f'{name}.json'
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


@pytest.mark.parametrize('folder', SWEEPS, ids=lambda path: path.name)
def test_the_means_of_the_page_are_those_of_the_table(folder):
  groups = collections.defaultdict(lambda: collections.defaultdict(list))
  for row in _rows(folder):
    if row['kind'] in ('searched', 'argmax', 'random'):
      own = groups[row['level'], row['kind']]
      own[row['trained_as']].append(float(row['test_accuracy']))
  lines = [
    line.strip('| ').split(' | ') for line in _report(folder).split('\n')
  ]
  head = next(line for line in lines if 'test (%)' in line)
  place = head.index('test (%)')
  for (level, kind), units in groups.items():
    mean = statistics.fmean(map(statistics.fmean, units.values()))
    (line,) = [cells for cells in lines if cells[:3] == [level, kind, kind]]
    assert line[place] == f'{100 * mean:.2f}'


@pytest.mark.parametrize('folder', SWEEPS, ids=lambda path: path.name)
def test_the_page_shows_figures_that_are_there(folder):
  text = _report(folder)
  shown = [part.split(')')[0] for part in text.split('](')[1:]]
  assert {'macs.png', 'differences.png', 'architectures.png'} <= set(shown)
  assert all((folder / name).exists() for name in shown)


def test_the_readme_says_what_the_pages_say():
  text = (ROOT.parent / 'README.md').read_text()
  rows = re.findall(
    r'^\| \[.+?\]\((results/\S+)\) \| (\S+) % \|(.+)$', text, re.M
  )
  assert rows
  for page, searched, rest in rows:
    content = (ROOT.parent / page).read_text()
    assert f'| {searched} |' in content
    found = re.findall(r'(\S+) \((\S+) to (\S+)\)', rest)
    assert len(found) == 3
    for mean, low, high in found:
      assert f'{mean} points, 95 % interval {low} to {high};' in content

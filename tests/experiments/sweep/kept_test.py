"""The kept files of a study are enough to build the others again."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from experiments.sweep import kept, page
from nasjax import space
from nasjax.report import document, reading
from tests.conftest import refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
KEPT = 'report.md', 'results.csv', 'architectures.json'
NAME = 'searched_2.00M_seed10'


@pytest.fixture
def folder(tmp_path):
  own = tmp_path / 'study'
  own.mkdir()
  for name in KEPT:
    shutil.copy(ROOT / 'results/cifar10_again' / name, own)
  return own


@pytest.mark.slow
def test_a_report_is_made_again_with_all_of_its_figures(folder):
  assert kept.restore(folder) == [
    folder / 'report.html',
    folder / 'architectures',
  ]
  html = (folder / 'report.html').read_text()
  assert html.count('data:image/png;base64,') == 5
  assert 'In <code>report.html</code>' not in html
  a = space.Architecture.load(folder / f'architectures/{NAME}.json')
  record = space.read_record(folder / f'architectures/{NAME}.json')
  assert record['name'] == NAME
  # It can be written as one that was never part of a study.
  a.save(folder / 'again.json')
  assert space.Architecture.load(folder / 'again.json') == a
  # Made again, it is the same, and no file of an architecture is touched.
  before = [
    (p, p.stat().st_mtime_ns) for p in (folder / 'architectures').iterdir()
  ]
  assert len(before) == 25
  kept.restore(folder)
  assert (folder / 'report.html').read_text() == html
  assert all(p.stat().st_mtime_ns == t for p, t in before)


@pytest.mark.parametrize('resource', ['macs', 'params'])
def test_the_short_page_becomes_the_whole_one(resource):
  path = ROOT / 'results/cifar10_again/report.md'
  whole = page.whole(reading.blocks(path.read_text()))
  short = document.markdown(page.short(whole, resource))
  assert short.count('](') == 2
  assert f']({resource}.png)' in short
  assert page.whole(reading.blocks(short)) == whole


def test_what_is_packed_is_unpacked(folder, tmp_path):
  first = kept.extract(folder / 'architectures.json', tmp_path / 'first')
  contents = {name: space.read_record(path) for name, path in first.items()}
  kept.write_architectures(tmp_path / 'all.json', contents)
  packed = (tmp_path / 'all.json').read_bytes()
  assert packed == (folder / 'architectures.json').read_bytes()
  # A line for each, so that a change of one shows as such.
  assert packed.count(b'\n') == len(contents) + 2


def _rename(text):
  return text.replace(f'"{NAME}"', '"../../secret"', 1)


@pytest.mark.parametrize(
  ('name', 'edit', 'message'),
  [
    ('architectures.json', _rename, "architecture '../../secret'; a name must"),
    ('architectures.json', lambda t: t[:999], 'architectures.json'),
    ('architectures.json', lambda t: '[]', 'must be a JSON object'),
    ('architectures.json', lambda t: '{}', 'csv has a network .*json lacks'),
    (
      'architectures.json',
      lambda t: json.dumps({**json.loads(t), NAME: {}}),
      f'{NAME}.json is no architecture file',
    ),
    ('results.csv', lambda t: '', 'results.csv has no rows'),
    ('results.csv', lambda t: t.replace('macs', 'flops', 1), "no 'macs'"),
    (
      'results.csv',
      lambda t: t.replace('searched,', 'found,', 1),
      "'found' and must be one of searched",
    ),
    (
      'results.csv',
      lambda t: t.replace(',0.', ',7.', 1),
      "'valid_accuracy', which is 7.* from 0 to 1",
    ),
    ('results.csv', lambda t: t[: t.rindex(',', 0, -9)], 'which is None'),
    ('report.md', lambda t: '# A page\n', 'neither macs.png nor params.png'),
  ],
)
def test_damage_is_one_line_and_no_report_is_written(
  folder, name, edit, message
):
  path = folder / name
  path.write_text(edit(path.read_text()))
  refused(message, kept.restore, folder)
  assert not (folder / 'report.html').exists()
  assert not (folder.parent / 'secret.json').exists()


@pytest.mark.parametrize('name', KEPT)
def test_a_missing_file_is_named(folder, name):
  (folder / name).unlink()
  refused(name, kept.restore, folder)


def test_a_file_of_the_same_name_is_not_overwritten(folder):
  (folder / 'architectures').mkdir()
  own = folder / f'architectures/{NAME}.json'
  own.write_text('{"mine": 1}')
  refused('differs from .*move it away', kept.restore, folder)
  assert own.read_text() == '{"mine": 1}'
  assert list((folder / 'architectures').iterdir()) == [own]


@pytest.mark.quick_every(4)
@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    ([], 'missing --workdir'),
    (['--report=nowhere'], 'nowhere/architectures.json'),
    (['--report=nowhere', '--workdir=runs/x'], '--workdir has no effect'),
    (['--report=nowhere', '--epochs=3'], '--epochs has no effect'),
  ],
)
def test_flags_that_do_not_go_together_are_one_line(tmp_path, flags, message):
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.sweep', *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert (done.returncode, done.stdout) == (1, '')
  assert done.stderr.startswith('error: ')
  assert message in done.stderr
  assert done.stderr.count('\n') == 1

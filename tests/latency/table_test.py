"""The file of a latency table: what is written is read, and nothing else."""

import dataclasses
import json

import pytest

from nasjax import latency, space, spaces
from tests.conftest import refused

FULL = latency.LatencyTable(
  'tiny',
  {'a-input:8x8x3': 0.1, 'b, "é"': 3, 'c': 0.0},
  image_size=28,
  num_classes=10,
  dtype='int8',
  runtime='litert',
  version='2.3.0',
  delegate='xnnpack',
  threads=1,
  device='Pixel 3',
  date='2026-11-28',
  statistic='median of minima',
  spread=0.002,
  scale=1.07,
  error=0.024,
  error_of='leave-one-out',
)
LEAST = latency.LatencyTable('tiny', {'fixed': 1.5}, 'choices')


@pytest.mark.parametrize('table', [FULL, LEAST], ids=['full', 'least'])
def test_a_table_is_read_as_it_was_written(tmp_path, table):
  path = tmp_path / 'table.json'
  path.write_text('what was there')
  table.save(path)
  assert latency.LatencyTable.load(path) == table
  assert [p.name for p in tmp_path.iterdir()] == ['table.json']
  for field in dataclasses.fields(table):
    assert field.name in json.loads(path.read_text())


def test_a_table_does_not_change_with_what_it_was_made_from():
  entries = {'a': 1.0}
  table = latency.LatencyTable('tiny', entries)
  entries['a'] = 2.0
  assert table.entries == {'a': 1.0}


def test_a_cut_file_is_refused_wherever_it_ends(tmp_path):
  path, cut = tmp_path / 'table.json', tmp_path / 'cut.json'
  FULL.save(path)
  content = path.read_bytes()
  whole = len(content.rstrip()) - 1
  for end in [*range(0, whole, 7), whole]:
    cut.write_bytes(content[:end])
    refused(f'{cut} is (truncated or )?no', latency.LatencyTable.load, cut)


_WRONG_MS = ['NaN', 'Infinity', '-Infinity', '-0.1', '"1.5"', 'true', 'null']
_WRONG_MS += ['1e999', '[1]', '1e10']


@pytest.mark.parametrize('ms', _WRONG_MS)
def test_a_time_that_is_none_is_refused_by_its_key(tmp_path, ms):
  path = tmp_path / 'table.json'
  LEAST.save(path)
  path.write_text(path.read_text().replace('1.5', ms))
  refused(f'{path}.*(fixed|{ms})', latency.LatencyTable.load, path)


@pytest.mark.parametrize(
  ('field', 'value'),
  [
    ('space', None),
    ('kind', 'layers'),
    ('kind', ['blocks']),
    ('image_size', 0),
    ('image_size', 28.0),
    ('num_classes', True),
    ('threads', 2**40),
    ('dtype', 8),
    ('device', ['Pixel']),
    ('date', '28.11.2026'),
    ('spread', -0.1),
    ('scale', 0),
    ('scale', None),
    ('error', '2 %'),
    ('entries', {}),
    ('entries', [1.0]),
  ],
)
def test_a_field_of_another_type_is_refused_by_its_name(tmp_path, field, value):
  path = tmp_path / 'table.json'
  FULL.save(path)
  document = json.loads(path.read_text()) | {field: value}
  path.write_text(json.dumps(document))
  refused(f'table {path}: {field} is', latency.LatencyTable.load, path)


def test_fields_of_another_version_are_refused(tmp_path):
  path = tmp_path / 'table.json'
  FULL.save(path)
  document = json.loads(path.read_text())
  for change, said in (
    ({'latency_table': 2}, 'format 2; this version of nasjax reads 1'),
    ({'latency_table': True}, 'format True'),
    ({'unit': 's'}, 'unknown unit'),
  ):
    path.write_text(json.dumps(document | change))
    refused(said, latency.LatencyTable.load, path)
  del document['scale'], document['threads']
  path.write_text(json.dumps(document))
  refused('lacks scale, threads', latency.LatencyTable.load, path)


def test_a_key_that_stands_twice_is_refused(tmp_path):
  path = tmp_path / 'table.json'
  LEAST.save(path)
  text = path.read_text().replace('"fixed": 1.5', '"fixed": 1.5, "fixed": 2')
  path.write_text(text)
  refused("'fixed' twice", latency.LatencyTable.load, path)


def test_files_of_something_else_are_refused(tmp_path):
  path = tmp_path / 'a.json'
  space.Architecture.from_indices(spaces.tiny(), (0, 0, 0)).save(path)
  refused('no latency table', latency.LatencyTable.load, path)
  path.write_text('[1]')
  refused('no latency table', latency.LatencyTable.load, path)
  path.write_bytes(b'\xff\xfe')
  refused('no JSON', latency.LatencyTable.load, path)
  refused('No such file', latency.LatencyTable.load, tmp_path / 'none.json')
  refused('directory', latency.LatencyTable.load, tmp_path)

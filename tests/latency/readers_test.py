"""Tables of others: read strictly, or refused with the line."""

import pytest

from nasjax import latency, spaces
from tests.conftest import refused

YAML = """\
Conv-input:8x8x3-output:4x4x8:
  count: 9
  mean: 0.25
  var: 1.0e-3
Logits-input:4x4x8-output:10:
  mean: 1.5e-1
"""


def test_a_yaml_of_means_is_read(tmp_path):
  path = tmp_path / 'a.yaml'
  path.write_text(YAML)
  assert latency.read_yaml(path) == {
    'Conv-input:8x8x3-output:4x4x8': 0.25,
    'Logits-input:4x4x8-output:10': 0.15,
  }


@pytest.mark.parametrize(
  ('written', 'instead', 'said'),
  [
    ('0.25', 'nan', "line 3: 'Conv.*' is 'nan'"),
    ('0.25', '-0.25', "line 3: 'Conv.*' is '-0.25'"),
    ('0.25', '[0.25]', 'line 3'),
    ('0.25', '.inf', 'line 3'),
    ('  mean: 0.25\n', '', "line 4: 'Conv.*' has no mean"),
    ('  mean: 1.5e-1\n', '', "line 6: 'Logits.*' has no mean"),
    ('  count: 9', '  mean: 9', "line 3: 'mean: 0.25' is given twice"),
    ('Conv-input:8x8x3-output:4x4x8:\n', '', 'belongs to no key'),
    ('Logits-input:4x4x8-output:10', 'Conv-input:8x8x3-output:4x4x8', 'twice'),
    ('  count: 9', '\tcount: 9', 'line 2'),
    ('  count: 9', '- count', 'line 2'),
    ('  var: 1.0e-3', '  var:', 'line 4'),
    (YAML, '', 'no entry'),
    (YAML, '{a: 1}\n', 'line 1'),
  ],
)
def test_other_yaml_is_refused_with_the_line(tmp_path, written, instead, said):
  path = tmp_path / 'a.yaml'
  assert written in YAML
  path.write_text(YAML.replace(written, instead))
  refused(f'{path}.*{said}', latency.read_yaml, path)


@pytest.mark.parametrize('end', [5, 31, 52, 60, 100, len(YAML) - 2])
def test_a_yaml_that_was_cut_in_an_entry_is_refused(tmp_path, end):
  path = tmp_path / 'a.yaml'
  path.write_text(YAML[:end])
  refused(f'{path}', latency.read_yaml, path)


def test_a_csv_of_blocks_is_read(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_bytes(b'block,ms\r\na,0.5\r\n"b, 3x3",1e-3\r\n')
  assert latency.read_csv(path) == {'a': 0.5, 'b, 3x3': 0.001}


@pytest.mark.parametrize(
  ('text', 'said'),
  [
    ('', 'header must be block,ms'),
    ('ms,block\n1,a\n', 'header must be block,ms'),
    ('a,0.5\n', 'header must be block,ms'),
    ('block,ms\n', 'no entry'),
    ('block,ms\na,0.5\nb\n', 'line 3'),
    ('block,ms\na,0.5,1\n', 'line 2'),
    ('block,ms\na,0.5\na,0.6\n', "line 3: 'a' is given twice"),
    ('block,ms\na,NaN\n', "line 2: 'a' is 'NaN'"),
    ('block,ms\na,-1\n', "line 2: 'a' is '-1'"),
    ('block,ms\na,1 ms\n', "line 2: 'a' is '1 ms'"),
    ('block,ms\na,\n', "line 2: 'a' is ''"),
    ('block,ms\n"a,1\n', 'line 2'),
    ('block,ms\na,1.2', 'within a line'),
  ],
)
def test_another_csv_is_refused_with_the_line(tmp_path, text, said):
  path = tmp_path / 'a.csv'
  path.write_text(text)
  refused(f'{path}.*{said}', latency.read_csv, path)


def test_a_table_is_read_by_the_ending_of_its_name(tmp_path):
  tiny, path = spaces.tiny(), tmp_path / 'a.csv'
  path.write_text('block,ms\nfixed,1\n')
  assert latency.read(path, tiny).kind == 'choices'
  path.write_text('block,ms\nconv,1\n')
  table = latency.read(path, tiny)
  assert (table.kind, table.space) == ('blocks', 'tiny')
  table.save(tmp_path / 'a.json')
  assert latency.read(tmp_path / 'a.json', tiny) == table


def test_files_that_are_not_there_are_refused(tmp_path):
  for reader in (latency.read_csv, latency.read_yaml):
    refused('No such file', reader, tmp_path / 'none')
    refused('directory', reader, tmp_path)
  (tmp_path / 'a').write_bytes(b'\xff\xfe')
  refused('no text', latency.read_csv, tmp_path / 'a')


@pytest.mark.shared
def test_published_tables_are_read_as_yaml_is(shared):
  yaml = pytest.importorskip('yaml')
  paths = sorted((shared / 'latency').glob('*.yaml'))
  assert len(paths) == 6
  for path in paths:
    known = yaml.safe_load(path.read_text())
    found = latency.read_yaml(path)
    assert found == {key: row['mean'] for key, row in known.items()}
    assert len(found) == (72 if path.stem.startswith('proxyless') else 96)

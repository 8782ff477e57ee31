"""Lines of metrics: none is lost in silence, and strict readers take them."""

import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from nasjax.run.workdir import metrics_file
from tests.conftest import refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
NAN, INF = math.nan, math.inf
ROWS = [{'step': i, 'x': i / 3, 'probs': [0.25, i / 7]} for i in (3, 6, 9)]
LINES = [json.dumps(row).encode() + b'\n' for row in ROWS]


def _write(workdir, *lines):
  (workdir / 'metrics.jsonl').write_bytes(b''.join(lines))


def _bytes(workdir):
  return (workdir / 'metrics.jsonl').read_bytes()


def _append(path, *rows):
  with metrics_file.append(path) as write:
    for row in rows:
      write(row)


def _strict(text):
  def refuse(word):
    raise ValueError(word)

  return json.loads(text, parse_constant=refuse)


def test_rows_come_back_as_they_were(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  assert metrics_file.read(tmp_path) == []
  _append(path, *ROWS[:2])
  _append(path, ROWS[2])
  assert metrics_file.read(tmp_path) == ROWS
  assert _bytes(tmp_path) == b''.join(LINES)


def test_a_row_is_there_as_soon_as_it_is_written(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  with metrics_file.append(path) as write:
    for i, row in enumerate(ROWS):
      write(row)
      assert _bytes(tmp_path) == b''.join(LINES[: i + 1])


def test_what_is_not_finite_is_null_and_read_as_nan(tmp_path):
  row = {'step': 1, 'loss': NAN, 'costs': [INF, [1.5, -INF]], 'of': {'a': NAN}}
  path = tmp_path / 'metrics.jsonl'
  _append(path, row, {'step': 2, 'loss': 0.1})
  first, second = path.read_text().splitlines()
  found = {'step': 1, 'loss': None, 'costs': [None, [1.5, None]]}
  assert _strict(first) == {**found, 'of': {'a': None}}
  assert second == '{"step": 2, "loss": 0.1}'
  read, _ = metrics_file.read(tmp_path)
  assert read['step'] == 1
  assert math.isnan(read['loss'])
  assert math.isnan(read['of']['a'])
  assert math.isnan(read['costs'][0])
  assert read['costs'][1][0] == 1.5
  assert math.isnan(read['costs'][1][1])


def test_an_earlier_file_with_bare_nan_is_read(tmp_path):
  _write(tmp_path, b'{"step": 1, "loss": NaN}\n')
  assert math.isnan(metrics_file.read(tmp_path)[0]['loss'])


# What a resumed run drops.


@pytest.mark.parametrize('step', [0, 2, 3, 5, 6, 8, 9, 20])
@pytest.mark.parametrize('rest', [b'', b'{"step": 12, "x', b'\xff', b'\0\0'])
def test_lines_past_the_step_are_dropped(tmp_path, step, rest):
  _write(tmp_path, *LINES, rest)
  metrics_file.cut(tmp_path, step)
  kept = [
    line for line, row in zip(LINES, ROWS, strict=True) if row['step'] <= step
  ]
  assert _bytes(tmp_path) == b''.join(kept)
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.jsonl']
  metrics_file.cut(tmp_path, step)
  assert _bytes(tmp_path) == b''.join(kept)


def test_of_a_line_that_a_kill_cut_anywhere_nothing_is_left(tmp_path):
  """But it is all there where its newline alone is not."""
  for end in range(1, len(LINES[2])):
    _write(tmp_path, *LINES[:2], LINES[2][:end])
    whole = end == len(LINES[2]) - 1
    assert metrics_file.read(tmp_path) == ROWS[: 2 + whole]
    metrics_file.cut(tmp_path, 9)
    assert _bytes(tmp_path) == b''.join(LINES[: 2 + whole])


def test_no_file_and_an_empty_one_are_no_lines(tmp_path):
  metrics_file.cut(tmp_path, 9, logged=9)
  assert list(tmp_path.iterdir()) == []
  _write(tmp_path)
  metrics_file.cut(tmp_path, 9)
  assert metrics_file.read(tmp_path) == []


DAMAGED = [
  (b'{"step": 6, "x": 2.0\n', 'line 2, is no JSON'),
  (b'\n', 'line 2, is no JSON'),
  (b'{"step": 6, "x\xff": 2.0}\n', 'line 2, is not UTF-8'),
  (b'[6]\n', 'line 2, is no JSON object'),
  (b'6\n', 'line 2, is no JSON object'),
  (b'{"x": 2.0}\n', 'line 2, has no integer step'),
  (b'{"step": 6.0}\n', 'line 2, has no integer step'),
  (b'{"step": true}\n', 'line 2, has no integer step'),
  (b'{"step": null}\n', 'line 2, has no integer step'),
  (b'{"step": 3}\n', 'line 2, has step 3, which must be larger than 3'),
  (b'{"step": 2}\n', 'line 2, has step 2, which must be larger than 3'),
  (b'{"step": 10}\n', 'line 3, has step 9, which must be larger than 10'),
  (b'[' * 100000 + b'\n', 'line 2, is no JSON'),
  (b'{"step": ' + b'9' * 5000 + b'}\n', 'line 2, is no JSON'),
]


@pytest.mark.parametrize(('line', 'why'), DAMAGED)
@pytest.mark.parametrize('step', [0, 20])
def test_any_other_damage_is_one_line_and_changes_nothing(
  tmp_path, line, why, step
):
  _write(tmp_path, LINES[0], line, LINES[2], b'{"step')
  before = _bytes(tmp_path)
  refused(f'metrics.jsonl, {why}', metrics_file.cut, tmp_path, step)
  refused(f'metrics.jsonl, {why}', metrics_file.read, tmp_path)
  assert _bytes(tmp_path) == before
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.jsonl']


@pytest.mark.parametrize('rest', [b'', LINES[2][:9]])
def test_lines_that_are_missing_before_the_step_are_noticed(tmp_path, rest):
  """As where a copy of the file ended early."""
  _write(tmp_path, *LINES[:2], rest)
  before = _bytes(tmp_path)
  with_file = 'ends at step 6, but the run wrote lines to step 9'
  refused(with_file, metrics_file.cut, tmp_path, 10, logged=9)
  assert _bytes(tmp_path) == before
  metrics_file.cut(tmp_path, 8, logged=6)
  assert _bytes(tmp_path) == b''.join(LINES[:2])
  _write(tmp_path)
  refused('ends at step 0', metrics_file.cut, tmp_path, 10, logged=9)


# Files that cannot be written.


def test_a_full_disk_is_one_line():
  """And closing the file says no more."""
  why = 'cannot write /dev/full: No space left on device; the same command'
  refused(why, _append, '/dev/full', ROWS[0])


def test_a_line_that_does_not_fit_leaves_no_part(tmp_path):
  code = """
import resource, sys
from nasjax.run.workdir import metrics_file
from nasjax.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
with metrics_file.append(sys.argv[1]) as write:
  write({'step': 1})
  try:
    write({'step': 2, 'x': 'a' * 100})
  except InputError as e:
    print(e)
"""
  path = tmp_path / 'metrics.jsonl'
  for limit in (12, 13, 60):
    path.unlink(missing_ok=True)
    ran = subprocess.run(
      [sys.executable, '-c', code, path, str(limit)],
      cwd=ROOT,
      capture_output=True,
      text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f'cannot write {path}: File too large;')
    assert path.read_text() == '{"step": 1}\n'


def test_what_is_no_file_is_one_line(tmp_path):
  path = tmp_path / 'metrics.jsonl'
  path.mkdir()
  refused('metrics.jsonl: is a directory', metrics_file.cut, tmp_path, 3)
  refused('metrics.jsonl: is a directory', metrics_file.read, tmp_path)
  refused('cannot write .*: Is a directory', _append, path, ROWS[0])
  path.rmdir()
  os.mkfifo(path)
  refused('not a regular file', metrics_file.cut, tmp_path, 3)
  refused('not a regular file', metrics_file.read, tmp_path)
  refused('cannot write .*metrics.jsonl', _append, path, ROWS[0])
  path.unlink()
  path.symlink_to('/dev/zero')
  refused('not a regular file', metrics_file.cut, tmp_path, 3)
  nowhere = tmp_path / 'missing' / 'metrics.jsonl'
  refused('cannot write .*: No such file', _append, nowhere, ROWS[0])


@contextlib.contextmanager
def _nobody():
  """Without the rights of root, who may write any file."""
  if os.geteuid() != 0:
    yield
    return
  try:
    os.seteuid(65534)
  except OSError:
    pytest.skip('root cannot give up its rights here')
  try:
    yield
  finally:
    os.seteuid(0)


def test_a_file_without_permission_is_one_line():
  with tempfile.TemporaryDirectory() as name:
    workdir = pathlib.Path(name)
    path = workdir / 'metrics.jsonl'
    _write(workdir, *LINES)
    workdir.chmod(0o555)
    path.chmod(0o444)
    with _nobody():
      refused('cannot write .*: Permission denied', _append, path, ROWS[0])
      # What has to be cut is what has to be written; the rest is only read.
      metrics_file.cut(workdir, 9)
      assert metrics_file.read(workdir) == ROWS
      refused('cannot write .*: Permission', metrics_file.cut, workdir, 8)
    path.chmod(0)
    with _nobody():
      refused('metrics.jsonl: Permission denied', metrics_file.cut, workdir, 9)
    path.chmod(0o644)
    workdir.chmod(0o755)
    assert _bytes(workdir) == b''.join(LINES)
    assert list(workdir.iterdir()) == [path]


def test_errors_of_others_are_not_taken_for_those_of_the_file(tmp_path):
  path = tmp_path / 'metrics.jsonl'

  def fail():
    with metrics_file.append(path) as write:
      write(ROWS[0])
      raise KeyError

  with pytest.raises(KeyError):
    fail()
  with pytest.raises(TypeError):
    _append(path, {'step': 4, 'x': object()})
  assert metrics_file.read(tmp_path) == ROWS[:1]

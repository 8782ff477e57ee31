"""A file is written whole, or one line says what could not be written."""

import errno
import json
import math
import os
import pathlib
import subprocess
import sys

import pytest

from nasjax import files
from tests.conftest import refused

ROOT = pathlib.Path(__file__).resolve().parents[1]


def _raise(path, error, cause=None):
  with files.writing(path):
    raise error from cause


@pytest.mark.parametrize(
  'code', ['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EISDIR', 'EIO']
)
def test_what_the_system_refuses_is_one_line_with_the_path(code):
  number = getattr(errno, code)
  why = f'cannot write a/b: {os.strerror(number)}; the same command goes on'
  refused(why, _raise, 'a/b', OSError(number, os.strerror(number), 'other'))


@pytest.mark.parametrize(
  'text',
  [
    'No space left on device',
    'Disk quota exceeded',
    'File too large',
    'Read-only file system',
    'Permission denied',
  ],
)
def test_libraries_that_say_it_in_their_own_words_are_understood(text):
  """Whether they say it, an error that led to theirs, or a part of a group."""
  outer = RuntimeError('save failed')
  told = ValueError(f'UNKNOWN: Error writing "d/12":\n{text.lower()} [x=1]')
  group = ExceptionGroup('of two', [KeyError('a'), told])
  for error, cause in (told, None), (outer, told), (outer, group):
    refused(f'cannot write a: {text};', _raise, 'a', error, cause)
  group = ExceptionGroup('of two', [KeyError('a'), OSError(28, text)])
  refused(f'cannot write a: {text};', _raise, 'a', group)


def test_other_errors_stay_what_they_are():
  for error in (ValueError('no number'), KeyError('a'), MemoryError()):
    with pytest.raises(type(error)) as caught:
      _raise('a', error)
    assert caught.value is error
  with pytest.raises(KeyboardInterrupt):
    _raise('a', KeyboardInterrupt())


def test_the_innermost_path_is_named():
  def nested():
    with files.writing('outer'):
      _raise('inner', OSError(28, os.strerror(28)))

  refused('^cannot write inner: No space left on device;', nested)


def test_an_error_without_a_number_is_one_line():
  refused(
    'cannot write a: encoder error -2;',
    _raise,
    'a',
    OSError('encoder error\n-2'),
  )
  refused('cannot write a: OSError;', _raise, 'a', OSError())


def test_a_document_comes_back(tmp_path):
  path = tmp_path / 'a.json'
  files.write_json(path, {'a': [1, 0.1, None], 'b': 'ü', 'c': (1e-320,)})
  assert json.loads(path.read_text()) == {
    'a': [1, 0.1, None],
    'b': 'ü',
    'c': [1e-320],
  }
  assert path.read_text().startswith('{\n "a": [\n  1,\n  0.1,')
  assert path.read_text().endswith('\n}\n')
  files.write_json(path, [])
  assert path.read_text() == '[]\n'
  files.write_text(path, 'a\r\nü\n')
  assert path.read_bytes() == 'a\r\nü\n'.encode()
  assert [p.name for p in tmp_path.iterdir()] == ['a.json']


def test_what_is_not_finite_is_null(tmp_path):
  values = {'a': math.nan, 'b': [math.inf, {'c': -math.inf}], 'd': (0.5,)}
  files.write_json(tmp_path / 'a', values)
  found = json.loads((tmp_path / 'a').read_text(), parse_constant=pytest.fail)
  assert found == {'a': None, 'b': [None, {'c': None}], 'd': [0.5]}


def test_a_file_has_the_mode_that_the_user_wants(tmp_path):
  for mask, mode in (0o022, 0o644), (0o077, 0o600), (0o002, 0o664):
    before = os.umask(mask)
    try:
      files.write_text(tmp_path / str(mode), '')
    finally:
      os.umask(before)
    assert (tmp_path / str(mode)).stat().st_mode & 0o777 == mode


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
  """With no space, for all or the last byte; and no part of it stays."""
  code = """
import resource, sys
from nasjax import files
from nasjax.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
  files.write_text(sys.argv[1], 'a' * 100)
except InputError as e:
  print(e)
"""
  path = tmp_path / 'table.md'
  path.write_text('before')
  for limit in (0, 99, 100):
    ran = subprocess.run(
      [sys.executable, '-c', code, path, str(limit)],
      cwd=ROOT,
      capture_output=True,
      text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, '')
    written = limit == 100
    said = ran.stdout.startswith(f'cannot write {path}: File too large; the')
    assert said != written
    assert path.read_text() == ('a' * 100 if written else 'before')
    assert [p.name for p in tmp_path.iterdir()] == ['table.md']


def test_a_folder_in_its_place_is_one_line(tmp_path):
  (tmp_path / 'a').mkdir()
  refused('cannot write .*/a: Is a dir', files.write_text, tmp_path / 'a', '')
  refused('cannot write .*/a: Is a dir', files.write_json, tmp_path / 'a', 1)
  assert [p.name for p in tmp_path.iterdir()] == ['a']
  refused('/b/c: No such file', files.write_text, tmp_path / 'b' / 'c', '')
  (tmp_path / 'file').write_text('')
  refused('Not a directory', files.write_text, tmp_path / 'file' / 'c', '')


def test_a_document_that_is_none_leaves_the_file_as_it_was(tmp_path):
  path = tmp_path / 'a'
  files.write_json(path, 1)
  with pytest.raises(TypeError):
    files.write_json(path, {'a': object()})
  with pytest.raises(UnicodeEncodeError):
    files.write_text(path, '\ud800')
  assert path.read_text() == '1\n'
  assert [p.name for p in tmp_path.iterdir()] == ['a']

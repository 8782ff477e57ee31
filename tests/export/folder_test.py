"""The folder of an export: nothing of the user's is overwritten."""

import json

import pytest

from nasjax.export import folder
from tests.conftest import refused

RECORD = {'file': 'a.tflite', 'parity': {}}


def _written(path, **record):
  folder.write(path, b'data', ['a'], 'script', {**RECORD, **record})


def test_an_export_is_replaced_by_another_of_its_name(tmp_path):
  path = tmp_path / 'new' / 'a.tflite'
  folder.check(path)
  _written(path)
  folder.check(path)
  _written(path, bytes=4)
  assert path.read_bytes() == b'data'
  assert (path.parent / 'labels.txt').read_text() == 'a\n'
  assert (path.parent / 'run.py').read_text() == 'script'
  assert json.loads((path.parent / 'export.json').read_text())['bytes'] == 4


@pytest.mark.parametrize('name', ['run.py', 'labels.txt', 'a.tflite'])
def test_files_that_no_export_wrote_are_kept(name, tmp_path):
  (tmp_path / name).write_text('mine')
  refused(f'{name} exists, and no export', folder.check, tmp_path / 'a.tflite')


@pytest.mark.parametrize('text', ['{}', '[]', '{"file": "a.tflites"}'])
def test_a_record_of_something_else_is_kept(text, tmp_path):
  (tmp_path / 'export.json').write_text(text)
  refused('export.json exists', folder.check, tmp_path / 'a.tflite')


def test_a_folder_holds_one_export(tmp_path):
  _written(tmp_path / 'a.tflite')
  message = 'holds the export a.tflite; give b.tflite a folder of its own'
  refused(message, folder.check, tmp_path / 'b.tflite')


def test_a_damaged_record_is_one_line(tmp_path):
  (tmp_path / 'export.json').write_text('{"file": ')
  refused('truncated or no JSON', folder.check, tmp_path / 'a.tflite')


@pytest.mark.parametrize('name', ['labels.txt', 'export.json', '.', ''])
def test_a_path_has_to_be_that_of_a_file(name, tmp_path):
  refused('it must be that of a file', folder.check, tmp_path / name)

"""What the files of a prepared TFDS set may name, checked before TFDS reads.

TFDS finds the class of a feature by its name in `features.json`, or in the
`features` of `dataset_info.json`, and imports the module of a class that it
does not know. Whoever hands out a folder could run any code that way, so only
TFDS's own feature classes are let through. The names of splits and
configurations become parts of paths: they have to stay in the folder of the
set.
"""

import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from nasjax import files
from nasjax.errors import InputError

_OWN = re.compile(r'tensorflow_datasets\.core\.features\.\w+\.\w+')
# Keys of protocol buffers in JSON, in both spellings, and the older `type`.
_CLASSES = 'pythonClassName', 'python_class_name', 'type'
_SPLITS = 'name', 'filepathTemplate', 'filepath_template'
_PART = re.compile(r'[\w+.\-]*[\w+\-][\w+.\-]*')  # Of a path; not '..'.
_METADATA = '.config/metadata.json'


def check(name: str, data_dir: pathlib.Path | None, embedded: str) -> None:
  """Raises InputError unless the files of a set name what they may.

  Args:
    name: of the set, as TFDS takes it; one that TFDS cannot parse passes, since
      TFDS refuses it.
    data_dir: where it is prepared; None is wherever TFDS looks.
    embedded: name of a set that is there without TFDS, for messages.
  """
  from tensorflow_datasets.core import naming
  from tensorflow_datasets.core.utils import file_utils

  try:
    parsed, given = naming.parse_builder_name_kwargs(name)
  except ValueError:
    return
  if parsed.namespace:
    raise InputError(
      f'data set name {name!r} has the namespace {parsed.namespace!r}, of '
      f'which TFDS would fetch and run code; choose {embedded}, or a set by '
      'its name alone'
    )
  config = given.get('config')
  if config is not None and not _PART.fullmatch(str(config)):
    raise InputError(
      f'data set name {name!r} has the configuration {config!r}, which is '
      "none: it has letters, digits, '_', '-', '+' and '.'"
    )
  for folder in file_utils.list_data_dirs(given_data_dir=data_dir):
    check_folder(pathlib.Path(os.fspath(folder)) / parsed.name)


def check_folder(folder: pathlib.Path) -> None:
  """Raises InputError unless all versions and configurations may be read.

  Args:
    folder: of a set; one that does not exist has nothing to check.
  """
  try:
    files.check_all_regular(folder)
  except OSError as e:
    raise InputError(f'{e.filename} cannot be read: {e.strerror}') from e
  for path in sorted(_found(folder, 'features.json')):
    _check_features(path, _read(path))
  for path in sorted(_found(folder, 'dataset_info.json')):
    _check_info(path, _read(path))
  path = folder / _METADATA
  if path.exists():
    found = _read(path)
    config = found.get('default_config_name') if _is_object(found) else None
    if config is not None and not _PART.fullmatch(str(config)):
      raise InputError(
        f'{path} has the default configuration {config!r}, which would lead '
        'out of the folder; remove the file, or that folder'
      )


def _found(folder: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
  # NAME/VERSION/ or NAME/CONFIGURATION/VERSION/.
  for pattern in ('*', '*/*'):
    yield from folder.glob(f'{pattern}/{name}')


def _read(path: pathlib.Path) -> Any:
  try:
    return json.loads(files.read_text(path))
  except OSError as e:
    raise InputError(f'{path} cannot be read: {e.strerror}') from e
  except (ValueError, RecursionError) as e:
    raise InputError(f'{path} is truncated or no JSON: {e}') from e


def _is_object(value: Any) -> bool:
  return isinstance(value, dict)


def _check_features(path: pathlib.Path, document: Any) -> None:
  for found in _classes(document):
    if not isinstance(found, str) or not _OWN.fullmatch(found):
      raise InputError(
        f'{path} names the feature class {found!r}, which is none of those of '
        'TFDS (tensorflow_datasets.core.features): its module would be '
        'imported; prepare the set with features of TFDS'
      )


def _classes(document: Any) -> Iterator[Any]:
  """All that TFDS would take for the name of a class, at any depth."""
  left = [document]
  while left:
    value = left.pop()
    if isinstance(value, dict):
      named = [value[key] for key in _CLASSES if key in value]
      # A feature may be called "type": what describes it is no name.
      yield from (one for one in named if not isinstance(one, dict | list))
      left += value.values()
    elif isinstance(value, list):
      left += value
    elif isinstance(value, str) and value.lstrip()[:1] in ('{', '['):
      # What has no protocol buffer of its own is JSON within JSON.
      try:
        left.append(json.loads(value))
      except (ValueError, RecursionError):
        continue


def _check_info(path: pathlib.Path, document: Any) -> None:
  if not _is_object(document):
    raise InputError(f'{path} is no description of a set: no JSON object')
  _check_features(path, document.get('features'))
  splits = document.get('splits')
  parts = [document, *(splits if isinstance(splits, list) else ())]
  for part in filter(_is_object, parts):
    for key in _SPLITS:
      if '/' in (text := str(part.get(key, ''))) or '\\' in text:
        raise InputError(
          f'{path} has the {key} {text!r}, which would lead out of its folder; '
          'it must be the name of a file'
        )

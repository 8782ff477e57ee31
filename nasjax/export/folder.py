"""The folder of an exported file: what lies beside it, and whose it is.

model.tflite   whatever the file is called
labels.txt     a class name per line, in the order of the logits
run.py         classifies images with the file
export.json    what was exported, how it was verified, and warnings
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from nasjax import files
from nasjax.errors import InputError
from nasjax.run import record as record_lib

RECORD = 'export.json'
_BESIDE = ('labels.txt', 'run.py', RECORD)


def check(path: pathlib.Path) -> None:
  """Checks that a file may be written, and what lies beside it.

  Raises:
    InputError: the folder holds another export, or files of these names that
      no export wrote; or the path is none of a file.
  """
  if path.name in ('', '..', *_BESIDE) or path.is_dir():
    raise InputError(
      f'path is {path}; it must be that of a file, such as model.tflite, and '
      f'other than {", ".join(_BESIDE)}'
    )
  record = path.parent / RECORD
  if record.exists():
    found = record_lib.read_json(record)
    name = found.get('file') if isinstance(found, dict) else None
    if name == path.name:
      return
    if isinstance(name, str) and 'parity' in found:
      raise InputError(
        f'{path.parent} holds the export {name}; give {path.name} a folder of '
        'its own'
      )
  for name in (path.name, *_BESIDE):
    if (path.parent / name).exists():
      raise InputError(
        f'{path.parent / name} exists, and no export wrote it; give '
        f'{path.name} a folder of its own'
      )


def write(
  path: pathlib.Path,
  data: bytes,
  labels: list[str],
  script: str,
  record: Mapping[str, Any],
) -> None:
  """Writes all files, each whole or not at all.

  Raises:
    InputError: the file system refuses.
  """
  with files.writing(path.parent):
    path.parent.mkdir(parents=True, exist_ok=True)
  # The record comes first: it says whose the others are.
  files.write_json(path.parent / RECORD, record)
  files.write_bytes(path, data)
  files.write_text(
    path.parent / 'labels.txt', ''.join(map('{}\n'.format, labels))
  )
  files.write_text(path.parent / 'run.py', script)

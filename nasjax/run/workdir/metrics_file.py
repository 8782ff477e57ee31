"""The file `metrics.jsonl` of a workdir: one JSON object per logged step.

Steps grow from line to line. A number that is not finite is null, which strict
readers of JSON take; it is read as NaN. A kill may leave the last line
unfinished, without its newline; nothing else may be damaged.
"""

import contextlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Generator
from typing import Any

from nasjax import files
from nasjax.errors import InputError

NAME = 'metrics.jsonl'


def read(workdir: str | os.PathLike) -> list[dict[str, Any]]:
  """The rows of a workdir, in order; [] where there is no file.

  Args:
    workdir: of a run.

  Returns:
    One dict per whole line, with NaN for null.

  Raises:
    InputError: a line other than the unfinished last one is damaged, or the
      file cannot be read.

  Example:
    >>> read('no/such/folder')
    []
  """
  _, found = _parse(pathlib.Path(workdir) / NAME)
  return [_numbers(row) for _, row in found]


def cut(workdir: str | os.PathLike, step: int, logged: int = 0) -> None:
  """Drops lines past a step, and a last line that a kill left unfinished.

  Args:
    workdir: of a run.
    step: of the last line that may stay.
    logged: a step, at most `step`, whose line or a later one the run has
      written if it has written any; 0 where it may have written none.

  Raises:
    InputError: a line is damaged, lines up to `logged` are missing, or the
      file cannot be read or written. Nothing is changed then.

  Example:
    >>> cut('no/such/folder', 12)
  """
  path = pathlib.Path(workdir) / NAME
  data, rows = _parse(path)
  if data is None:
    return
  kept = [line for line, row in rows if row['step'] <= step]
  last = rows[len(kept) - 1][1]['step'] if kept else 0
  if last < logged:
    raise InputError(
      f'{path} ends at step {last}, but the run wrote lines to step {logged} '
      f'and goes on from step {step}; restore the file, or delete it to go on '
      'without the lines before'
    )
  text = b''.join(kept)
  if text != data:
    files.write_bytes(path, text)


@contextlib.contextmanager
def append(
  path: str | os.PathLike,
) -> Generator[Callable[[dict[str, Any]], None]]:
  """Opens a file to which rows are added.

  Args:
    path: of the file, which is made where there is none.

  Yields:
    A function that writes a row, a dict of plain values, at once. A row that
    cannot be written leaves no part of it.

  Raises:
    InputError: the file, or a row, cannot be written.

  Example:
    >>> with append(os.devnull) as write:
    ...   write({'step': 1, 'loss': 0.5})
  """

  def opened(path, flags):
    # Or a pipe that nobody reads would be waited for.
    return os.open(path, flags | os.O_NONBLOCK, 0o666)

  with files.writing(path):
    file = open(path, 'ab', buffering=0, opener=opened)

  def write(row: dict[str, Any]) -> None:
    line = json.dumps(files.strict(row), allow_nan=False).encode() + b'\n'
    with files.writing(path):
      _write_whole(file.fileno(), line)

  try:
    yield write
  finally:
    with files.writing(path):
      file.close()


def _write_whole(handle: int, line: bytes) -> None:
  """Adds a line, or nothing."""
  size, done = os.fstat(handle).st_size, 0
  try:
    while done < len(line):
      done += os.write(handle, line[done:])
  except OSError:
    with contextlib.suppress(OSError):
      os.ftruncate(handle, size)
    raise


def _parse(
  path: pathlib.Path,
) -> tuple[bytes | None, list[tuple[bytes, dict[str, Any]]]]:
  """All bytes, and the whole lines with their rows; None and [] of no file."""
  try:
    files.check_regular(path)
    data = path.read_bytes()
  except FileNotFoundError:
    return None, []
  except OSError as e:
    raise InputError(f'{path}: {e.strerror}') from e
  *lines, rest = data.split(b'\n')
  found, before = [], -1
  for number, line in enumerate(lines, 1):
    row, why = _row(line, before)
    if row is None:
      raise InputError(
        f'{path}, line {number}, {why}; delete that line, or restore the file'
      )
    found.append((line + b'\n', row))
    before = row['step']
  # An editor may have dropped the last newline alone.
  row, _ = _row(rest, before)
  if row is not None:
    found.append((rest + b'\n', row))
  return data, found


def _row(line: bytes, before: int) -> tuple[dict[str, Any] | None, str]:
  """The row in a line; or None, and what is wrong with the line."""
  try:
    row = json.loads(line.decode())
  except UnicodeDecodeError:
    return None, 'is not UTF-8'
  except (ValueError, RecursionError):
    return None, 'is no JSON'
  if not isinstance(row, dict):
    return None, 'is no JSON object'
  step = row.get('step')
  if type(step) is not int:
    return None, 'has no integer step'
  if step <= before:
    return None, f'has step {step}, which must be larger than {before}'
  return row, ''


def _numbers(value: Any) -> Any:
  """With NaN for null."""
  if isinstance(value, dict):
    return {key: _numbers(each) for key, each in value.items()}
  if isinstance(value, list):
    return [_numbers(each) for each in value]
  return math.nan if value is None else value

"""Readers of other tables: plain CSV, and those of two published searches."""

import csv
import io
import math
import pathlib
import re

from nasjax import files
from nasjax.errors import InputError
from nasjax.latency.table import FIXED, LatencyTable
from nasjax.space import SearchSpace

_KEY = re.compile(r'(\S.*):')
_FIELD = re.compile(r' +(\w+): *(\S+)')


def read(path: str | pathlib.Path, space: SearchSpace) -> LatencyTable:
  """Reads the table of a space, by the ending of its name.

  Args:
    path: of a file of `LatencyTable.save`; or one that ends in `.csv`, for
      `read_csv`. A CSV with an entry `fixed` is of `kind='choices'`.
    space: that a CSV is of, which does not say it.

  Raises:
    InputError: the file is missing, damaged or of another format.

  Example:
    >>> import tempfile
    >>> from nasjax import spaces
    >>> with tempfile.NamedTemporaryFile('w', suffix='.csv') as file:
    ...   print('block,ms\\nfixed,0.5', file=file, flush=True)
    ...   read(file.name, spaces.tiny()).kind
    'choices'
  """
  if pathlib.Path(path).suffix != '.csv':
    return LatencyTable.load(path)
  entries = read_csv(path)
  kind = 'choices' if FIXED in entries else 'blocks'
  return LatencyTable(space.name, entries, kind)


def read_csv(path: str | pathlib.Path) -> dict[str, float]:
  """Reads a table of two columns with the header `block,ms`.

  Args:
    path: of the file; a block is a key, quoted where it has a comma.

  Returns:
    Key to ms, for `LatencyTable.entries`.

  Raises:
    InputError: the file is missing or has another header, and, with the line, a
      row of other columns, a key twice, or a time that is no number of at least
      0.

  Example:
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile('w', suffix='.csv') as file:
    ...   print('block,ms\\nfixed,0.5', file=file, flush=True)
    ...   read_csv(file.name)
    {'fixed': 0.5}
  """
  reader = csv.reader(io.StringIO(_text(path)), strict=True)
  found: dict[str, float] = {}
  try:
    header = next(reader, None)
    if header != ['block', 'ms']:
      raise InputError(
        f'latency table {path} starts with {",".join(header or [])!r}; the '
        'header must be block,ms'
      )
    for row in reader:
      if len(row) != 2:
        raise InputError(
          f'latency table {path}, line {reader.line_num}: {",".join(row)!r} '
          f'has {len(row)} columns; give block,ms'
        )
      _add(path, reader.line_num, found, row[0], row[1])
  except csv.Error as e:
    raise InputError(
      f'latency table {path}, line {reader.line_num}: {e}'
    ) from e
  return _some(path, found)


def read_yaml(path: str | pathlib.Path) -> dict[str, float]:
  """Reads a table as ProxylessNAS and Once-for-All publish theirs.

  These files are a list of keys with an indented `mean` each, in ms, beside
  fields that are ignored. Other YAML is refused, not guessed at.

  Args:
    path: of the file.

  Returns:
    Key, as the file has it, to ms; see `proxylessnas` and `once_for_all`.

  Raises:
    InputError: the file is missing, and, with the line, other YAML, a key
      twice or without `mean`, or a mean that is no number of at least 0.

  Example:
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
    ...   print('Conv-input:8x8x3:\\n  count: 9\\n  mean: 0.5', file=file)
    ...   file.flush()
    ...   read_yaml(file.name)
    {'Conv-input:8x8x3': 0.5}
  """
  found: dict[str, float] = {}
  key, fields = '', set[str]()
  lines = [*_text(path).splitlines(), '']
  for number, line in enumerate(lines, 1):
    if match := _FIELD.fullmatch(line):
      name, value = match.groups()
      if not key or name in fields:
        raise InputError(
          f'latency table {path}, line {number}: {line.strip()!r} '
          + ('is given twice' if key else 'belongs to no key')
        )
      fields.add(name)
      if name == 'mean':
        _add(path, number, found, key, value)
      continue
    if key and 'mean' not in fields:
      raise InputError(
        f'latency table {path}, line {number}: {key!r} has no mean'
      )
    if match := _KEY.fullmatch(line):
      key, fields = match[1], set()
    elif line.strip() or number < len(lines):
      raise InputError(
        f'latency table {path}, line {number}: {line!r} is neither a key that '
        'ends in a colon nor an indented name: number'
      )
  return _some(path, found)


def _text(path: str | pathlib.Path) -> str:
  try:
    text = files.read_text(path)
  except OSError as e:
    raise InputError(f'latency table {path}: {e.strerror}') from e
  except UnicodeDecodeError as e:
    raise InputError(f'latency table {path} is no text: {e}') from e
  # Half a number is a number, too.
  if text and not text.endswith('\n'):
    raise InputError(
      f'latency table {path} ends within a line; if it is complete, end it '
      'with a newline'
    )
  return text


def _add(path, line: int, found: dict[str, float], key: str, text: str) -> None:
  """Adds an entry of a line."""
  where = f'latency table {path}, line {line}'
  if key in found:
    raise InputError(f'{where}: {key!r} is given twice; give one')
  try:
    ms = float(text)
  except ValueError:
    ms = math.nan
  if not 0 <= ms < math.inf:
    raise InputError(
      f'{where}: {key!r} is {text!r}; it must be ms, a number of at least 0'
    )
  found[key] = ms


def _some(path, found: dict[str, float]) -> dict[str, float]:
  if not found:
    raise InputError(f'latency table {path} has no entry')
  return found

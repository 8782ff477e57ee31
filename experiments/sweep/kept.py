"""The files of a study that are kept: page, table and architectures.

report.md           the page, with two of its figures
results.csv         every training
architectures.json  by name, the content of the file of each network

The rest of a report follows from these three: `restore` writes `report.html`,
which has all figures, and `architectures/NAME.json`, which
`nasjax.space.Architecture.load` reads.
"""

import csv
import io
import json
import pathlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nasjax import files
from nasjax.errors import InputError
from nasjax.report import document, reading
from nasjax.report.document import Block, Figure
from nasjax.run import record as record_lib
from nasjax.run.workdir import (
  schema,
)
from nasjax.space import Architecture, fix

from . import figures, networks, page, ranks
from .networks import Entry
from .plan import SWEPT, Level
from .results import Scored

PAGE, TABLE, ARCHITECTURES = 'report.md', 'results.csv', 'architectures.json'
_FILE_NAME = re.compile(r'\w[\w.@-]*')
_KIND = schema.one_of(
  networks.SEARCHED,
  networks.ARGMAX,
  networks.CONTROL,
  networks.RANDOM,
  networks.ZOO,
  networks.HANDMADE,
)
_NUMBERS = {
  'budget': schema.number,
  'seed': schema.whole,
  'macs': schema.whole,
  'params': schema.whole,
  'valid_accuracy': schema.share,
  'test_accuracy': schema.share,
  'supernet_accuracy': schema.maybe(schema.share),
}
_ROWS = schema.each(
  schema.fields(
    name=schema.text,
    kind=_KIND,
    level=schema.text,
    search=schema.text,
    trained_as=schema.text,
    **_NUMBERS,
  )
)


class Study(NamedTuple):
  """What the files of a study say.

  Attributes:
    resource: that is limited.
    levels: in rising order.
    found: all networks in their roles.
    inherited: by folder, the accuracy with a supernet's weights, 0 to 1.
    blocks: of the page, with all figures.
  """

  resource: str
  levels: tuple[Level, ...]
  found: list[Scored]
  inherited: dict[str, float]
  blocks: list[Block]


def write_architectures(
  path: pathlib.Path, contents: Mapping[str, Mapping[str, Any]]
) -> None:
  """Writes the contents of many architecture files into one, a line for each.

  Args:
    path: of the file to write.
    contents: by name, what `nasjax.space.read_record` gives.
  """
  lines = (
    f'{json.dumps(name)}: {json.dumps(files.strict(one), allow_nan=False)}'
    for name, one in contents.items()
  )
  files.write_text(path, '{\n' + ',\n'.join(lines) + '\n}\n')


def extract(
  path: str | pathlib.Path, folder: str | pathlib.Path
) -> dict[str, pathlib.Path]:
  """Writes each architecture of an `architectures.json` as a file of its own.

  Args:
    path: what `write_architectures` wrote.
    folder: gets a `NAME.json` for each; a file that is there and says the same
      stays as it is.

  Returns:
    The files, by name.

  Raises:
    InputError: `path` cannot be read or has names that are no file names, or
      the folder has a file of that name which says something else.
  """
  path, folder = pathlib.Path(path), pathlib.Path(folder)
  contents = schema.read(path, schema.values(schema.anything))
  for name in contents:
    if not _FILE_NAME.fullmatch(name):
      raise InputError(
        f'{path} has an architecture {name!r}; a name must be letters, digits '
        'and any of . _ @ - after the first'
      )
  found = {name: folder / f'{name}.json' for name in contents}
  for name, own in found.items():
    if own.exists() and record_lib.read_json(own) != contents[name]:
      raise InputError(
        f'{own} differs from {name!r} of {path}; move it away first'
      )
  with files.writing(folder):
    folder.mkdir(parents=True, exist_ok=True)
  for name, own in found.items():
    if not own.exists():
      files.write_json(own, contents[name])
  return found


def read(
  folder: str | pathlib.Path,
  paths: Mapping[str, pathlib.Path],
  ops: Sequence[type] = (),
) -> Study:
  """Reads the page and the table of a study.

  Args:
    folder: that has both.
    paths: of `extract`.
    ops: op classes beyond `nasjax.ops.BUILTIN` that architectures may name.

  Raises:
    InputError: a file cannot be read, or is not what a sweep writes.
  """
  folder = pathlib.Path(folder)
  rows = _rows(folder / TABLE)
  levels, by_name = _levels(rows), {}
  for row in rows:
    by_name.setdefault(row['name'], []).append(row)
  found = []
  for name, own in by_name.items():
    first = own[0]
    if first['trained_as'] not in paths:
      raise InputError(
        f'{folder / TABLE} has a network {first["trained_as"]!r} that '
        f'{folder / ARCHITECTURES} lacks'
      )
    a = Architecture.load(paths[first['trained_as']], ops)
    entry = Entry(
      name,
      first['kind'],
      levels[first['level']],
      first['budget'],
      fix(a.space, a),
      member=first['search'] or None,
      folder=first['trained_as'],
    )
    accuracies = (
      tuple(row[f'{which}_accuracy'] for row in own)
      for which in ('test', 'valid')
    )
    found.append(Scored(entry, *accuracies, first['macs'], first['params']))
  inherited = {
    row['trained_as']: row['supernet_accuracy']
    for row in rows
    if row['supernet_accuracy'] is not None
  }
  blocks = reading.blocks(_text(folder / PAGE))
  shown = {block.name for block in blocks if isinstance(block, Figure)}
  # The page shows the accuracy against what is limited.
  limited = [r for r in SWEPT if f'{r}.png' in shown]
  if not limited:
    raise InputError(
      f'{folder / PAGE} shows neither macs.png nor params.png; it is not the '
      'page of a sweep'
    )
  return Study(
    limited[0], tuple(levels.values()), found, inherited, page.whole(blocks)
  )


def restore(
  folder: str | pathlib.Path, ops: Sequence[type] = ()
) -> list[pathlib.Path]:
  """Writes `report.html` and `architectures/` into the folder of a study.

  Args:
    folder: a finished workdir, or another folder with its `report.md`,
      `results.csv` and `architectures.json`.
    ops: op classes beyond `nasjax.ops.BUILTIN` that architectures may name.

  Returns:
    What was written.

  Raises:
    InputError: a file of the study is missing or damaged.
  """
  folder = pathlib.Path(folder).expanduser()
  own = folder / 'architectures'
  study = read(folder, extract(folder / ARCHITECTURES, own), ops)
  ranked = ranks.of(study.found, study.inherited, '')
  with tempfile.TemporaryDirectory() as drawn:
    figures.draw(
      pathlib.Path(drawn), study.resource, study.levels, study.found, ranked
    )
    text = document.page(study.blocks, drawn)
  files.write_text(folder / 'report.html', text)
  return [folder / 'report.html', own]


def _text(path: pathlib.Path) -> str:
  try:
    return files.read_text(path)
  except OSError as e:
    raise InputError(f'{path}: {e.strerror}') from e
  except UnicodeDecodeError as e:
    raise InputError(f'{path} is no text: {e}') from e


def _rows(path: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of a table, with numbers where numbers have to be."""
  try:
    rows = list(csv.DictReader(io.StringIO(_text(path)), strict=True))
  except csv.Error as e:
    raise InputError(f'{path} is no table: {e}') from e
  if not rows:
    raise InputError(f'{path} has no rows; a sweep writes one a training')
  return schema.hold(path, [_numbers(row) for row in rows], _ROWS)


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
  return {
    key: _number(value) if key in _NUMBERS else value
    for key, value in row.items()
  }


def _number(text: Any) -> Any:
  """A number, None of an empty cell, or what was given if it is no number."""
  if text == '':
    return None
  for kind in (int, float):
    try:
      return kind(text)
    except (TypeError, ValueError):
      pass
  return text


def _levels(rows: Sequence[Mapping[str, Any]]) -> dict[str, Level]:
  """By name; the table has them in rising order."""
  names = dict.fromkeys(row['level'] for row in rows)
  budgets = {row['level']: row['budget'] for row in rows}
  found = {}
  for i, name in enumerate(names):
    price = name.removeprefix('strength_')
    limit, strength = budgets[name], None
    if price != name:
      limit, strength = None, _number(price)
    found[name] = Level(name, limit, strength, i == len(names) // 2)
  return found

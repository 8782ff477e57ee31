"""The file `diverged.json` of a workdir, which says how the run diverged."""

import contextlib
import pathlib
from collections.abc import Generator

from nasjax import files
from nasjax.errors import DivergedError
from nasjax.run.hosts import processes
from nasjax.run.workdir import (
  schema,
)

NAME = 'diverged.json'
_KIND = schema.fields(diverged=schema.text)


@contextlib.contextmanager
def written(workdir: pathlib.Path) -> Generator[None]:
  """Writes the file where what is done meanwhile diverges."""
  try:
    yield
  except DivergedError as e:
    if processes.first():
      files.write_json(workdir / NAME, {'diverged': str(e)})
    raise


def read(workdir: pathlib.Path) -> str | None:
  """What the file says; None where the run has not diverged.

  Raises:
    InputError: the file is damaged.
  """
  path = workdir / NAME
  return schema.read(path, _KIND)['diverged'] if path.exists() else None


def check(workdir: pathlib.Path) -> None:
  """Raises DivergedError, with what was said, where the run has diverged."""
  if before := read(workdir):
    raise DivergedError(before)

"""Results of a benchmark, kept line by line, so that a killed one goes on."""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any


class Rows:
  """A JSON line for each finished case, in a file of a folder.

  Attributes:
    found: name of a case to its row.
  """

  def __init__(self, path: pathlib.Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    self._path = path
    text = path.read_text() if path.exists() else ''
    whole, newline, _ = text.rpartition('\n')
    if whole + newline != text:  # A kill while the last line was written.
      os.truncate(path, len((whole + newline).encode()))
    self.found = {
      row['case']: row for row in map(json.loads, whole.splitlines())
    }

  def get(self, case: str, make: Callable[[], dict[str, Any]]) -> dict:
    """The row of a case; made and kept where it is missing."""
    if case not in self.found:
      row = {'case': case, **make()}
      with self._path.open('a') as file:
        file.write(json.dumps(row) + '\n')
      self.found[case] = row
    return self.found[case]

"""What was decoded of a folder of images, kept as one file of arrays.

There is one file per folder and size, so that a folder that changes does not
leave a trail of them.
"""

import hashlib
import os
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from nasjax import files
from nasjax.errors import InputError

_FORMAT = 2  # Raised when the same files are decoded to other pixels.


class Decoded(NamedTuple):
  """All images of a folder; what the cache holds.

  Attributes:
    images: `uint8[n, size, size, channels]`.
    labels: `int32[n]`.
    files: `str[n]`.
    broken: `str[k]`, files that cannot be read, each with the reason.
  """

  images: np.ndarray
  labels: np.ndarray
  files: np.ndarray
  broken: np.ndarray


def path_of(
  root: pathlib.Path, cache: str | os.PathLike | None, size: int | None
) -> pathlib.Path:
  """Where what was decoded of a folder, at a size, is kept.

  Args:
    root: the folder.
    cache: given by the user, or None for the user's own cache folder.
    size: edge of the images in pixels, None where they decide it.
  """
  if cache is None:
    home = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    cache = pathlib.Path(home) / 'nasjax'
  where = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
  folder = pathlib.Path(cache).expanduser() / 'folders'
  return folder / f'{root.resolve().name}-{where}-{size or "auto"}.npz'


def load(path: pathlib.Path, key: str) -> Decoded | None:
  """What was kept, unless it is of something else or damaged."""
  try:
    files.check_regular(path)
    # Opened here: np.load leaves a damaged file open.
    with path.open('rb') as file, np.load(file) as kept:
      if str(kept['key']) == f'{_FORMAT} {key}':
        return Decoded(*(kept[field] for field in Decoded._fields))
  except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
    pass
  return None


def save(path: pathlib.Path, key: str, decoded: Decoded) -> None:
  """Writes whole or not at all, whoever else writes it, too.

  Raises:
    InputError: it cannot be written there.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as file:
      np.savez(file, key=f'{_FORMAT} {key}', **decoded._asdict())
  except OSError as error:
    raise InputError(
      f'cannot keep decoded images in {path.parent}: {error.strerror}; give a '
      'folder that can be written as data_dir'
    ) from error

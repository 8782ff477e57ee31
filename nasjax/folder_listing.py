"""Which images a folder holds, of which class, and which are for the test.

    DIR/cat/one.jpg, DIR/cat/two.png, ..., DIR/dog/one.jpg, ...

The name of a folder is the name of a class. A hash of a file's name decides
whether its image is for training or for the test, so it stays on its side
whatever comes, goes, or happens to other files. Or the folder is split already:

    DIR/train/cat/one.jpg, ..., DIR/test/cat/one.jpg, ...
"""

import hashlib
import os
import pathlib
import unicodedata
from typing import NamedTuple

from nasjax.errors import InputError

PREFIX = 'folder:'
_SIDES = ('train', 'test')


class Listing(NamedTuple):
  """What lies in a folder.

  Attributes:
    root: the folder.
    class_names: one per class folder, sorted; of the training images.
    files: paths of the images from `root`, with '/', by side and class.
    labels: the class of each file, from 0.
    split: whether the folder has its own split; then paths begin with 'train/'
      or 'test/'.
  """

  root: pathlib.Path
  class_names: tuple[str, ...]
  files: tuple[str, ...]
  labels: tuple[int, ...]
  split: bool


def is_split(root: str | os.PathLike) -> bool:
  """Whether a folder holds train/ and test/, with class folders in train/.

  Without folders in them they are two classes of these names.
  """
  sides = [pathlib.Path(root).expanduser() / side for side in _SIDES]
  if not all(side.is_dir() for side in sides):
    return False
  return any(path.is_dir() for path in _visible(sides[0]))


def list_folder(root: str | os.PathLike) -> Listing:
  """Lists class folders and what they hold; hidden files are left out.

  Raises:
    InputError: there is no such folder, it has no class folders, one of them
      is empty or holds folders. Or its split is of no use: there is more than
      train/ and test/, a class is only in test/, a file is in both.
  """
  name = f'data set {PREFIX}{root}'
  if not str(root):
    raise InputError(f'data set {PREFIX!r} names no folder; give folder:DIR')
  root = pathlib.Path(root).expanduser()
  if not root.is_dir():
    wrong = 'is a file' if root.exists() else 'does not exist'
    raise InputError(f'{name}: {wrong}; give a folder of class folders')
  if not is_split(root):
    names = _class_folders(name, root)
    found = _files(name, root, names)
    return Listing(root, names, *_columns(found, names), split=False)
  more = [path.name for path in _visible(root) if path.name not in _SIDES]
  if more:
    raise InputError(
      f'{name}: holds {more[0]!r} beside train/ and test/; a folder that is '
      'split holds these two alone'
    )
  names, tested = (_class_folders(name, root / side) for side in _SIDES)
  if unknown := [of for of in tested if of not in names]:
    raise InputError(
      f'{name}: its test/ has the class {unknown[0]!r}, its train/ has not'
    )
  train, test = (
    [(f'{side}/{file}', of) for file, of in _files(name, root / side, present)]
    for side, present in zip(_SIDES, (names, tested), strict=True)
  )
  _check_apart(name, root, train, test)
  return Listing(root, names, *_columns(train + test, names), split=True)


def is_test(file: str, fraction: float) -> bool:
  """Whether an image is for the test; depends on its name alone.

  What is for the test at one fraction is so at every larger one.

  Args:
    file: class folder and file name, with '/'.
    fraction: share of the images that is for the test.

  Example:
    >>> files = [f'cat/{i}.jpg' for i in range(1000)]
    >>> sum(is_test(file, 0.2) for file in files)
    210
  """
  # Systems store accents in two ways; a copied folder is to split the same.
  text = unicodedata.normalize('NFC', file).encode(errors='surrogateescape')
  drawn = int.from_bytes(hashlib.sha256(text).digest()[:8])
  return drawn < fraction * 2**64


def _class_folders(name: str, root: pathlib.Path) -> tuple[str, ...]:
  found = tuple(path.name for path in _visible(root) if path.is_dir())
  if not found:
    raise InputError(
      f'{name}: {root} has no class folders; put the images of each class into '
      'a folder of its name, as DIR/cat/1.jpg'
    )
  return found


def _files(
  name: str, root: pathlib.Path, classes: tuple[str, ...]
) -> list[tuple[str, str]]:
  """Paths from `root`, each with the name of its class."""
  found = []
  for of in classes:
    inside = _visible(root / of)
    if nested := [path.name for path in inside if path.is_dir()]:
      raise InputError(
        f'{name}: its folder {of!r} holds folders, as {nested[0]!r}; class '
        'folders hold images alone. A set that is split lies in DIR/train/ and '
        'DIR/test/'
      )
    if not inside:
      raise InputError(f'{name}: its class folder {of!r} is empty')
    found += [(f'{of}/{path.name}', of) for path in inside]
  return found


def _columns(
  found: list[tuple[str, str]], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
  label = {of: i for i, of in enumerate(names)}
  return tuple(f for f, _ in found), tuple(label[of] for _, of in found)


def _check_apart(
  name: str,
  root: pathlib.Path,
  train: list[tuple[str, str]],
  test: list[tuple[str, str]],
) -> None:
  """Raises InputError where a file is on both sides, by a link."""
  there = {_identity(root / file): file for file, _ in train}
  there.pop(None, None)
  for file, _ in test:
    if (same := there.get(_identity(root / file))) is not None:
      raise InputError(
        f'{name}: its split overlaps: {file} and {same} are one file'
      )


def _identity(path: pathlib.Path) -> tuple[int, int] | None:
  try:
    stat = path.stat()
  except OSError:  # A link to nowhere: it is broken when it is read.
    return None
  return stat.st_dev, stat.st_ino


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  try:
    return sorted(p for p in folder.iterdir() if not p.name.startswith('.'))
  except OSError as error:
    raise InputError(f'folder {folder}: {error.strerror}') from error

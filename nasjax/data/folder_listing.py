"""Which images a folder holds, of which class, and on which side each is.

    DIR/cat/one.jpg, DIR/cat/two.png, ..., DIR/dog/one.jpg, ...

The name of a folder is the name of a class. A hash of a file's name decides
whether its image is for training or for the test, so it stays on its side
whatever comes, goes, or happens to other files. Or the folder is split already:

    DIR/train/cat/one.jpg, ..., DIR/val/cat/one.jpg, ..., DIR/test/cat/one.jpg

Without test/, val/ is the test. Hidden files, `__MACOSX` and whatever lies
beside folders and is no folder are left out.
"""

import hashlib
import itertools
import os
import pathlib
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from nasjax.errors import InputError

PREFIX = 'folder:'
# Names of folders, in any case, and the side that each stands for.
_SIDES = {
  'train': 'train',
  'training': 'train',
  'val': 'valid',
  'valid': 'valid',
  'validation': 'valid',
  'test': 'test',
  'testing': 'test',
}
_ORDER = ('train', 'valid', 'test')


class Listing(NamedTuple):
  """What lies in a folder.

  Attributes:
    root: the folder.
    class_names: one per class folder, sorted; of the training images.
    files: paths of the images from `root`, with '/', by side and class.
    labels: the class of each file, from 0.
    sides: where the folder is split: the names of its folders, which paths
      begin with, to 'train', 'valid' or 'test', in this order; else empty.
  """

  root: pathlib.Path
  class_names: tuple[str, ...]
  files: tuple[str, ...]
  labels: tuple[int, ...]
  sides: Mapping[str, str]


def sides(root: str | os.PathLike) -> dict[str, str]:
  """The folders that a folder is split into, each with its side.

  It is split where it holds train/, with class folders in it, and val/ or test/
  or both; folders of these names without folders in train/ are classes.

  Returns:
    Name of a folder to 'train', 'valid' or 'test', in this order; without a
    test, what is named for validation is the test. Empty for a folder that is
    not split.
  """
  root = _expanded(root)
  if not os.path.isdir(root):
    return {}
  there = {path.name: _SIDES.get(path.name.lower()) for path in _folders(root)}
  found = {
    name: side for of in _ORDER for name, side in there.items() if side == of
  }
  split = any(_folders(root / name) for name in found if found[name] == 'train')
  if not split or len(set(found.values())) < 2:
    return {}
  if 'test' not in found.values():
    renamed = {'train': 'train', 'valid': 'test'}
    found = {name: renamed[side] for name, side in found.items()}
  return found


def list_folder(root: str | os.PathLike) -> Listing:
  """Lists class folders and what they hold.

  Raises:
    InputError: there is no such folder, it has no class folders, one of them
      is empty or holds folders, or a link leads nowhere. Or its split is of no
      use: there are other folders, two for one side, a class without training
      images, a file on two sides.
  """
  name = f'data set {PREFIX}{root}'
  if not str(root):
    raise InputError(f'data set {PREFIX!r} names no folder; give folder:DIR')
  root = _expanded(root)
  _check_folder(name, root)
  split = sides(root)
  if not split:
    names = _class_folders(name, root)
    found = _files(name, root, names)
    return Listing(root, names, *_columns(found, names), split)
  _check_sides(name, root, split)
  train, *others = split
  names = _class_folders(name, root / train)
  parts = {train: _under(name, root, train, names)}
  for side in others:
    classes = _class_folders(name, root / side)
    if unknown := [of for of in classes if of not in names]:
      raise InputError(
        f'{name}: its {side}/ has the class {unknown[0]!r}, its {train}/ has '
        'not'
      )
    parts[side] = _under(name, root, side, classes)
  for one, other in itertools.combinations(parts.values(), 2):
    _check_apart(name, root, one, other)
  found = [pair for part in parts.values() for pair in part]
  return Listing(root, names, *_columns(found, names), split)


def is_for_validation(folder: str) -> bool:
  """Whether the name of a folder of a split says that it is for validation.

  Example:
    >>> is_for_validation('Val'), is_for_validation('test')
    (True, False)
  """
  return _SIDES[folder.lower()] == 'valid'


def is_test(file: str, fraction: float) -> bool:
  """Whether an image is for the test; depends on its name alone.

  What is for the test at one fraction is so at every larger one.

  Args:
    file: class folder and file name, with '/'.
    fraction: fraction of the images that is for the test.

  Example:
    >>> files = [f'cat/{i}.jpg' for i in range(1000)]
    >>> sum(is_test(file, 0.2) for file in files)
    210
  """
  # Systems store accents in two ways; a copied folder is to split the same.
  text = unicodedata.normalize('NFC', file).encode(errors='surrogateescape')
  drawn = int.from_bytes(hashlib.sha256(text).digest()[:8])
  return drawn < fraction * 2**64


def _expanded(root: str | os.PathLike) -> pathlib.Path:
  # That of pathlib raises an error of its own for users that there are not.
  return pathlib.Path(os.path.expanduser(root))


def _check_folder(name: str, root: pathlib.Path) -> None:
  if os.path.isdir(root):
    return
  try:
    root.stat()
    wrong = 'is a file'
  except FileNotFoundError:
    wrong = 'does not exist'
  except OSError as error:  # A link loop, a name too long, a locked folder.
    wrong = f'cannot be read: {error.strerror}'
  raise InputError(f'{name}: {wrong}; give a folder of class folders')


def _check_sides(
  name: str, root: pathlib.Path, split: Mapping[str, str]
) -> None:
  """Raises InputError for folders beside a split, and for two of one side."""
  _check_links(name, root)
  whole = ' and '.join(f'{side}/' for side in split)
  for one, other in itertools.combinations(split, 2):
    if _SIDES[one.lower()] == _SIDES[other.lower()]:
      raise InputError(
        f'{name}: holds both {one!r} and {other!r}; put their images into one '
        'of them'
      )
  more = [path.name for path in _folders(root) if path.name not in split]
  if more:
    raise InputError(
      f'{name}: holds {more[0]!r} beside {whole}; a folder that is split holds '
      'train/, val/ and test/ alone'
    )


def _check_links(name: str, folder: pathlib.Path) -> None:
  """Raises InputError for a link that may have led to a class or a side."""
  for path in _visible(folder):
    if path.is_symlink() and not os.path.exists(path):
      raise InputError(f'{name}: {path} is a broken link; repair or remove it')


def _class_folders(name: str, root: pathlib.Path) -> tuple[str, ...]:
  _check_links(name, root)
  found = tuple(path.name for path in _folders(root))
  if not found:
    raise InputError(
      f'{name}: {root} has no class folders; put the images of each class into '
      'a folder of its name, as DIR/cat/1.jpg'
    )
  return found


def _under(
  name: str, root: pathlib.Path, side: str, classes: tuple[str, ...]
) -> list[tuple[str, str]]:
  found = _files(name, root / side, classes)
  return [(f'{side}/{file}', of) for file, of in found]


def _files(
  name: str, root: pathlib.Path, classes: tuple[str, ...]
) -> list[tuple[str, str]]:
  """Paths from `root`, each with the name of its class."""
  found = []
  for of in classes:
    inside = _visible(root / of)
    if nested := [path.name for path in inside if os.path.isdir(path)]:
      raise InputError(
        f'{name}: its folder {of!r} holds folders, as {nested[0]!r}; class '
        'folders hold images alone. A set that is split lies in DIR/train/ and '
        'DIR/test/, or DIR/val/'
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
  some: list[tuple[str, str]],
  others: list[tuple[str, str]],
) -> None:
  """Raises InputError where a file is on both sides, by a link."""
  there = {_identity(root / file): file for file, _ in some}
  there.pop(None, None)
  for file, _ in others:
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


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
  return [path for path in _visible(folder) if os.path.isdir(path)]


def _visible(folder: pathlib.Path) -> list[pathlib.Path]:
  """What a folder holds, but for hidden files and what macOS adds to archives.

  Raises:
    InputError: it cannot be read.
  """
  try:
    found = sorted(folder.iterdir())
  except OSError as error:
    raise InputError(f'folder {folder}: {error.strerror}') from error
  return [p for p in found if p.name[0] != '.' and p.name != '__MACOSX']

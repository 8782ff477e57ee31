"""Reads a folder of class folders of images, of any kind and size.

Which images there are, and which are for the test, says
`nasjax.data.folder_listing`.

What was decoded is kept in a cache, one file per folder and size, which is
made anew when the name, size or time of any image has changed.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import PIL

from nasjax import checks
from nasjax.data import folder_cache
from nasjax.data import images as image
from nasjax.data.folder_listing import (
  PREFIX,
  Listing,
  is_for_validation,
  is_test,
  list_folder,
)
from nasjax.data.oddities import Side, listed, oddities
from nasjax.errors import InputError

DEFAULT_SIZE = 64
# The sides of a listing, as messages call them.
_CALLED = {'train': 'training', 'valid': 'validation', 'test': 'test'}

_WORKERS = min(8, os.cpu_count() or 1)


class Source(NamedTuple):
  """A decoded folder.

  Attributes:
    sides: 'training', 'validation' where the folder holds it, and 'test'.
    test_split: folder of the test images, 'test' where there is no such folder.
    broken: files that were skipped, each with the reason.
    remarks: what a user should know of the images, a line for each.
  """

  sides: dict[str, Side]
  test_split: str
  broken: tuple[str, ...]
  remarks: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
  """A folder whose images are known by their headers; `read` decodes them.

  Attributes:
    found: what lies in it.
    test_fraction: see `open_folder`.
    broken: see `open_folder`.
    image_shape: height, width and channels of every decoded image.
    path: of the cache.
    key: what the cache has to be of.
    kept: what was decoded before, if it is still of these files.
    wrong: files that are known to be broken, by place, each with the reason.
    write: see `open_folder`.
  """

  found: Listing
  test_fraction: float
  broken: str
  image_shape: tuple[int, int, int]
  path: pathlib.Path
  key: str
  kept: folder_cache.Decoded | None
  wrong: Mapping[int, str]
  write: bool = True

  @property
  def name(self) -> str:
    """What messages call it."""
    return f'data set {PREFIX}{self.found.root}'

  def count(self, side: str) -> int:
    """Files of a side, whether or not all of them can be read."""
    kept = self.kept
    files = self.found.files if kept is None else kept.files.tolist()
    return int((_sides_of(self, files) == side).sum())


def open_folder(
  root: str | os.PathLike,
  cache: str | os.PathLike | None = None,
  *,
  image_size: int | None = None,
  test_fraction: float = 0.2,
  broken: str = 'refuse',
  write: bool = True,
) -> Opened:
  """Lists a folder and reads the headers of its images.

  Args:
    root: the folder of class folders.
    cache: folder for what is decoded, made if need be; None is `nasjax` in the
      user's own cache folder.
    image_size: edge in pixels of what each image's middle is resized to, at
      least 1; None is that of the images if they are square and of one size,
      else 64.
    test_fraction: approximate fraction of test images; no effect on a folder
      that is split.
    broken: what to do with files that cannot be read: 'refuse' or 'skip'.
    write: whether what is decoded is kept in the cache.

  Returns:
    The folder; its images are grey (one channel) if none of them has colours.

  Raises:
    InputError: the folder is not there, or not of class folders of images; an
      argument is out of its range, or the images are more than the memory
      holds.
  """
  if broken not in ('refuse', 'skip'):
    raise InputError(f'broken is {broken!r}; it must be refuse or skip')
  checks.check_test_fraction(test_fraction)
  found = list_folder(root)
  path = folder_cache.path_of(found.root, cache, image_size)
  key = key_of(found)
  kept, wrong = folder_cache.load(path, key), {}
  if kept is None:
    shape, wrong = _measured(found, image_size)
  else:
    shape = kept.images.shape[1:]
  read_so_far = path, key, kept, wrong
  return Opened(found, test_fraction, broken, shape, *read_so_far, write)


def read(opened: Opened) -> Source:
  """Decodes all images of a folder, or takes what was kept of them.

  Raises:
    InputError: files cannot be read and are not to be skipped; a class has no
      image for training, or none is left for the test; the cache cannot be
      written.
  """
  found, name = opened.found, opened.name
  decoded = opened.kept or _decode(opened)
  broken = tuple(decoded.broken.tolist())
  if broken and opened.broken == 'refuse':
    raise InputError(
      f'{name}: {len(broken)} of {len(found.files)} files cannot be read as '
      f'images: {listed(broken)}; repair or remove them, or give broken=skip'
    )
  if opened.kept is None and opened.write:
    folder_cache.save(opened.path, opened.key, decoded)
  side_of = _sides_of(opened, decoded.files.tolist())
  _check_sides(opened, decoded.labels, side_of)
  columns = decoded.images, decoded.labels, decoded.files
  sides = {
    called: Side(*(column[side_of == side] for column in columns))
    for side, called in _CALLED.items()
    if side in side_of
  }
  folders = {side: folder for folder, side in found.sides.items()}
  return Source(
    sides,
    folders.get('test', 'test'),
    broken,
    _of_split(folders) + oddities(sides, found.class_names),
  )


def _of_split(folders: Mapping[str, str]) -> tuple[str, ...]:
  """What is said of a split that has images for validation."""
  if 'valid' in folders:
    return (
      f'{folders["valid"]}/ is kept from training and from the test; its '
      'images choose weights or alphas',
    )
  if folders and is_for_validation(folders['test']):
    return (f'{folders["test"]}/ is the test, as there is no test/',)
  return ()


def _sides_of(opened: Opened, files: Sequence[str]) -> np.ndarray:
  """The side of each file: 'train', 'valid' or 'test'."""
  split = opened.found.sides
  if split:
    return np.array([split[f.partition('/')[0]] for f in files], str)
  fraction = opened.test_fraction
  drawn = ['test' if is_test(f, fraction) else 'train' for f in files]
  return np.array(drawn, str)


def _check_sides(opened: Opened, labels: np.ndarray, sides: np.ndarray) -> None:
  name, split, fraction = opened.name, opened.found.sides, opened.test_fraction
  for label, of in enumerate(opened.found.class_names):
    if not (labels == label).any():
      raise InputError(f'{name}: no file of class {of!r} can be read')
    if ((sides == 'train') & (labels == label)).any():
      continue
    if split:
      raise InputError(f'{name}: no training file of class {of!r} can be read')
    raise InputError(
      f'{name}: test_fraction {fraction} leaves class {of!r} no training '
      f'image of its {(labels == label).sum()}; add images or lower it'
    )
  for folder, side in split.items():
    if not (sides == side).any():
      raise InputError(f'{name}: no file in {folder}/ can be read')
  if not split and not (sides == 'test').any():
    raise InputError(
      f'{name}: test_fraction {fraction} leaves none of {len(labels)} images '
      'for the test; add images or raise it'
    )


def _tried(read: Callable, found: Listing, i: int, wrong: dict[int, str]):
  """What `read` gives of a file; None, and a line in `wrong`, if broken."""
  try:
    return read(found.root / found.files[i])
  except image.BrokenError as error:
    wrong[i] = f'{found.files[i]} ({error})'
    return None


def _measured(
  found: Listing, image_size: int | None
) -> tuple[tuple[int, int, int], dict[int, str]]:
  """The shape that headers lead to, and which files are broken already."""
  wrong: dict[int, str] = {}
  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    read = functools.partial(_tried, image.header, found, wrong=wrong)
    headers = [h for h in pool.map(read, range(len(found.files))) if h]
  size = image_size or _common_size(headers)
  grey = all(header.grey for header in headers)
  shape = (size, size, 1 if grey else 3)
  image.check_memory(f'{PREFIX}{found.root}', len(found.files), shape)
  return shape, wrong


def _decode(opened: Opened) -> folder_cache.Decoded:
  """Decodes all files but those that are known to be broken."""
  found, wrong, shape = opened.found, dict(opened.wrong), opened.image_shape
  places = range(len(found.files))
  images = np.zeros((len(places), *shape), np.uint8)
  mode = 'L' if shape[-1] == 1 else 'RGB'

  def decode(i):
    if i in wrong:
      return
    if (picture := _tried(image.read, found, i, wrong)) is not None:
      images[i] = image.square(picture.convert(mode), shape[0])

  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    list(pool.map(decode, places))  # Makes a thread's error this function's.
  good = np.array([i not in wrong for i in places])
  return folder_cache.Decoded(
    images[good],
    np.array(found.labels, np.int32)[good],
    np.array(found.files)[good],
    np.array([wrong[i] for i in sorted(wrong)], dtype=str),
  )


def _common_size(headers: list[image.Header]) -> int:
  sizes = {(header.width, header.height) for header in headers}
  width, height = sizes.pop() if len(sizes) == 1 else (0, 1)
  return width if width == height else DEFAULT_SIZE


def key_of(found: Listing) -> str:
  """A hash of all that decides what is decoded."""
  key = hashlib.sha256(f'{PIL.__version__}\n'.encode())
  for file in found.files:
    try:
      stat = (found.root / file).stat()
    except OSError:  # A link to nowhere: it is broken when it is read.
      key.update(f'{file!r}\n'.encode())
      continue
    key.update(f'{file!r} {stat.st_size} {stat.st_mtime_ns}\n'.encode())
  return key.hexdigest()

"""Reads a folder of class folders of images, of any kind and size.

Which images there are, and which are for the test, says
`nasjax.folder_listing`.

What was decoded is kept in a cache, one file per folder and size, which is
made anew when the name, size or time of any image has changed.
"""

import concurrent.futures
import hashlib
import os
from typing import NamedTuple

import numpy as np
import PIL

from nasjax import folder_cache, image
from nasjax.errors import InputError
from nasjax.folder_listing import PREFIX, Listing, is_test, list_folder

DEFAULT_SIZE = 64

_LISTED = 10  # Files in a message, which is to stay one line.
_WORKERS = min(8, os.cpu_count() or 1)


class Source(NamedTuple):
  """A decoded folder.

  Attributes:
    train: `(images, labels)`: `uint8[n, size, size, channels]`, `int32[n]`.
    test: likewise.
    class_names: names of the class folders, sorted.
    broken: files that were skipped, each with the reason.
  """

  train: tuple[np.ndarray, np.ndarray]
  test: tuple[np.ndarray, np.ndarray]
  class_names: tuple[str, ...]
  broken: tuple[str, ...]


def read(
  root: str | os.PathLike,
  cache: str | os.PathLike | None = None,
  *,
  image_size: int | None = None,
  test_fraction: float = 0.2,
  broken: str = 'refuse',
) -> Source:
  """Reads all images of a folder, or what was kept of them.

  Args:
    root: the folder of class folders.
    cache: folder for what was decoded, made if need be; None is `nasjax` in the
      user's own cache folder.
    image_size: edge in pixels of what each image's middle is resized to; None
      is that of the images if they are square and of one size, else 64.
    test_fraction: share of the images that is for the test, about; of no effect
      on a folder that is split.
    broken: what to do with files that cannot be read: 'refuse' or 'skip'.

  Returns:
    The images, grey (one channel) if none of them has colours.

  Raises:
    InputError: the folder is not there, or not of class folders of images;
      files cannot be read and are not to be skipped; a class has no image for
      training, or none is left for the test; the cache cannot be written.
  """
  if broken not in ('refuse', 'skip'):
    raise InputError(f'broken is {broken!r}; it must be refuse or skip')
  if not 0 < test_fraction < 1:
    raise InputError(
      f'test_fraction is {test_fraction}; it must be between 0 and 1'
    )
  if image_size is not None and image_size < 1:
    raise InputError(f'image_size is {image_size}; it must be at least 1')
  found = list_folder(root)
  name = f'data set {PREFIX}{found.root}'
  path = folder_cache.path_of(found.root, cache, image_size)
  key = key_of(found)
  kept = folder_cache.load(path, key)
  decoded = kept or _decode(found, image_size)
  if len(decoded.broken) and broken == 'refuse':
    raise InputError(
      f'{name}: {len(decoded.broken)} of {len(found.files)} files cannot be '
      f'read as images: {listed(decoded.broken)}; mend or remove them, or give '
      '--broken=skip'
    )
  if kept is None:
    folder_cache.save(path, key, decoded)
  if found.split:
    in_test = np.char.startswith(decoded.files, 'test/')
  else:
    in_test = np.array([is_test(f, test_fraction) for f in decoded.files], bool)
  fraction = None if found.split else test_fraction
  _check_sides(name, found.class_names, decoded.labels, in_test, fraction)
  images, labels = decoded.images, decoded.labels
  return Source(
    (images[~in_test], labels[~in_test]),
    (images[in_test], labels[in_test]),
    found.class_names,
    tuple(decoded.broken.tolist()),
  )


def listed(names: np.ndarray | tuple[str, ...]) -> str:
  """The first names, and how many there are besides."""
  more = len(names) - _LISTED
  text = ', '.join(names[:_LISTED])
  return text + (f' and {more} more' if more > 0 else '')


def _check_sides(
  name: str,
  class_names: tuple[str, ...],
  labels: np.ndarray,
  in_test: np.ndarray,
  fraction: float | None,
) -> None:
  for label, of in enumerate(class_names):
    if not (labels == label).any():
      raise InputError(f'{name}: no file of class {of!r} can be read')
    if (~in_test & (labels == label)).any():
      continue
    if fraction is None:
      raise InputError(f'{name}: no training file of class {of!r} can be read')
    raise InputError(
      f'{name}: test_fraction {fraction} leaves class {of!r} no training '
      f'image of its {(labels == label).sum()}; add images or lower it'
    )
  if in_test.any():
    return
  if fraction is None:
    raise InputError(f'{name}: no file in test/ can be read')
  raise InputError(
    f'{name}: test_fraction {fraction} leaves none of {len(labels)} images '
    'for the test; add images or raise it'
  )


def _decode(found: Listing, image_size: int | None) -> folder_cache.Decoded:
  """Headers first, which say the size and the channels, then all pixels."""
  wrong: dict[int, str] = {}

  def tried(read, i):
    try:
      return read(found.root / found.files[i])
    except image.BrokenError as error:
      wrong[i] = f'{found.files[i]} ({error})'
      return None

  places = range(len(found.files))
  with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
    headers = [
      h for h in pool.map(lambda i: tried(image.header, i), places) if h
    ]
    size = image_size or _common_size(headers)
    grey = all(header.grey for header in headers)
    shape = (size, size, 1 if grey else 3)
    image.check_memory(f'{PREFIX}{found.root}', len(places), shape)
    images = np.zeros((len(places), *shape), np.uint8)

    def decode(i):
      if i not in wrong and (picture := tried(image.read, i)) is not None:
        mode = 'L' if grey else 'RGB'
        images[i] = image.square(picture.convert(mode), size)

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

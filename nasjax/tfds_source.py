"""Reads prepared TFDS sets into arrays, without TensorFlow.

Only sets in the array_record format are read. Nothing is downloaded, and TFDS
is imported when the first set is asked for, because that takes its time.
"""

import concurrent.futures
import functools
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax.errors import InputError

_CHUNK = 64  # Rows that a thread reads at a time.
_LISTED = 10  # Names in a message, which is to stay one line.
_WORKERS = min(8, os.cpu_count() or 1)
# Smaller images are decoded faster by one thread: with more, most of the work
# holds Python's lock, and they wait for one another.
_THREADS_FROM_BYTES = 30_000


class Source(NamedTuple):
  """A decoded set.

  Attributes:
    train: `(images, labels)`: `uint8[n, height, width, channels]`, `int32[n]`.
    test: likewise.
    test_split: the split that `test` came from.
    class_names: one per class.
  """

  train: tuple[np.ndarray, np.ndarray]
  test: tuple[np.ndarray, np.ndarray]
  test_split: str
  class_names: tuple[str, ...]


def read(
  name: str, data_dir: str | os.PathLike | None, *, embedded: str
) -> Source:
  """Reads the 'train' and 'test' splits of a prepared set.

  Where 'test' is missing, empty or unlabelled (its labels are -1, as in
  ImageNet's), 'validation' takes its place.

  Args:
    name: the set's name for TFDS, with its configuration if it has several.
    data_dir: where it is prepared; None is TFDS's own default.
    embedded: name of a set that is there without TFDS, for messages.

  Raises:
    InputError: the set is unknown, not prepared, not readable or not one of
      image classification in one size.
  """
  if data_dir is not None:
    data_dir = pathlib.Path(data_dir).expanduser()
  builder = _builder(name, data_dir, embedded)
  image, label = _keys(name, builder.info)
  classes = tuple(builder.info.features[label].names)
  sizes = {s: i.num_examples for s, i in builder.info.splits.items()}
  sizes = {split: size for split, size in sizes.items() if size}
  if 'train' not in sizes:
    raise InputError(
      f"data set {name!r} has no 'train' split; it has {_listing(sizes)}"
    )
  get = functools.partial(_rows, name, builder)
  candidates = [s for s in ('test', 'validation') if s in sizes]
  test_split = next((s for s in candidates if get(s)[0][label] >= 0), None)
  if test_split is None:
    raise InputError(
      f"data set {name!r} has no labelled 'test' or 'validation' split; it has "
      f'{_listing(sizes)}'
    )
  train, test = (
    _decode(f'{name}, {part}', get(part), image, label, len(classes))
    for part in ('train', test_split)
  )
  if train[0].shape[1:] != test[0].shape[1:]:
    raise _sizes_differ(name, train[0].shape[1:], test[0].shape[1:])
  return Source(train, test, test_split, classes)


def prepared(data_dir: pathlib.Path) -> list[str]:
  """Names of the sets that are prepared in a folder, configurations too."""
  # NAME/VERSION/ or NAME/CONFIGURATION/VERSION/, each with its description.
  found = [
    file.parent.parent.relative_to(data_dir).as_posix()
    for pattern in ('*/*', '*/*/*')
    for file in data_dir.glob(f'{pattern}/dataset_info.json')
  ]
  return sorted(set(found))


def _builder(name: str, data_dir: pathlib.Path | None, embedded: str) -> Any:
  """The TFDS builder of a set that is there, in the format that is read."""
  import tensorflow_datasets as tfds

  try:
    builder = tfds.builder(name, data_dir=data_dir)
  except Exception as error:
    # TFDS has many ways to refuse a name: an unknown set, configuration,
    # version or namespace, or bad syntax, each of another type.
    known = embedded
    if data_dir is not None:
      known += f', one in {data_dir} ({_listing(prepared(data_dir))})'
    wrong = f'unknown data set {name!r}'
    if not isinstance(error, tfds.core.DatasetNotFoundError):
      # Its first sentence, less the echo of the arguments before it.
      reason = str(error).split('": ')[-1].split('\n')[0].split('. ')[0]
      reason = reason.rstrip('.')
      wrong = f'data set name {name!r} cannot be used ({reason})'
    raise InputError(
      f'{wrong}; choose {known}, or the name of another TFDS set'
    ) from error
  folder = '' if data_dir is None else f', data_dir={str(data_dir)!r}'
  command = (
    'python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder({name!r}{folder}, file_format='array_record')"
    '.download_and_prepare()"'
  )
  if not builder.is_prepared():
    raise InputError(
      f'data set {name!r} is not prepared in {builder.data_dir}; prepare it '
      f'with: {command}'
    )
  formats = sorted(f.value for f in builder.info.available_file_formats())
  if 'array_record' not in formats:
    # Of parquet, TFDS's data source silently returns only part of the rows.
    raise InputError(
      f'data set {name!r} in {builder.data_dir} has the format '
      f'{_listing(formats)}, only array_record can be read; remove that folder '
      f'and prepare it again with: {command}'
    )
  return builder


def _keys(name: str, info: Any) -> tuple[str, str]:
  """Which features are the image and the label."""
  import tensorflow_datasets as tfds

  features = info.features or {}
  keys = info.supervised_keys or ()
  if len(keys) != 2 or not all(isinstance(key, str) for key in keys):
    keys = ('image', 'label')
  image, label = (features[k] if k in features else None for k in keys)
  shape = getattr(image, 'shape', None)
  if (
    not isinstance(shape, tuple)
    or len(shape) not in (2, 3)
    or image.np_dtype != np.uint8
    or not isinstance(label, tfds.features.ClassLabel)
    or not label.names
  ):
    raise InputError(
      f'data set {name!r} is not one of image classification: a uint8 image '
      f'and a class label are needed, its features are '
      f'{_listing(sorted(features))}'
    )
  return keys


def _rows(name: str, builder: Any, split: str) -> Sequence[dict[str, Any]]:
  try:
    rows = builder.as_data_source(split, file_format='array_record')
    rows[0]
  except (OSError, RuntimeError) as error:
    raise _unreadable(f'{name}, {split}', error) from error
  return rows


def _decode(
  what: str,
  rows: Sequence[dict[str, Any]],
  image: str,
  label: str,
  num_classes: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Decodes all rows: `uint8[n, height, width, channels]`, `int32[n]`."""
  shape = rows[0][image].shape
  images = np.empty((len(rows), *shape), np.uint8)
  labels = np.empty(len(rows), np.int32)

  def decode(start: int) -> None:
    places = range(start, min(start + _CHUNK, len(rows)))
    for i, row in zip(places, rows.__getitems__(places), strict=True):
      if row[image].shape != shape:
        raise _sizes_differ(what, shape, row[image].shape)
      images[i] = row[image]
      labels[i] = row[label]

  small = np.prod(shape) < _THREADS_FROM_BYTES
  try:
    with concurrent.futures.ThreadPoolExecutor(
      1 if small else _WORKERS
    ) as pool:
      # The list makes the first error of a thread this function's.
      list(pool.map(decode, range(0, len(rows), _CHUNK)))
  except (OSError, RuntimeError) as error:
    raise _unreadable(what, error) from error
  if labels.min() < 0 or labels.max() >= num_classes:
    raise InputError(
      f'data set {what}: labels go from {labels.min()} to {labels.max()}; for '
      f'{num_classes} classes they must be 0 to {num_classes - 1}'
    )
  return images[..., None] if len(shape) == 2 else images, labels


def _sizes_differ(what: str, one: tuple, other: tuple) -> InputError:
  return InputError(
    f'data set {what}: images differ in size, as {_by(one)} and {_by(other)}; '
    f'only sets of images of one size can be used'
  )


def _unreadable(what: str, error: Exception) -> InputError:
  reason = ' '.join(str(error).split())[:200]
  return InputError(
    f'data set {what}: cannot be read, its files are missing or damaged; '
    f'remove its folder and prepare it again ({reason})'
  )


def _by(shape: tuple) -> str:
  return ' x '.join(map(str, shape))


def _listing(names: Iterable[str]) -> str:
  names = list(names)
  more = len(names) - _LISTED
  text = ', '.join(names[:_LISTED]) or 'none'
  return text + (f' and {more} more' if more > 0 else '')

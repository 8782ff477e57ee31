"""Finds, and where it can prepares, TFDS sets, and says what is in them.

Only sets in the array_record format are read, which needs no TensorFlow.
Preparing one needs it. TFDS is imported when the first set is asked for,
because that takes its time.
"""

import importlib.util
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from nasjax.data import tfds_files
from nasjax.errors import InputError

_LISTED = 10  # Names in a message, which is to stay one line.


class Rows(Protocol):
  """A split as TFDS reads it: features by name, of the row at a place."""

  def __len__(self) -> int: ...

  def __getitem__(self, place: int, /) -> dict[str, Any]: ...

  def __getitems__(
    self, places: Sequence[int], /
  ) -> Sequence[dict[str, Any]]: ...


class Opened(NamedTuple):
  """A prepared set, and what of it is read.

  Attributes:
    name: the name that the user gave.
    builder: the builder of TFDS.
    image: name of the feature that is the image.
    label: name of the feature that is its class.
    class_names: one per class.
    train_split: split of the training images, such as 'train[:80%]'.
    test_split: split of the test images; it has labels, and no image of
      `train_split`.
  """

  name: str
  builder: Any
  image: str
  label: str
  class_names: tuple[str, ...]
  train_split: str
  test_split: str

  def rows(self, split: str) -> Rows:
    """All rows of a split, decoded when one is asked for.

    Raises:
      InputError: their files are missing or damaged.
    """
    try:
      rows = self.builder.as_data_source(split, file_format='array_record')
      rows[0]
    except (OSError, RuntimeError) as error:
      raise unreadable(f'{self.name}, {split}', error) from error
    return rows

  def labels(self, split: str) -> Iterator[int]:
    """The labels of a split, read one by one; no image is decoded.

    Raises:
      InputError: their files are missing or damaged.
    """
    import tensorflow_datasets as tfds

    try:
      rows = self.builder.as_data_source(
        split,
        file_format='array_record',
        decoders={self.image: tfds.decode.SkipDecoding()},
      )
      for i in range(len(rows)):
        yield int(rows[i][self.label])
    except (OSError, RuntimeError) as error:
      raise unreadable(f'{self.name}, {split}', error) from error


def open_set(
  name: str,
  data_dir: str | os.PathLike | None,
  *,
  embedded: str,
  train_split: str | None = None,
  test_split: str | None = None,
  write: bool = True,
) -> Opened:
  """Opens a set, and prepares it first if it is not there and TensorFlow is.

  Args:
    name: the set's name for TFDS, with its configuration if it has several.
    data_dir: where it is prepared; None is TFDS's own default.
    embedded: name of a set that is there without TFDS, for messages.
    train_split: None is 'train'.
    test_split: None is 'test'; where that is missing, empty or unlabelled (its
      labels are -1, as in ImageNet's), 'validation'.
    write: whether the set may be prepared.

  Raises:
    InputError: the set is unknown, not prepared, not readable or not one of
      image classification; or its splits are not there, empty, unlabelled, or
      have images in common.
  """
  if data_dir is not None:
    data_dir = pathlib.Path(data_dir).expanduser()
  builder = _builder(name, data_dir, embedded, write)
  image, label = _keys(name, builder.info)
  classes = tuple(builder.info.features[label].names)
  opened = Opened(name, builder, image, label, classes, '', '')
  sizes = {s: i.num_examples for s, i in builder.info.splits.items()}
  sizes = {split: size for split, size in sizes.items() if size}
  if train_split is None and 'train' not in sizes:
    raise InputError(
      f"data set {name!r} has no 'train' split; it has {listing(sizes)}"
    )
  opened = opened._replace(train_split=train_split or 'train')
  trained = _ranges(opened, opened.train_split)
  if test_split is None:
    opened = opened._replace(test_split=_default_test(opened, sizes))
  else:
    opened = opened._replace(test_split=test_split)
    _ranges(opened, test_split)
    if opened.rows(test_split)[0][label] < 0:
      raise InputError(f'data set {name!r}: split {test_split!r} has no labels')
  tested = _ranges(opened, opened.test_split)
  if common := _common(trained, tested):
    raise InputError(
      f'data set {name!r}: the splits {opened.train_split!r} for training and '
      f'{opened.test_split!r} for the test overlap in {common}; give '
      "train_split and test_split without common images, as 'train[:80%]' "
      "and 'train[80%:]'"
    )
  return opened


def prepared(data_dir: pathlib.Path) -> list[str]:
  """Names of the sets that are prepared in a folder, configurations too."""
  # NAME/VERSION/ or NAME/CONFIGURATION/VERSION/, each with its description.
  found = [
    file.parent.parent.relative_to(data_dir).as_posix()
    for pattern in ('*/*', '*/*/*')
    for file in data_dir.glob(f'{pattern}/dataset_info.json')
  ]
  return sorted(set(found))


def _builder(
  name: str, data_dir: pathlib.Path | None, embedded: str, write: bool
) -> Any:
  """The TFDS builder of a set that is there, in the format that is read."""
  import tensorflow_datasets as tfds

  tfds_files.check(name, data_dir, embedded)
  try:
    builder = tfds.builder(name, data_dir=data_dir)
  except Exception as error:
    # TFDS has many ways to refuse a name: an unknown set, configuration,
    # version or namespace, or bad syntax, each of another type.
    known = embedded
    if data_dir is not None:
      known += f', one in {data_dir} ({listing(prepared(data_dir))})'
    wrong = f'unknown data set {name!r}'
    if not isinstance(error, tfds.core.DatasetNotFoundError):
      # Its first sentence, less the echo of the arguments before it.
      reason = str(error).split('": ')[-1].split('\n')[0].split('. ')[0]
      reason = reason.rstrip('.')
      wrong = f'data set name {name!r} cannot be used ({reason})'
    raise InputError(
      f'{wrong}; choose {known}, or the name of another TFDS set, or folder:DIR'
    ) from error
  folder = '' if data_dir is None else f', data_dir={str(data_dir)!r}'
  command = (
    'python -c "import tensorflow_datasets as tfds; '
    f"tfds.builder({name!r}{folder}, file_format='array_record')"
    '.download_and_prepare()"'
  )
  if not builder.is_prepared():
    if not write:
      raise InputError(
        f'data set {name!r} is not prepared in {builder.data_dir}, and nothing '
        f'is written here; if you trust both names, prepare it with: {command}'
      )
    if importlib.util.find_spec('tensorflow') is None:
      raise InputError(
        f'data set {name!r} is not prepared in {builder.data_dir}, which needs '
        'TensorFlow; pip install tensorflow and give the same command '
        f'again, or, where TensorFlow is, prepare it with: {command}'
      )
    builder = _prepare(name, data_dir, command)
  formats = sorted(f.value for f in builder.info.available_file_formats())
  if 'array_record' not in formats:
    # Of parquet, TFDS's data source silently returns only part of the rows.
    raise InputError(
      f'data set {name!r} in {builder.data_dir} has the format '
      f'{listing(formats)}, only array_record can be read; remove that folder '
      f'and prepare it again with: {command}'
    )
  return builder


def _prepare(name: str, data_dir: pathlib.Path | None, command: str) -> Any:
  import tensorflow_datasets as tfds

  builder = tfds.builder(name, data_dir=data_dir, file_format='array_record')
  try:
    builder.download_and_prepare()
  except Exception as error:
    # No network, no space, a file that has to be fetched by hand: TFDS has an
    # error of another type for each, of many lines.
    reason = ' '.join(str(error).split())[:300] or type(error).__name__
    raise InputError(
      f'data set {name!r} is not prepared in {builder.data_dir} and could not '
      f'be ({reason}); once that is repaired, prepare it with: {command}'
    ) from error
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
    image is None
    or not isinstance(shape, tuple)
    or len(shape) not in (2, 3)
    or image.np_dtype != np.uint8
    or not isinstance(label, tfds.features.ClassLabel)
    or not label.names
  ):
    raise InputError(
      f'data set {name!r} is not one of image classification: a uint8 image '
      f'and a class label are needed, its features are '
      f'{listing(sorted(features))}'
    )
  return keys


def _default_test(opened: Opened, sizes: dict[str, int]) -> str:
  for split in ('test', 'validation'):
    if split in sizes and opened.rows(split)[0][opened.label] >= 0:
      return split
  raise InputError(
    f"data set {opened.name!r} has no labelled 'test' or 'validation' split; "
    f'it has {listing(sizes)}: give train_split and test_split, as '
    "'train[:80%]' and 'train[80%:]'"
  )


# Images `start` to `stop` of a split.
_Ranges = list[tuple[str, int, int]]


def _ranges(opened: Opened, split: str) -> _Ranges:
  """Which images a split has; refuses one that has none or some twice."""
  import tensorflow_datasets as tfds

  infos = opened.builder.info.splits
  try:
    parts = tfds.core.ReadInstruction.from_spec(split).to_absolute(infos)
  except ValueError as error:
    reason = str(error).split('\n')[-1].split(' See format')[0].rstrip('.')
    raise InputError(
      f'data set {opened.name!r}: split {split!r} cannot be used ({reason}); '
      f"write it as 'train', 'train[:80%]' or 'train+validation' (splits: "
      f'{listing(infos)})'
    ) from error
  found = [
    (
      part.splitname,
      part.from_ or 0,
      infos[part.splitname].num_examples if part.to is None else part.to,
    )
    for part in parts
  ]
  if not any(stop > start for _, start, stop in found):
    raise InputError(f'data set {opened.name!r}: split {split!r} is empty')
  for i, part in enumerate(found):
    if common := _common([part], found[i + 1 :]):
      raise InputError(
        f'data set {opened.name!r}: split {split!r} has images twice, {common}'
      )
  return found


def _common(some: _Ranges, others: _Ranges) -> str:
  """The first images that are in both, in words, or nothing."""
  for split, start, stop in some:
    for other, other_start, other_stop in others:
      low, high = max(start, other_start), min(stop, other_stop)
      if split == other and low < high:
        return f'{high - low} images of {split!r}'
  return ''


def unreadable(what: str, error: Exception) -> InputError:
  """The error for files that were prepared once and are not whole now."""
  reason = ' '.join(str(error).split())[:200]
  return InputError(
    f'data set {what}: cannot be read, its files are missing or damaged; '
    f'remove its folder and prepare it again ({reason})'
  )


def listing(names: Iterable[str]) -> str:
  """The first names, and how many there are besides."""
  names = list(names)
  more = len(names) - _LISTED
  text = ', '.join(names[:_LISTED]) or 'none'
  return text + (f' and {more} more' if more > 0 else '')

"""Flags of the data set, and the data set that they name."""

import dataclasses
from typing import Any

from nasjax import checks, data
from nasjax.data import folder_listing
from nasjax.data import stream as stream_lib
from nasjax.errors import InputError
from nasjax.options import check_types, documented, group, option
from nasjax.run import datasets


@documented
@dataclasses.dataclass(frozen=True)
class Source:
  """Which images to decode into memory.

  Raises:
    InputError: a value of another type.
  """

  dataset: str = option(
    data.EMBEDDED,
    f'images to use: {data.EMBEDDED} (comes with nasjax), the name of a TFDS '
    'set, or folder:DIR with a folder of images per class (or such folders in '
    'DIR/train/ and DIR/test/, DIR/val/ or both)',
  )
  data_dir: str | None = option(
    None,
    'folder of prepared TFDS sets, and of decoded images of folder:DIR',
  )
  train_split: str | None = option(
    None,
    "training images of a TFDS set, such as train[:80%]; not given: 'train'",
  )
  test_split: str | None = option(
    None,
    "test images of a TFDS set, such as test[:1000]; not given: 'test', or "
    "'validation' where there is no 'test'",
  )
  test_fraction: float = option(
    0.2, 'fraction of the images of folder:DIR that are test images'
  )
  image_size: int | None = option(
    None, 'edge in pixels to which images are resized'
  )
  broken: str = option(
    'refuse', 'unreadable images of folder:DIR, one of refuse, skip'
  )

  def __post_init__(self):
    check_types(self)


@documented
@dataclasses.dataclass(frozen=True)
class Streamable:
  """Which images to decode into memory, or to stream.

  Raises:
    InputError: a value of another type.
  """

  source: Source = group(Source())
  stream: bool = option(
    False,
    'read a TFDS set during the run instead of decoding it into memory',
  )
  crop_area: float = option(
    stream_lib.CROP_AREA,
    'smallest fraction of the area of an image that a random crop of --stream '
    'keeps',
  )

  def __post_init__(self):
    check_types(self)


def of_or_stream(
  told: Streamable, held: Any = None, *, write: bool = True
) -> data.Dataset | stream_lib.Streamed:
  """Reads what `--dataset` names: decoded, or with `--stream` streamed.

  Args:
    told: which images.
    held: see `check_flags`.
    write: see `open_set`.

  Raises:
    InputError: there is no such set, it cannot be used, or a flag has no
      effect on it.
  """
  return datasets.read(open_or_stream(told, held, write=write))


def open_set(
  told: Source, held: Any = None, *, write: bool = True
) -> data.Opened:
  """Says how large a set is, before any image is decoded.

  `nasjax.run.datasets.read` decodes it.

  Args:
    told: which images.
    held: see `check_flags`.
    write: whether decoded images may be kept, and a set be prepared. False
      where a file says which set it is: a stranger's must not choose what is
      written where.

  Raises:
    InputError: there is no such set, or a flag has no effect on it.
  """
  check_flags(told, held)
  return data.open_set(
    told.dataset,
    told.data_dir,
    train_split=told.train_split,
    test_split=told.test_split,
    test_fraction=told.test_fraction,
    image_size=told.image_size,
    broken=told.broken,
    write=write,
  )


def open_or_stream(
  told: Streamable, held: Any = None, *, write: bool = True
) -> data.Opened | stream_lib.Streamed:
  """Opens what `--dataset` names: decoded later, or with `--stream` streamed.

  Args:
    told: which images.
    held: see `check_flags`.
    write: see `open_set`.

  Raises:
    InputError: the set cannot be used, or not streamed.
  """
  source = told.source
  if not told.stream:
    checks.refuse_ignored(told, ['crop_area'], 'without --stream')
    return open_set(source, held, write=write)
  name = source.dataset
  if name == data.EMBEDDED or name.startswith(folder_listing.PREFIX):
    raise InputError(
      f'--stream reads sets of TFDS, dataset={name} is none; leave it out'
    )
  check_flags(source, held)
  return stream_lib.open_set(
    name,
    source.data_dir,
    train_split=source.train_split,
    test_split=source.test_split,
    image_size=source.image_size,
    crop_area=told.crop_area,
    write=write,
  )


def check_flags(told: Source, held: Any = None) -> None:
  """Raises InputError where a flag has no effect on sets of this kind.

  Args:
    told: which images.
    held: a dataclass with the script's `valid_fraction`; None where the script
      has none.
  """
  name = told.dataset
  splits, folders = ['train_split', 'test_split'], ['test_fraction', 'broken']
  if name == data.EMBEDDED:
    ignored = ['data_dir', 'image_size', *splits, *folders]
    checks.refuse_ignored(told, ignored, f'with dataset={name}')
  elif name.startswith(folder_listing.PREFIX):
    checks.refuse_ignored(told, splits, 'with dataset=folder:DIR')
    sides = folder_listing.sides(name.removeprefix(folder_listing.PREFIX))
    why = f'where the folder holds {" and ".join(f"{f}/" for f in sides)}'
    if sides:
      checks.refuse_ignored(told, ['test_fraction'], why)
    if 'valid' in sides.values() and held is not None:
      checks.refuse_ignored(held, ['valid_fraction'], why)
  else:
    checks.refuse_ignored(told, folders, f'with dataset={name}')

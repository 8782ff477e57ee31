"""The flags that say which images, and what they stand for."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

from experiments import cli, devices
from nasjax import data, train
from nasjax.data import augment, folder_listing, oddities, stream
from nasjax.errors import InputError
from nasjax.printable import printable

TEST_BATCH = 256  # Images at a time where they are streamed.

OPTIONS = {
  'dataset': (
    data.EMBEDDED,
    'embedded, of TFDS, or folder:DIR, which has a folder of images per class '
    '(or such folders in DIR/train/ and DIR/test/, DIR/val/ or both)',
  ),
  'data_dir': (None, 'where TFDS sets are prepared and decoded folders kept'),
  'train_split': (None, "of a TFDS set, as train[:80%]; if none, 'train'"),
  'test_split': (None, "likewise; if none, 'test' or 'validation'"),
  'test_fraction': (0.2, 'share of the images of folder:DIR for the test'),
  'image_size': (int, 'edge in pixels of what images are resized to'),
  'broken': ('refuse', 'files of folder:DIR that are no images: refuse, skip'),
}

# For scripts that can stream.
STREAM_OPTIONS = {
  'stream': (False, 'read a TFDS set that is larger than memory as it goes'),
  'crop_area': (
    stream.CROP_AREA,
    'least share of an image that --stream cuts out of it',
  ),
}


def of_or_stream(
  config: Mapping[str, Any], options: cli.Options, *, write: bool = True
) -> data.Dataset | stream.Streamed:
  """What `--dataset` names, decoded, or with `--stream` as it lies on the disk.

  Args:
    config: a value for each of `OPTIONS` and `STREAM_OPTIONS`, at least.
    options: what the script can be told.
    write: see `open_set`.

  Raises:
    InputError: there is no such set, it cannot be used, or a flag has no
      effect on it.
  """
  return read(open_or_stream(config, options, write=write))


def open_set(
  config: Mapping[str, Any], options: cli.Options, *, write: bool = True
) -> data.Opened:
  """Says how large a set is, before any image is decoded.

  `sizes_of` takes what it returns, `read` decodes it.

  Args:
    config: a value for each of `OPTIONS`, at least.
    options: what the script can be told.
    write: whether decoded images may be kept, and a set be prepared. False
      where a file says which set it is: a stranger's must not choose what is
      written where.

  Raises:
    InputError: there is no such set, or a flag has no effect on it.
  """
  check_flags(config, options)
  given = {'write': write, **{name: config[name] for name in OPTIONS}}
  return data.open_set(given.pop('dataset'), given.pop('data_dir'), **given)


def open_or_stream(
  config: Mapping[str, Any], options: cli.Options, *, write: bool = True
) -> data.Opened | stream.Streamed:
  """As `open_set`, or with `--stream` the set as it lies on the disk.

  Args:
    config: a value for each of `OPTIONS` and `STREAM_OPTIONS`, at least.
    options: what the script can be told.
    write: see `open_set`.

  Raises:
    InputError: the set cannot be used, or not so.
  """
  if not config['stream']:
    cli.refuse_ignored(config, options, ['crop_area'], 'without --stream')
    return open_set(config, options, write=write)
  name = config['dataset']
  if name == data.EMBEDDED or name.startswith(folder_listing.PREFIX):
    raise InputError(
      f'--stream reads sets of TFDS, --dataset={name} is none; leave it out'
    )
  check_flags(config, options)
  if not 0 < config['crop_area'] <= 1:
    raise InputError(
      f'crop_area is {config["crop_area"]}; it must be above 0 and at most 1'
    )
  wanted = ('data_dir', 'train_split', 'test_split', 'image_size')
  given = {flag: config[flag] for flag in wanted}
  return stream.open_set(name, write=write, **given)


def read(
  opened: data.Opened | data.Dataset | stream.Streamed,
) -> data.Dataset | stream.Streamed:
  """Decodes a set, unless it is streamed; says on stderr what is odd about it.

  A set that is decoded already stays as it is.

  Files that were skipped are named there, too.

  Raises:
    InputError: the images cannot be used.
  """
  if isinstance(opened, data.Dataset | stream.Streamed):
    return opened
  found = opened.read()
  lines = found.remarks
  if found.skipped:
    skipped = (
      f'skipped {len(found.skipped)} files that cannot be read as images: '
      f'{oddities.listed(found.skipped)}'
    )
    lines = (skipped, *lines)
  for line in lines:
    # Names of files are anybody's.
    text = printable(f'warning: {found.name}: {line}')
    print(text, file=sys.stderr)
  return found


def check_flags(config: Mapping[str, Any], options: cli.Options) -> None:
  """Raises InputError where a flag has no effect on sets of this kind."""
  name = config['dataset']
  splits, folders = ['train_split', 'test_split'], ['test_fraction', 'broken']
  if name == data.EMBEDDED:
    ignored = ['data_dir', 'image_size', *splits, *folders]
    cli.refuse_ignored(config, options, ignored, f'with --dataset={name}')
  elif name.startswith(folder_listing.PREFIX):
    cli.refuse_ignored(config, options, splits, 'with --dataset=folder:DIR')
    sides = folder_listing.sides(name.removeprefix(folder_listing.PREFIX))
    why = f'where the folder holds {" and ".join(f"{f}/" for f in sides)}'
    if sides:
      cli.refuse_ignored(config, options, ['test_fraction'], why)
    if 'valid' in sides.values() and 'valid_fraction' in options:
      cli.refuse_ignored(config, options, ['valid_fraction'], why)
  else:
    cli.refuse_ignored(config, options, folders, f'with --dataset={name}')


def content_of(dataset: data.Dataset | stream.Streamed) -> str:
  """What tells the images of a run from others under the same name.

  A stream is not read for it; what it gives depends on who reads it, too.
  """
  if isinstance(dataset, data.Dataset):
    return data.checksum(dataset)
  sizes = (dataset.num_train, dataset.num_test, *dataset.image_shape)
  readers = {name: metadata.version(name) for name in ('grain', 'pillow')}
  return f'{sizes}, {readers}'


def classes_of(dataset: data.Dataset | stream.Streamed) -> list[str]:
  """Names of the classes, in the order of the labels, for the files of a run.

  Sets whose classes have no names give them numbers: '0', '1' and so on.
  """
  return list(dataset.class_names)


def check_batches(
  opened: data.Opened | data.Dataset | stream.Streamed,
  size: int,
  cutout: int,
  *,
  erasing: float = 0.0,
  mixup: float = 0.0,
) -> None:
  """Checks what `batches_of` takes, as far as that goes without images.

  Raises:
    InputError: as `batches_of`; of `size` only where there are not as many
      training images in all.
  """
  cli.check_least(1, batch_size=size)
  data.check_size(size, opened.num_train)
  _augmentation(opened, cutout, erasing, mixup)


def _augmentation(
  dataset: data.Opened | data.Dataset | stream.Streamed,
  cutout: int,
  erasing: float,
  mixup: float,
) -> augment.Augment:
  """Raises InputError for a number that is out of its range."""
  height, width, _ = dataset.image_shape
  policy = augment.augment_for(dataset.name, height)
  policy = dataclasses.replace(
    policy, cutout=cutout, erasing=erasing, mixup=mixup
  )
  policy.check(height, width)
  return policy


def batches_of(
  dataset: data.Dataset | stream.Streamed,
  size: int,
  most: int,
  cutout: int,
  *,
  erasing: float = 0.0,
  mixup: float = 0.0,
) -> data.Batches:
  """How batches of a set are made; statistics come from train alone.

  Args:
    dataset: decoded, or streamed: then parts of images are cut out before, and
      they are not moved again.
    size: images per batch.
    most: images of the smallest part that batches are drawn from.
    cutout: edge in pixels of what is blacked out of each image; 0 for nothing.
    erasing: share of the images of which a part is overwritten with noise.
    mixup: how evenly images are mixed; 0 for not at all.

  Raises:
    InputError: `size` is not from 1 to `most`, `cutout` not from 0 to the edge
      of the images, or another number out of its range.
  """
  data.check_size(size, most)
  policy = _augmentation(dataset, cutout, erasing, mixup)
  if isinstance(dataset, data.Dataset):
    images, resident = dataset.train.images, True
  else:
    height = dataset.image_shape[0]
    images, resident = stream.sample(dataset.train, height), False
    policy = dataclasses.replace(policy, pad=0)
  return data.Batches(
    size,
    *data.statistics(images),
    policy,
    dataset.num_classes,
    resident,
    devices.split(size),
  )


def sizes_of(
  dataset: data.Dataset | data.Opened | stream.Streamed,
) -> dict[str, int]:
  """Image size, channels and classes, as spaces and networks take them."""
  height, width, channels = dataset.image_shape
  if height != width:
    raise InputError(
      f'images of {dataset.name} are {height}x{width}; spaces take squares, '
      f'give --image_size={min(height, width)}'
    )
  return {
    'image_size': height,
    'channels': channels,
    'num_classes': dataset.num_classes,
  }


def accuracy(
  predict: Callable,
  weights: train.Weights,
  images: data.Arrays | Sequence,
  image_size: int,
) -> float:
  """Share of the images that are labelled right.

  Args:
    predict: a jitted function of `nasjax.train.predict`.
    weights: what it is called with.
    images: decoded, or rows that are streamed.
    image_size: edge of what is cut from the rows.
  """
  if isinstance(images, data.Arrays):
    return train.evaluate(predict, *weights, images)
  size = min(TEST_BATCH, len(images))
  batches = stream.once(images, size, image_size)
  return train.score(predict, *weights, batches, size)


def size_of(images: data.Arrays | Sequence) -> int:
  """How many images there are, decoded or in rows."""
  return len(images.labels if isinstance(images, data.Arrays) else images)

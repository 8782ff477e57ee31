"""The flags that say which images, and what they stand for."""

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from experiments import cli, devices
from nasjax import (
  augment,
  batch,
  data,
  folder_listing,
  folder_source,
  stream,
  train,
)
from nasjax.errors import InputError

TEST_BATCH = 256  # Images at a time where they are streamed.

OPTIONS = {
  'dataset': (
    data.EMBEDDED,
    'embedded, of TFDS, or folder:DIR, which has a folder of images per class '
    '(or such folders in DIR/train/ and DIR/test/)',
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


def of(config: Mapping[str, Any], options: cli.Options) -> data.Dataset:
  """What `--dataset` and the flags that go with it name.

  Files that were skipped are named on stderr.

  Args:
    config: a value for each of `OPTIONS`, at least.
    options: what the script can be told.

  Raises:
    InputError: there is no such set, it cannot be used, or a flag has no
      effect on it.
  """
  check_flags(config, options)
  given = {name: config[name] for name in OPTIONS}
  found = data.load(given.pop('dataset'), given.pop('data_dir'), **given)
  if found.skipped:
    print(
      f'warning: {found.name}: skipped {len(found.skipped)} files that cannot '
      f'be read as images: {folder_source.listed(found.skipped)}',
      file=sys.stderr,
    )
  return found


def of_or_stream(
  config: Mapping[str, Any], options: cli.Options
) -> data.Dataset | stream.Streamed:
  """As `of`, or with `--stream` the set as it lies on the disk.

  Args:
    config: a value for each of `OPTIONS` and `STREAM_OPTIONS`, at least.
    options: what the script can be told.

  Raises:
    InputError: the set cannot be used, or not so.
  """
  if not config['stream']:
    cli.refuse_ignored(config, options, ['crop_area'], 'without --stream')
    return of(config, options)
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
  return stream.open_set(name, **given)


def check_flags(config: Mapping[str, Any], options: cli.Options) -> None:
  """Raises InputError where a flag has no effect on sets of this kind."""
  name = config['dataset']
  splits, folders = ['train_split', 'test_split'], ['test_fraction', 'broken']
  if name == data.EMBEDDED:
    ignored = ['data_dir', 'image_size', *splits, *folders]
    cli.refuse_ignored(config, options, ignored, f'with --dataset={name}')
  elif name.startswith(folder_listing.PREFIX):
    cli.refuse_ignored(config, options, splits, 'with --dataset=folder:DIR')
    if folder_listing.is_split(name.removeprefix(folder_listing.PREFIX)):
      why = 'where the folder holds train/ and test/'
      cli.refuse_ignored(config, options, ['test_fraction'], why)
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


def batches_of(
  dataset: data.Dataset | stream.Streamed,
  size: int,
  most: int,
  cutout: int,
  *,
  erasing: float = 0.0,
  mixup: float = 0.0,
) -> batch.Batches:
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
  batch.check_size(size, most)
  height, width, _ = dataset.image_shape
  policy = augment.augment_for(dataset.name, height)
  policy = dataclasses.replace(
    policy, cutout=cutout, erasing=erasing, mixup=mixup
  )
  policy.check(height, width)
  if isinstance(dataset, data.Dataset):
    images, resident = dataset.train.images, True
  else:
    images, resident = stream.sample(dataset.train, height), False
    policy = dataclasses.replace(policy, pad=0)
  return batch.Batches(
    size,
    *batch.statistics(images),
    policy,
    dataset.num_classes,
    resident,
    devices.split(size),
  )


def sizes_of(dataset: data.Dataset | stream.Streamed) -> dict[str, int]:
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


@dataclasses.dataclass(frozen=True)
class Part:
  """Some of the rows of a stream.

  Attributes:
    rows: all of them.
    places: of those that belong to it, `int[n]`.
  """

  rows: Sequence
  places: np.ndarray

  def __len__(self) -> int:
    return len(self.places)

  def __getitem__(self, place: int):
    return self.rows[int(self.places[place])]


def held_out(
  dataset: data.Dataset | stream.Streamed, fraction: float
) -> tuple[data.Dataset | stream.Streamed, data.Arrays | Part | None]:
  """Holds training images out, for choosing among weights.

  The same images whatever the seed of a run, so that runs can be compared; of
  decoded sets the same share of every class.

  Args:
    dataset: what `--dataset` names.
    fraction: share of the training images; 0 is none.

  Returns:
    `(dataset, valid)`: without them, and they; None where there are none.

  Raises:
    InputError: a side would be without a class, or empty.
  """
  if not 0 <= fraction < 1:
    raise InputError(
      f'valid_fraction is {fraction}; it must be at least 0 and below 1'
    )
  if fraction == 0:
    return dataset, None
  if isinstance(dataset, data.Dataset):
    fit, valid = data.split(dataset.train, 1 - fraction)
    return dataclasses.replace(dataset, train=fit), valid
  count = round(fraction * dataset.num_train)
  if not 0 < count < dataset.num_train:
    raise InputError(
      f'valid_fraction {fraction} holds out {count} of {dataset.num_train} '
      'images; both sides need at least 1'
    )
  valid, fit = _parted(dataset.train, count, seed=0)
  return dataclasses.replace(dataset, train=fit), valid


def halves(
  dataset: data.Dataset | stream.Streamed, seed: int
) -> tuple[data.Arrays, data.Arrays] | tuple[Part, Part]:
  """The training images that weights learn from, and those of the alphas.

  Disjoint, together all of them; of decoded sets with as many of each class.

  Args:
    dataset: decoded or streamed.
    seed: decides which images go where.

  Raises:
    InputError: there are too few.
  """
  if isinstance(dataset, data.Dataset):
    return data.split(dataset.train, 0.5, seed=seed)
  if dataset.num_train < 2:
    raise InputError(
      f'data set {dataset.name!r} has {dataset.num_train} training images; at '
      'least 2 are needed, for weights and for alphas'
    )
  return _parted(dataset.train, (dataset.num_train + 1) // 2, seed)


def _parted(rows: Sequence, count: int, seed: int) -> tuple[Part, Part]:
  """So many of the rows, drawn at random, and the others; each in order."""
  order = np.random.default_rng(seed).permutation(len(rows))
  places = np.sort(order[:count]), np.sort(order[count:])
  return Part(rows, places[0]), Part(rows, places[1])

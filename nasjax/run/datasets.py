"""Data sets of runs: decoding, batches, evaluation."""

import dataclasses
import sys
from collections.abc import Callable
from importlib import metadata

from nasjax import checks, data, train
from nasjax.data import augment, oddities, stream, stream_batches
from nasjax.errors import InputError
from nasjax.printable import printable
from nasjax.run.hosts import devices
from nasjax.space import SearchSpace
from nasjax.train.recipe import Recipe

TEST_BATCH = 256  # Images at a time where they are streamed.


def read(
  opened: data.Opened | data.Dataset | stream.Streamed,
) -> data.Dataset | stream.Streamed:
  """Decodes a set; prints on stderr how, warnings, and skipped files.

  Streams and decoded sets are returned as they are.

  Raises:
    InputError: the images cannot be used.
  """
  if isinstance(opened, data.Dataset | stream.Streamed):
    return opened
  if opened.resized is not None:
    print(printable(f'{opened.name}: {opened.resized}'), file=sys.stderr)
  found = opened.read()
  lines = found.remarks
  if found.skipped:
    skipped = (
      f'skipped {len(found.skipped)} files that cannot be read as images: '
      f'{oddities.listed(found.skipped)}'
    )
    lines = (skipped, *lines)
  for line in lines:
    # Anybody may have named the files.
    text = printable(f'warning: {found.name}: {line}')
    print(text, file=sys.stderr)
  return found


def of(
  dataset: data.Dataset | data.Opened | stream.Streamed | tuple,
) -> data.Dataset | stream.Streamed:
  """A data set from a data set or a pair of arrays.

  Args:
    dataset: a data set, or images `uint8[n, height, width, channels]` with
      labels `int[n]`.

  Raises:
    InputError: the images or labels cannot be used.
  """
  if isinstance(dataset, data.Dataset | data.Opened | stream.Streamed):
    return read(dataset)
  if not isinstance(dataset, tuple) or len(dataset) != 2:
    raise InputError(
      f'dataset is of the type {type(dataset).__name__}; it must be a data set '
      'or a tuple of images and labels'
    )
  return data.from_arrays(*dataset)


def check_sizes(
  space: SearchSpace,
  dataset: data.Dataset | data.Opened | stream.Streamed,
) -> None:
  """Checks that a space is made for the images of a data set.

  Args:
    space: searched or trained; a kind of space without sizes takes any.
    dataset: decoded, opened or streamed.

  Raises:
    InputError: it takes images of another size, or has other classes.
  """
  for name, number in dataset.sizes.items():
    own = getattr(space, name, number)
    if own != number:
      raise InputError(
        f'{space.name} has {name}={own}, {dataset.name} has {number}; make it '
        'with **dataset.sizes'
      )


def content_of(dataset: data.Dataset | stream.Streamed) -> str:
  """A fingerprint of the images, to tell sets of the same name apart.

  A stream is not read for it: sizes and versions of its readers stand in.
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
    InputError: as `batches_of`, but `size` may be up to the number of all
      training images.
  """
  checks.check_least(1, batch_size=size)
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
  """How batches are made; normalised by statistics of the training images.

  Args:
    dataset: decoded or streamed; images of a stream are cropped already, so
      they are not shifted again.
    size: images per batch.
    most: number of images of the smallest part that batches are drawn from.
    cutout: edge in pixels of a black square in each image; 0: none.
    erasing: fraction of the images with a rectangle of noise.
    mixup: images mix by a share from Beta(mixup, mixup); 0: none.

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
    images, resident = stream_batches.sample(dataset.train, height), False
    policy = dataclasses.replace(policy, pad=0)
  return data.Batches(
    size,
    *data.statistics(images),
    policy,
    dataset.num_classes,
    resident,
    devices.split(size),
  )


def accuracy(
  predict: Callable,
  weights: train.Weights,
  images: data.Arrays | stream.Decoded,
  image_size: int,
) -> float:
  """Accuracy on some images, from 0 to 1.

  Args:
    predict: a jitted function of `nasjax.train.predict`.
    weights: what it is called with.
    images: decoded, or rows that are streamed.
    image_size: edge of what is cut from the rows.
  """
  if isinstance(images, data.Arrays):
    return train.evaluate(predict, *weights, images)
  size = min(TEST_BATCH, len(images))
  batches = stream_batches.once(images, size, image_size)
  return train.score(predict, *weights, batches, size)


def size_of(images: data.Arrays | stream.Decoded) -> int:
  """Number of images, decoded or streamed."""
  return len(images.labels if isinstance(images, data.Arrays) else images)


def steps_of(recipe: Recipe, dataset: data.Dataset | stream.Streamed) -> int:
  """Number of steps of a whole training.

  Raises:
    InputError: more than can be counted.
  """
  each = dataset.num_train // recipe.batch_size
  steps = recipe.epochs * each
  if steps > checks.LARGEST_COUNT:
    raise InputError(
      f'epochs is {recipe.epochs}; of {each} steps each there may be at most '
      f'{checks.LARGEST_COUNT // each}'
    )
  return steps


def check_recipe(
  recipe: Recipe, opened: data.Opened | data.Dataset | stream.Streamed
) -> None:
  """Checks what `batches_for` takes, as far as that goes without images.

  Raises:
    InputError: the recipe does not go with images of this size.
  """
  check_batches(
    opened,
    recipe.batch_size,
    recipe.cutout,
    erasing=recipe.erasing,
    mixup=recipe.mixup,
  )


def batches_for(
  recipe: Recipe, dataset: data.Dataset | stream.Streamed
) -> data.Batches:
  """How batches of the training images are made.

  Raises:
    InputError: the recipe does not go with so many images of this size.
  """
  batches = batches_of(
    dataset,
    recipe.batch_size,
    dataset.num_train,
    recipe.cutout,
    erasing=recipe.erasing,
    mixup=recipe.mixup,
  )
  steps_of(recipe, dataset)
  return batches

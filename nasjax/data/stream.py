"""Sets that are larger than memory: rows stay on disk until they are read.

`nasjax.data.stream_batches` reads batches of them.
"""

import dataclasses
import importlib.util
import os
from typing import Protocol

import numpy as np

from nasjax import checks
from nasjax.data import images, tfds_builder
from nasjax.data.dataset import sizes
from nasjax.data.loading import EMBEDDED
from nasjax.errors import InputError

DEFAULT_SIZE = 224
CROP_AREA = 0.08  # Of Szegedy et al. 2015; small networks learn from more.


class Decoded(Protocol):
  """Rows by place: `uint8[height, width, channels]` and the class."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]: ...


# Rows have no cheap equality.
@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
  """Rows of a TFDS set, each decoded when it is read.

  Attributes:
    what: name of the set and the split, for messages.
    source: TFDS's data source: index to a dict of features.
    image: name of the feature that is the image.
    label: name of the feature that is its class.
    num_classes: number of classes; labels are below it.
  """

  what: str
  source: tfds_builder.Rows
  image: str
  label: str
  num_classes: int

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> tuple[np.ndarray, np.int32]:
    """Pixels, `uint8[height, width, channels]`, and the class.

    Raises:
      InputError: the row is damaged or has no label.
    """
    try:
      row = self.source[index]
    except (OSError, RuntimeError) as error:
      raise tfds_builder.unreadable(self.what, error) from error
    label = np.int32(row[self.label])
    if label == -1:
      raise InputError(
        f'data set {self.what}: row {index} has no label (-1); give a split of '
        'rows that have one'
      )
    if not 0 <= label < self.num_classes:
      raise InputError(
        f'data set {self.what}: row {index} has the label {label}; for '
        f'{self.num_classes} classes it must be 0 to {self.num_classes - 1}'
      )
    return row[self.image], label


@dataclasses.dataclass(frozen=True, eq=False)
class Streamed:
  """An image classification set that stays on disk.

  Attributes:
    name: what it was asked for by.
    train: the training rows.
    test: the rows that only the final accuracy may see.
    class_names: one per class, in the order of the labels.
    test_split: the split that `test` came from.
    image_shape: height, width and channels of what is cut from the images.
    crop_area: least share of an image that is cut out of it for the weights.
  """

  name: str
  train: Decoded
  test: Decoded
  class_names: tuple[str, ...]
  test_split: str
  image_shape: tuple[int, int, int]
  crop_area: float = CROP_AREA

  @property
  def num_classes(self) -> int:
    return len(self.class_names)

  @property
  def sizes(self) -> dict[str, int]:
    """`image_size`, `channels` and `num_classes`, as spaces take them."""
    return sizes(self)

  @property
  def num_train(self) -> int:
    """Training images."""
    return len(self.train)

  @property
  def num_test(self) -> int:
    """Test images."""
    return len(self.test)


def open_set(
  name: str,
  data_dir: str | os.PathLike | None = None,
  *,
  train_split: str | None = None,
  test_split: str | None = None,
  image_size: int | None = None,
  crop_area: float = CROP_AREA,
  write: bool = True,
) -> Streamed:
  """Opens a TFDS set; reads a few rows of it.

  Args:
    name: see `tfds_builder.open_set`, for the splits, too.
    data_dir: see `tfds_builder.open_set`.
    train_split: see `tfds_builder.open_set`.
    test_split: see `tfds_builder.open_set`.
    image_size: edge in pixels of what is cut from the images; None is theirs if
      they are square and of one size, else 224.
    crop_area: least share of an image that is cut out of it for the weights.
    write: see `tfds_builder.open_set`.

  Raises:
    InputError: what `tfds_builder.open_set` raises, the set has one class only,
      or grain is not installed.
  """
  if importlib.util.find_spec('grain') is None:
    raise InputError(
      'streaming needs grain, which is not installed: pip install grain'
    )
  checks.check_image_edge(image_size)
  if not 0 < crop_area <= 1:
    raise InputError(
      f'crop_area is {crop_area}; it must be above 0 and at most 1'
    )
  opened = tfds_builder.open_set(
    name,
    data_dir,
    embedded=EMBEDDED,
    train_split=train_split,
    test_split=test_split,
    write=write,
  )
  classes = opened.class_names
  _check_classes(opened)
  train, test = (
    Rows(
      f'{name}, {split}',
      opened.rows(split),
      opened.image,
      opened.label,
      len(classes),
    )
    for split in (opened.train_split, opened.test_split)
  )
  if image_size is None:
    height, width = opened.builder.info.features[opened.image].shape[:2]
    image_size = height if height and height == width else DEFAULT_SIZE
  channels = images.square(images.of_pixels(train[0][0]), 1).shape[-1]
  shape = (image_size, image_size, channels)
  return Streamed(
    name, train, test, classes, opened.test_split, shape, crop_area
  )


def _check_classes(opened: tfds_builder.Opened) -> None:
  """Raises InputError where all training images are of one class.

  Reads labels until there are two, which as a rule are soon there.
  """
  labels = opened.labels(opened.train_split)
  first = next(labels)
  if first >= 0 and all(label == first for label in labels):
    raise InputError(
      f'data set {opened.name!r} has training images of one class only, '
      f'{opened.class_names[first]!r}; at least 2 classes are needed'
    )

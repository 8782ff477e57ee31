"""What the names on a command line stand for."""

from collections.abc import Callable
from typing import Any

from nasjax import batch, cost, data, relax, spaces, zoo
from nasjax.errors import InputError
from nasjax.space import Space

SPACES = {
  'mobile_small': spaces.mobile_small,
  'mobile_224': spaces.mobile_224,
  'tiny': spaces.tiny,
}
COSTS = {'macs': cost.macs, 'params': cost.params}
RELAXATIONS = {
  'softmax': relax.SOFTMAX,
  'gumbel_softmax': relax.GUMBEL_SOFTMAX,
}
CONSTRAINTS = ('lagrangian', 'linear')
NETWORKS = {'mobilenet_v2': zoo.mobilenet_v2}


def batches_of(dataset: data.Dataset, size: int) -> batch.Batches:
  """How batches of a set are made; statistics come from train alone."""
  most = len(dataset.train.labels) // 2
  if not 0 < size <= most:
    raise InputError(
      f'batch_size {size} is out of range; with 2 x {most} training images it '
      f'is 1 to {most}'
    )
  policy = batch.augment_for(dataset.name, dataset.image_shape[0])
  mean, std = batch.statistics(dataset.train.images)
  return batch.Batches(size, mean, std, policy)


def fit(
  space: Callable[..., Space], dataset: data.Dataset, **kwargs: Any
) -> Space:
  """A preset or published network, for a data set's images and classes."""
  height, width, channels = dataset.image_shape
  if height != width:
    raise InputError(
      f'images of {dataset.name} are {height}x{width}; spaces take square ones'
    )
  return space(
    image_size=height,
    channels=channels,
    num_classes=dataset.num_classes,
    **kwargs,
  )

"""How a network is trained, as flags say it, and the objects it stands for."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import optax

from experiments import cli, datasets
from nasjax import data
from nasjax.data import stream
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.space import Space
from nasjax.train import drop_path as drop_path_lib
from nasjax.train import optimizers

DTYPES = {'float32': None, 'bfloat16': jnp.bfloat16}
OPTIMIZERS = {
  'sgd': optimizers.sgd,
  'rmsprop': optimizers.rmsprop,
  'adamw': optimizers.adamw,
}
# What of a recipe only some optimizers and schedules read.
_READ_BY = {
  'momentum': ('optimizer', ('sgd', 'rmsprop')),
  'rms_decay': ('optimizer', ('rmsprop',)),
  'rms_epsilon': ('optimizer', ('rmsprop',)),
  'stair_epochs': ('schedule', ('staircase',)),
  'stair_factor': ('schedule', ('staircase',)),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a network is trained; the same for all that are compared.

  Attributes:
    epochs: passes over the training images.
    batch_size: images per step.
    optimizer: a key of `OPTIMIZERS`.
    momentum: of sgd and rmsprop.
    rms_decay: of rmsprop's mean square.
    rms_epsilon: of rmsprop, under the root.
    schedule: `'cosine'` or `'staircase'`.
    learning_rate: at its peak.
    warmup: share of all steps in which it rises.
    stair_epochs: length of a stair.
    stair_factor: what the rate is multiplied with after each.
    weight_decay: of the kernels.
    clip_norm: greatest norm of a gradient; 0 is any.
    smoothing: of the labels.
    ema_decay: of the moving averages that are evaluated; 0 is none.
    dropout: before the classifier; None is what the network has.
    drop_path: of the last residual block; 0 is none.
    dtype: what is computed in, a key of `DTYPES`.
    bn_momentum: of batch norm's running statistics.
    bn_epsilon: of batch norm.
    remat: whether gradients compute each slot again, to save memory.
    cutout: edge in pixels of a black square in each training image; 0 for none.
    erasing: share of the training images of which a part becomes noise.
    mixup: how evenly training images are mixed; 0 for not at all.
    skip_nonfinite: steps in a row that may be left out since they would not
      stay finite; 0: the first one ends the training.
  """

  epochs: int = 6
  batch_size: int = 32
  optimizer: str = 'sgd'
  momentum: float = 0.9
  rms_decay: float = 0.9
  rms_epsilon: float = 1e-3
  schedule: str = 'cosine'
  learning_rate: float = 0.1
  warmup: float = 0.05
  stair_epochs: float = 1.0
  stair_factor: float = 0.97
  weight_decay: float = 1e-4
  clip_norm: float = 0.0
  smoothing: float = 0.1
  ema_decay: float = 0.0
  dropout: float | None = None
  drop_path: float = 0.0
  dtype: str = 'float32'
  bn_momentum: float = 0.9
  bn_epsilon: float = 1e-5
  remat: bool = False
  cutout: int = 0
  erasing: float = 0.0
  mixup: float = 0.0
  skip_nonfinite: int = 0

  def __post_init__(self):
    cli.check_least(1, epochs=self.epochs)
    cli.check_least(0, skip_nonfinite=self.skip_nonfinite)
    positive = 'learning_rate', 'rms_epsilon', 'stair_epochs', 'bn_epsilon'
    cli.check_positive(**{name: getattr(self, name) for name in positive})
    shares = 'weight_decay', 'smoothing', 'ema_decay', 'momentum', 'rms_decay'
    for name in (*shares, 'warmup', 'bn_momentum'):
      if not 0 <= getattr(self, name) < 1:
        raise InputError(
          f'{name} is {getattr(self, name)}; it must be at least 0 and below 1'
        )
    if not 0 < self.stair_factor <= 1:
      raise InputError(
        f'stair_factor is {self.stair_factor}; it must be above 0 and at most 1'
      )
    if not 0 <= self.clip_norm < float('inf'):
      raise InputError(
        f'clip_norm is {self.clip_norm}; it must be finite and at least 0'
      )
    cli.lookup('optimizer', self.optimizer, OPTIMIZERS)
    cli.lookup('schedule', self.schedule, SCHEDULES)
    cli.lookup('dtype', self.dtype, DTYPES)
    for name, (by, readers) in _READ_BY.items():
      given, default = getattr(self, name), Recipe.__dict__[name]
      if given != default and getattr(self, by) not in readers:
        raise InputError(
          f'--{name}={given} has no effect with --{by}={getattr(self, by)}; '
          'leave it out'
        )

  @property
  def numerics(self) -> Numerics:
    """How the network is computed."""
    return Numerics(
      dtype=DTYPES[self.dtype],
      bn_momentum=self.bn_momentum,
      bn_epsilon=self.bn_epsilon,
      remat=self.remat,
    )

  @property
  def coupled_decay(self) -> float:
    """What the optimizer adds to gradients; AdamW's decay is apart of them."""
    return 0.0 if self.optimizer == 'adamw' else self.weight_decay

  def of_network(self, network: Space) -> Space:
    """The network with what is dropped of it in training.

    Raises:
      InputError: the network has nothing that could be dropped.
    """
    if self.dropout is not None:
      network = drop_path_lib.with_dropout(network, self.dropout)
    if self.drop_path:
      network = drop_path_lib.with_drop_path(network, self.drop_path)
    return network

  def tx(self, steps: int) -> optax.GradientTransformation:
    """The optimizer of a whole training."""
    own = {'weight_decay': self.weight_decay}
    if self.clip_norm:
      own['clip_norm'] = self.clip_norm
    if self.optimizer != 'adamw':
      own['momentum'] = self.momentum
    if self.optimizer == 'rmsprop':
      own |= {'decay': self.rms_decay, 'epsilon': self.rms_epsilon}
    return OPTIMIZERS[self.optimizer](self.rate(steps), **own)

  def rate(self, steps: int) -> optax.Schedule:
    """The learning rate by the step, from 0."""
    return SCHEDULES[self.schedule](self, steps)


def _cosine(recipe: Recipe, steps: int) -> optax.Schedule:
  return optimizers.cosine(
    recipe.learning_rate, steps, warmup_steps=_warmup_steps(recipe, steps)
  )


def _staircase(recipe: Recipe, steps: int) -> optax.Schedule:
  stair = max(1, round(recipe.stair_epochs * steps / recipe.epochs))
  return optimizers.staircase(
    recipe.learning_rate,
    stair,
    recipe.stair_factor,
    warmup_steps=_warmup_steps(recipe, steps),
  )


def _warmup_steps(recipe: Recipe, steps: int) -> int:
  # Shares are typed in decimals: 0.05 of 60 is 3, whatever a float makes of it.
  return int(recipe.warmup * steps + 1e-6)


SCHEDULES = {'cosine': _cosine, 'staircase': _staircase}

OPTIONS = {
  'epochs': (Recipe.epochs, 'passes over the training images'),
  'batch_size': (Recipe.batch_size, 'images per step'),
  'optimizer': (Recipe.optimizer, cli.one_of(OPTIMIZERS)),
  'momentum': (Recipe.momentum, 'of sgd and rmsprop'),
  'rms_decay': (Recipe.rms_decay, "of rmsprop's mean square"),
  'rms_epsilon': (Recipe.rms_epsilon, 'of rmsprop, under the root'),
  'schedule': (Recipe.schedule, cli.one_of(SCHEDULES)),
  'learning_rate': (Recipe.learning_rate, 'at its peak'),
  'warmup': (Recipe.warmup, 'share of all steps in which the rate rises'),
  'stair_epochs': (Recipe.stair_epochs, 'epochs from stair to stair'),
  'stair_factor': (
    Recipe.stair_factor,
    'what the rate is multiplied with at each stair',
  ),
  'weight_decay': (Recipe.weight_decay, 'of the kernels'),
  'clip_norm': (Recipe.clip_norm, 'greatest norm of a gradient; 0: any'),
  'smoothing': (Recipe.smoothing, 'of the labels'),
  'ema_decay': (
    Recipe.ema_decay,
    'of moving averages of weights and statistics, then evaluated; 0: none',
  ),
  'dropout': (float, "before the classifier; if none, the network's own"),
  'drop_path': (
    Recipe.drop_path,
    'rate at which the last residual block is dropped, earlier ones less',
  ),
  'dtype': (
    Recipe.dtype,
    f'what is computed in, {cli.one_of(DTYPES)}; weights stay float32',
  ),
  'bn_momentum': (Recipe.bn_momentum, "of batch norm's running statistics"),
  'bn_epsilon': (Recipe.bn_epsilon, "added to batch norm's variance"),
  'remat': (Recipe.remat, 'gradients compute each slot again: less memory'),
  'cutout': (
    Recipe.cutout,
    'edge of a black square in each training image, in pixels; 0: none',
  ),
  'erasing': (
    Recipe.erasing,
    'share of the training images in which a rectangle becomes noise',
  ),
  'mixup': (
    Recipe.mixup,
    'mixes training images, a share drawn from Beta(mixup, mixup); 0: none',
  ),
  'skip_nonfinite': (
    Recipe.skip_nonfinite,
    'steps in a row that may be left out since they would not stay finite; '
    '0: the first one ends the run',
  ),
}


# What of it a search's weights can be trained with as well.
SEARCH_OPTIONS = {
  name: OPTIONS[name]
  for name in (
    'optimizer',
    'rms_epsilon',
    'warmup',
    'clip_norm',
    'dtype',
    'remat',
    'skip_nonfinite',
  )
}


def of(config: dict[str, Any]) -> Recipe:
  """The recipe among the values of the flags; what has none is the default."""
  known = {f.name for f in dataclasses.fields(Recipe)}
  return Recipe(**{k: v for k, v in config.items() if k in known})


def steps_of(recipe: Recipe, dataset: data.Dataset | stream.Streamed) -> int:
  """Steps of a whole training.

  Raises:
    InputError: more than can be counted.
  """
  each = dataset.num_train // recipe.batch_size
  steps = recipe.epochs * each
  if steps > cli.LARGEST_COUNT:
    raise InputError(
      f'epochs is {recipe.epochs}; of {each} steps each there may be at most '
      f'{cli.LARGEST_COUNT // each}'
    )
  return steps


def check_batches(
  recipe: Recipe, opened: data.Opened | data.Dataset | stream.Streamed
) -> None:
  """Checks what `batches_for` takes, as far as that goes without images.

  Raises:
    InputError: the recipe does not go with images of this size.
  """
  datasets.check_batches(
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
  batches = datasets.batches_of(
    dataset,
    recipe.batch_size,
    dataset.num_train,
    recipe.cutout,
    erasing=recipe.erasing,
    mixup=recipe.mixup,
  )
  steps_of(recipe, dataset)
  return batches

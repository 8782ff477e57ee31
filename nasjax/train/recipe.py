"""How a network is trained, and the objects that it stands for."""

import dataclasses

import jax.numpy as jnp
import optax

from nasjax import checks
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.options import documented, option
from nasjax.space import Space
from nasjax.train import drop_path as drop_path_lib
from nasjax.train import optimizers

DTYPES = {'float32': None, 'bfloat16': jnp.bfloat16}
OPTIMIZERS = {
  'sgd': optimizers.sgd,
  'rmsprop': optimizers.rmsprop,
  'adamw': optimizers.adamw,
}
# Fields that only some optimizers and schedules read.
_READ_BY = {
  'momentum': ('optimizer', ('sgd', 'rmsprop')),
  'rms_decay': ('optimizer', ('rmsprop',)),
  'rms_epsilon': ('optimizer', ('rmsprop',)),
  'stair_epochs': ('schedule', ('staircase',)),
  'stair_factor': ('schedule', ('staircase',)),
}


@documented
@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a network is trained; the same for all that are compared.

  Example:
    >>> Recipe(epochs=30, optimizer='adamw', learning_rate=1e-3).epochs
    30

  Raises:
    InputError: a value out of its range, or one that nothing reads.
  """

  epochs: int = option(6, 'passes over the training images')
  batch_size: int = option(32, 'images per step')
  optimizer: str = option('sgd', f'one of {", ".join(OPTIMIZERS)}')
  momentum: float = option(0.9, 'of sgd and rmsprop')
  rms_decay: float = option(0.9, "of rmsprop's mean square")
  rms_epsilon: float = option(1e-3, 'of rmsprop, under the root')
  schedule: str = option('cosine', 'one of cosine, staircase')
  learning_rate: float = option(0.1, 'at its peak')
  warmup: float = option(0.05, 'share of all steps in which the rate rises')
  stair_epochs: float = option(1.0, 'epochs from stair to stair')
  stair_factor: float = option(
    0.97, 'what the rate is multiplied with at each stair'
  )
  weight_decay: float = option(1e-4, 'of the kernels')
  clip_norm: float = option(0.0, 'greatest norm of a gradient; 0: any')
  smoothing: float = option(0.1, 'of the labels')
  ema_decay: float = option(
    0.0, 'of the EMA of weights and statistics, which is evaluated; 0: none'
  )
  dropout: float | None = option(
    None, "before the classifier; if not given, the network's own"
  )
  drop_path: float = option(
    0.0, 'rate at which the last residual block is dropped, earlier ones less'
  )
  dtype: str = option(
    'float32', f'to compute in, one of {", ".join(DTYPES)}; weights: float32'
  )
  bn_momentum: float = option(0.9, "of batch norm's running statistics")
  bn_epsilon: float = option(1e-5, "added to batch norm's variance")
  remat: bool = option(
    False, 'recompute each slot in the backward pass: less memory'
  )
  cutout: int = option(
    0, 'edge of a black square in each training image, in pixels; 0: none'
  )
  erasing: float = option(
    0.0, 'share of the training images in which a rectangle becomes noise'
  )
  mixup: float = option(
    0.0, 'mixes training images by a share from Beta(mixup, mixup); 0: none'
  )
  skip_nonfinite: int = option(
    0,
    'steps in a row that may be left out because they are not finite; 0: the '
    'first one ends the run',
  )

  def __post_init__(self):
    checks.check_least(1, epochs=self.epochs)
    checks.check_least(0, skip_nonfinite=self.skip_nonfinite)
    positive = 'learning_rate', 'rms_epsilon', 'stair_epochs', 'bn_epsilon'
    checks.check_positive(**{name: getattr(self, name) for name in positive})
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
    checks.lookup('optimizer', self.optimizer, OPTIMIZERS)
    checks.lookup('schedule', self.schedule, SCHEDULES)
    checks.lookup('dtype', self.dtype, DTYPES)
    for name, (by, readers) in _READ_BY.items():
      if getattr(self, by) not in readers:
        checks.refuse_ignored(self, [name], f'with {by}={getattr(self, by)}')

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
    """Weight decay that is added to gradients; AdamW's is not."""
    return 0.0 if self.optimizer == 'adamw' else self.weight_decay

  def of_network(self, network: Space) -> Space:
    """The network with the recipe's dropout and drop-path.

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
  # Shares are typed in decimals: 0.05 of 60 is 3, despite rounding of floats.
  return int(recipe.warmup * steps + 1e-6)


SCHEDULES = {'cosine': _cosine, 'staircase': _staircase}

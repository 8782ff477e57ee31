"""The recipe of a training, and the objects that are made from it."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import optax

from nasjax import checks
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.options import check_types, documented, option
from nasjax.space import SearchSpace
from nasjax.train import drop_path as drop_path_lib
from nasjax.train import optimizers

DTYPES = {'float32': None, 'bfloat16': jnp.bfloat16}
OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
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
  """How a network is trained; a comparison uses one for all networks.

  Example:
    >>> Recipe(epochs=30, optimizer='adamw', learning_rate=1e-3).epochs
    30

  Raises:
    InputError: a value out of its range, or a field without effect.
  """

  epochs: int = option(6, 'passes over the training images')
  batch_size: int = option(32, 'images per step')
  optimizer: str = option(
    'sgd', f'optimizer of the weights, one of {", ".join(OPTIMIZERS)}'
  )
  momentum: float = option(0.9, 'momentum of sgd (Nesterov) and rmsprop')
  rms_decay: float = option(
    0.9, "decay of rmsprop's running mean of squared gradients"
  )
  rms_epsilon: float = option(
    1e-3, 'epsilon that rmsprop adds under the square root'
  )
  schedule: str = option(
    'cosine', 'schedule of the learning rate, one of cosine, staircase'
  )
  learning_rate: float = option(0.1, 'peak learning rate')
  warmup: float = option(
    0.05,
    'fraction of the steps in which the learning rate rises linearly to its '
    'peak',
  )
  stair_epochs: float = option(
    1.0, 'epochs between two drops of the staircase schedule'
  )
  stair_factor: float = option(
    0.97, 'factor of the learning rate at each drop of the staircase'
  )
  weight_decay: float = option(
    1e-4, 'weight decay of the kernels; nothing else decays'
  )
  clip_norm: float = option(
    0.0,
    'largest norm of the whole gradient, which is scaled down to it; 0: '
    'no clipping',
  )
  smoothing: float = option(
    0.1, 'label smoothing: fraction of each label spread over all classes'
  )
  ema_decay: float = option(
    0.0,
    'decay of an EMA of weights and batch statistics, which is evaluated '
    'instead of them; 0: no EMA',
  )
  dropout: float | None = option(
    None,
    "dropout rate before the classifier; not given: the network's own",
  )
  drop_path: float = option(
    0.0,
    'probability that the last residual block is dropped; it rises linearly '
    'with depth; 0: none',
  )
  dtype: str = option(
    'float32',
    f'type of activations, one of {", ".join(DTYPES)}; weights stay float32',
  )
  bn_momentum: float = option(
    0.9, "momentum of batch norm's running statistics"
  )
  bn_epsilon: float = option(
    1e-5, 'epsilon that batch norm adds to the variance'
  )
  remat: bool = option(
    False,
    'recompute each slot in the backward pass: less memory, more time',
  )
  cutout: int = option(
    0, 'edge in pixels of a black square in each training image; 0: none'
  )
  erasing: float = option(
    0.0, 'random erasing: fraction of training images with a noise rectangle'
  )
  mixup: float = option(
    0.0,
    'mixup: pairs of images mix by a fraction drawn from Beta(mixup, mixup); '
    '0: none',
  )
  skip_nonfinite: int = option(
    0,
    'consecutive steps that may be skipped because they are not finite; 0: '
    'the first one ends the run',
  )

  def __post_init__(self):
    check_types(self)
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
    """Weight decay that is added to gradients: 0 for AdamW."""
    return 0.0 if self.optimizer == 'adamw' else self.weight_decay

  def of_network(self, network: SearchSpace) -> SearchSpace:
    """The network with the recipe's dropout and drop-path.

    Raises:
      InputError: no op of the network has dropout or drop-path.
    """
    if self.dropout is not None:
      network = drop_path_lib.with_dropout(network, self.dropout)
    if self.drop_path:
      network = drop_path_lib.with_drop_path(network, self.drop_path)
    return network

  def tx(
    self, steps: int, after: float | None = None
  ) -> optax.GradientTransformation:
    """The optimizer of a whole training.

    Args:
      steps: of the training, over which the learning rate falls.
      after: learning rate of all later steps; None goes on with the last one.
    """
    own = {'weight_decay': self.weight_decay}
    if self.clip_norm:
      own['clip_norm'] = self.clip_norm
    if self.optimizer != 'adamw':
      own['momentum'] = self.momentum
    if self.optimizer == 'rmsprop':
      own |= {'decay': self.rms_decay, 'epsilon': self.rms_epsilon}
    rate = self.rate(steps)
    if after is not None:
      later = optax.constant_schedule(after)
      rate = optax.join_schedules([rate, later], [steps])
    return OPTIMIZERS[self.optimizer](rate, **own)

  def rate(self, steps: int) -> optax.Schedule:
    """Schedule of the learning rate, from step 0."""
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

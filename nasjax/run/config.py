"""The configuration of a search, whose fields are flags of the scripts."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import optax

from nasjax import checks, search
from nasjax import constraint as constraint_lib
from nasjax.constraint import FORMS, Kept
from nasjax.constraint.forms import Limits
from nasjax.errors import InputError
from nasjax.options import check_types, documented, option
from nasjax.relax import Relaxed
from nasjax.run import (
  config_checks,
  piecewise,
  schedule,
)
from nasjax.run.config_checks import (
  APART,
  FAIRNESS,
  ORDERS,
  PATIENCE,
  RELAXATIONS,
  SUPERNETS,
  WINDOW,
)
from nasjax.search.contributions import Sampling
from nasjax.space import Choice
from nasjax.train.recipe import Recipe

_STRENGTHS = ', '.join(
  f'{form.number:g} ({name})'
  for name, form in FORMS.items()
  if form.option == 'strength'
)


# Of the entropy, with losses in standard deviations of the networks' losses.
_ENTROPY = -2.0

Config = TypeVar('Config', 'SearchConfig', Recipe)


def _one_of(names) -> str:
  return f'one of {", ".join(names)}'


@documented
@dataclasses.dataclass(frozen=True)
class SearchConfig:
  """How to search: everything but the space, the images and the limits.

  Example:
    >>> config = SearchConfig(constraint='hinge', strength=2.0)
    >>> config.relax, config.fill
    ('contributions', 0.9)

  Raises:
    InputError: a value out of its range, or a field without effect.
  """

  constraint: str | Callable[[Mapping], Kept] = option(
    'project_equal', f'form that steers towards the limits, {_one_of(FORMS)}'
  )
  strength: float | None = option(
    None,
    'weight or exponent of a penalty constraint; not given: ' + _STRENGTHS,
    parse=checks.parse_number,
  )
  dual_rate: float | None = option(
    None,
    'step size of the dual ascent of a lagrangian constraint; not given: 0.02',
    parse=checks.parse_number,
  )
  fill: float = option(
    0.9,
    'minimum fraction of at least one limit that the derived network must use, '
    'if such a network exists',
  )
  supernet: str | None = option(
    None,
    f'how the supernet computes its candidates, {_one_of(SUPERNETS)}; not '
    'given: sampled if the relaxation samples ops (contributions, gdas, '
    'binary_gates), else mixed',
  )
  relax: str | Relaxed = option(
    'contributions',
    'how alphas learn: contributions (from the losses of single networks), or '
    f'a relaxation to probabilities, {_one_of(RELAXATIONS)}',
  )
  networks_per_step: int | None = option(
    None,
    'networks that each alpha step of relax=contributions judges; not given: 8',
  )
  networks: int | None = option(
    None,
    'networks that relax=contributions remembers, the newest; not given: 800, '
    'and 10 per free option of a large space',
  )
  network_images: int | None = option(
    None,
    'images of the alphas on which relax=contributions judges networks; not '
    'given: 2000',
  )
  temperature: float = option(
    1.0, 'temperature of the relaxation during the warm-up steps'
  )
  final_temperature: float = option(
    0.2, 'temperature of the relaxation at the end, reached geometrically'
  )
  steps: int | None = option(
    None,
    'steps of the search, warm-up included; not given: with '
    'relax=contributions as many after the warm-up as judge all networks, else '
    f'{schedule.MIXTURE_STEPS}',
  )
  warmup_steps: int | None = option(
    None,
    'warm-up steps: only weights are trained; not given: with '
    'relax=contributions so many that each option is trained on '
    f'{schedule.EPOCHS} times as many images as there are for weights, else '
    'a third of the steps',
  )
  batch_size: int = option(32, 'images per step')
  cutout: int = option(
    0, 'edge in pixels of a black square in each training image; 0: none'
  )
  learning_rate: float = option(
    0.05, "peak learning rate of the supernet's weights"
  )
  weight_rate: float | None = option(
    None,
    "learning rate of the supernet's weights after the warm-up, as a fraction "
    'of the peak; it falls to 0 before, over the warm-up; 0 freezes the '
    'weights; not given: 0 with relax=contributions, else the rate falls over '
    'all steps',
    parse=checks.parse_number,
  )
  optimizer: str = option(
    'sgd', "optimizer of the supernet's weights, one of sgd, rmsprop, adamw"
  )
  rms_epsilon: float = option(
    1e-3, 'epsilon that rmsprop adds under the square root'
  )
  warmup: float = option(
    0.05,
    'fraction of the weight steps in which their learning rate rises linearly '
    'to its peak',
  )
  clip_norm: float = option(
    0.0,
    'largest norm of the whole gradient, which is scaled down to it; 0: no '
    'clipping',
  )
  dtype: str = option(
    'float32',
    'type of activations, one of float32, bfloat16; weights stay float32',
  )
  remat: bool = option(
    False,
    'recompute each slot in the backward pass: less memory, more time',
  )
  skip_nonfinite: int = option(
    0,
    'consecutive steps that may be skipped because they are not finite; 0: '
    'the first one ends the run',
  )
  smoothing: float = option(
    0.0, 'label smoothing: fraction of each label spread over all classes'
  )
  weight_decay: float = option(
    1e-4, "weight decay of the supernet's kernels; nothing else decays"
  )
  alpha_learning_rate: float = option(
    0.05,
    "first learning rate of the alphas' Adam; it falls to 0 on half a cosine",
  )
  alpha_weight_decay: float = option(
    0.0, 'weight decay of the alphas, towards equal probabilities'
  )
  order: str = option(
    'first',
    f'hypergradient of the alphas, {_one_of(ORDERS)}: with constant weights, '
    'through one optimizer step, or at convergence of the weights',
  )
  neumann_terms: int = option(
    3, 'terms of the Neumann series of order=implicit'
  )
  neumann_rate: float = option(
    0.01, 'step size of the Neumann series of order=implicit'
  )
  entropy: float | str | piecewise.Points | None = option(
    None,
    'weight w of the entropy H in the alpha loss, loss + w * H; H is summed '
    'over all choices; w > 0 pushes towards one op per '
    f'slot, w < 0 towards equal probabilities: {piecewise.SYNTAX}, such as '
    '80:0,240:0.1; not given: 0, with relax=contributions -2',
    parse=piecewise.parse,
  )
  skip_dropout: float | str | piecewise.Points | None = option(
    None,
    'probability that a weight step drops a skip: '
    f'{piecewise.SYNTAX}, such as 0:0.5,240:0; not given: none',
    parse=piecewise.parse,
  )
  fairness: str = option(
    'none',
    f'probabilities of the n ops of a slot in weight steps, '
    f'{_one_of(FAIRNESS)}: those of the relaxation, 1 / n each, or one-hot, '
    'with each op once in n steps',
  )
  eigenvalue_every: int | None = option(
    None,
    'steps between measurements of the largest eigenvalue of the Hessian of '
    'the validation loss in the alphas; not given: never',
  )
  stop_skips: int | None = option(
    None,
    'stop the search once skips are the most probable op of this many slots '
    f'for {PATIENCE} alpha steps in a row; not given: never',
  )
  stop_eigenvalue: float | None = option(
    None,
    f'stop the search once m(i - {APART}) / m(i) is below this, with m(i) the '
    f'mean of {WINDOW} measurements of the eigenvalue around measurement i '
    '(R-DARTS: 0.75); the search returns to the alphas of measurement '
    f'i - {APART}; not given: never',
  )
  finalists: int = option(
    1,
    'architectures to train from scratch on the weight half, of which the most '
    'accurate on the alpha half is chosen; 1: the most probable one, without '
    'training',
  )
  finalist_epochs: int = option(
    14, 'epochs of the training of each finalist, in its last round'
  )
  finalist_halvings: int | None = option(
    None,
    'rounds of finalists before the last one: each has half of the epochs of '
    'the next round and twice its finalists; not given: 0',
  )
  seed: int = option(0, 'seed of everything random in the run')
  log_every: int = option(10, 'steps between lines of metrics.jsonl')
  checkpoint_every: int = option(50, 'steps between checkpoints')

  def __post_init__(self):
    check_types(self)
    config_checks.check_schedule(self)
    config_checks.check_constraint(self)
    config_checks.check_names(self)
    config_checks.check_sampling(self)
    config_checks.check_order(self)
    config_checks.check_measurements(self)
    if self._has_steps:
      config_checks.check_learnt(self)
      config_checks.check_measured(self)
    for derived in 'recipe', 'entropy_points', 'skip_dropout_points':
      getattr(self, derived)  # Checks its own fields.
    checks.check_least(
      1, finalists=self.finalists, finalist_epochs=self.finalist_epochs
    )
    if self.finalists == 1:
      checks.refuse_ignored(
        self, ['finalist_epochs', 'finalist_halvings'], 'by finalists=1'
      )
    config_checks.check_rounds(self)

  def scheduled(
    self, choices: Mapping[str, Choice], images: int
  ) -> 'SearchConfig':
    """The configuration with the steps, rate and networks of a search.

    Args:
      choices: of the space.
      images: images of the weights.

    Example:
      >>> from nasjax import spaces
      >>> found = SearchConfig().scheduled(spaces.tiny().choices, images=1000)
      >>> found.warmup_steps, found.steps, found.weight_rate
      (1125, 1225, 0.0)
    """
    own = self
    if self.sampling is not None:
      own = dataclasses.replace(
        self,
        networks=self.networks or schedule.networks(choices),
        weight_rate=0.0 if self.weight_rate is None else self.weight_rate,
      )
    taken = schedule.steps(
      choices,
      images,
      self.batch_size,
      own.sampling,
      self.steps,
      self.warmup_steps,
    )
    return dataclasses.replace(own, steps=taken.all, warmup_steps=taken.warmup)

  @property
  def taken(self) -> schedule.Steps:
    """The steps of a search.

    Raises:
      ValueError: they depend on the space and its images; see `scheduled`.
    """
    if not self._has_steps:
      raise ValueError(
        'relax=contributions without steps and warmup_steps takes steps by the '
        'space and its images; `scheduled` finds them.'
      )
    return schedule.steps(
      {}, 0, self.batch_size, self.sampling, self.steps, self.warmup_steps
    )

  @property
  def _has_steps(self) -> bool:
    """Whether the steps depend on neither the space nor its images."""
    given = self.steps is not None or self.warmup_steps is not None
    return given or self.sampling is None

  @property
  def _last(self) -> int:
    """The last step; 0 where it is not known yet."""
    return self.taken.all if self._has_steps else 0

  def images(self, last: int) -> schedule.Images:
    """The images of a search that ended after step `last`."""
    return schedule.images(
      self.taken._replace(all=last),
      self.batch_size,
      self.sampling,
      frozen=self.weight_rate == 0,
    )

  @property
  def relaxation(self) -> Relaxed:
    """The relaxation that `relax` names or is."""
    if isinstance(self.relax, str):
      return RELAXATIONS[self.relax]
    return self.relax

  @property
  def recipe(self) -> Recipe:
    """Recipe of the supernet's weights."""
    known = {f.name for f in dataclasses.fields(Recipe)}
    own = {f.name for f in dataclasses.fields(self)}
    return Recipe(**{name: getattr(self, name) for name in known & own})

  @property
  def finalist_recipe(self) -> Recipe:
    """Recipe of each finalist."""
    return Recipe(
      epochs=self.finalist_epochs,
      batch_size=self.batch_size,
      dtype=self.dtype,
      remat=self.remat,
      skip_nonfinite=self.skip_nonfinite,
    )

  @property
  def entropy_points(self) -> piecewise.Points | None:
    """`entropy` as points `(step, value)`; None without."""
    if self.entropy is None:
      return None if self.sampling is None else ((0, _ENTROPY),)
    return piecewise.points(self.entropy, 'entropy', self._last)

  @property
  def skip_dropout_points(self) -> piecewise.Points | None:
    """`skip_dropout` as points `(step, rate)`; None without."""
    if self.skip_dropout is None:
      return None
    found = piecewise.points(self.skip_dropout, 'skip_dropout', self._last)
    for _, rate in found:  # In single precision, as it is used.
      if not 0 <= np.float32(rate) < 1:
        raise InputError(
          f'skip_dropout is {rate}; it must be at least 0 and below 1'
        )
    return found

  @property
  def sampling(self) -> Sampling | None:
    """How networks are judged; None without `relax='contributions'`."""
    if self.relax != 'contributions':
      return None
    given = {
      'per_step': self.networks_per_step,
      'memory': self.networks,
      'images': self.network_images,
    }
    return Sampling(**{k: n for k, n in given.items() if n is not None})

  @property
  def weight_tx(self) -> optax.GradientTransformation:
    """Optimizer of the supernet's weights, with its schedule."""
    if self.weight_rate is None:
      return self.recipe.tx(self.taken.all)
    return self.recipe.tx(
      self.taken.warmup, after=self.weight_rate * self.learning_rate
    )

  @property
  def heat(self) -> optax.Schedule:
    """Schedule of the temperature: constant in the warm-up, then geometric."""
    if self.sampling is not None:  # Its entropy keeps probs from one-hot.
      return optax.constant_schedule(self.temperature)
    return optax.exponential_decay(
      self.temperature,
      transition_steps=max(1, self.taken.all - self.taken.warmup),
      decay_rate=self.final_temperature / self.temperature,
      transition_begin=self.taken.warmup,
    )

  @property
  def alpha_tx(self) -> optax.GradientTransformation:
    """Optimizer of the alphas: Adam, with a falling learning rate."""
    # It falls to 0, so that the last gradient's noise does not decide.
    rate = optax.cosine_decay_schedule(
      self.alpha_learning_rate, max(1, self.taken.all - self.taken.warmup)
    )
    return search.adam(rate, weight_decay=self.alpha_weight_decay)

  @property
  def number(self) -> float | None:
    """`strength` or `dual_rate`, whichever the constraint reads."""
    if not isinstance(self.constraint, str):
      return None
    return getattr(self, FORMS[self.constraint].option, None)

  def keep(self, limits: Limits) -> Kept:
    """Constraints and projection that keep limits (or prices)."""
    if isinstance(self.constraint, str):
      return constraint_lib.keep(limits, self.constraint, self.number)
    return self.constraint(limits)

  def described(self) -> dict[str, Any]:
    """The fields as JSON values; functions by module and name."""
    return {
      field.name: _described(getattr(self, field.name))
      for field in dataclasses.fields(self)
    }


def _described(value: Any) -> Any:
  if isinstance(value, Relaxed):
    return [_described(one) for one in value]
  if isinstance(value, functools.partial):
    named = {name: _described(one) for name, one in value.keywords.items()}
    return [_described(value.func), *map(_described, value.args), named]
  if callable(value):
    return f'{value.__module__}.{getattr(value, "__qualname__", value)}'
  return value


def configured(config: Config, fields: Mapping[str, Any]) -> Config:
  """A copy of a configuration with some fields replaced.

  Raises:
    InputError: there is no such field, or a value is out of its range.
  """
  known = [field.name for field in dataclasses.fields(config)]
  for name in fields:
    if name not in known:
      raise InputError(
        f'{type(config).__name__} has no field {name!r}; it has '
        f'{", ".join(known)}'
      )
  return dataclasses.replace(config, **fields)

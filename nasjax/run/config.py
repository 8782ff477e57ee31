"""The configuration of a search, whose fields are flags of the scripts."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import optax

from nasjax import checks, guard, relax, search
from nasjax import constraint as constraint_lib
from nasjax.constraint import FORMS, Kept
from nasjax.constraint.forms import Limits
from nasjax.errors import InputError
from nasjax.options import documented, option
from nasjax.relax import Relaxed
from nasjax.run import schedules
from nasjax.train.recipe import Recipe

RELAXATIONS: Mapping[str, Relaxed] = {
  'softmax': relax.SOFTMAX,
  'gumbel_softmax': relax.GUMBEL_SOFTMAX,
  'straight_through': relax.STRAIGHT_THROUGH,
  'gdas': relax.GDAS,
  'binary_gates': relax.BINARY_GATES,
  'dirichlet': relax.DIRICHLET,
  'reinmax': relax.REINMAX,
  'sparsemax': relax.SPARSEMAX,
}
ORDERS = 'first', 'second', 'implicit'
FAIRNESS: Mapping[str, Callable[..., Any] | None] = {
  'none': None,
  'uniform': guard.uniform,
  'strict': guard.strict,
}
SUPERNETS = ('mixed', 'sampled', 'entangled')
PATIENCE = 10  # Alpha steps in a row, of the rule on skips.
WINDOW, APART = 5, 4  # Of the rule on the eigenvalue, as in R-DARTS' code.

_SMALLEST_RATIO = 1e-30  # A power of it is taken, in single precision.
_STRENGTHS = ', '.join(
  f'{form.number:g} ({name})'
  for name, form in FORMS.items()
  if form.option == 'strength'
)


def _one_of(names) -> str:
  return f'one of {", ".join(names)}'


@documented
@dataclasses.dataclass(frozen=True)
class SearchConfig:
  """How to search: everything but the space, the images and the limits.

  Example:
    >>> SearchConfig(steps=300, constraint='hinge', strength=2.0).warmup_steps
    80

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
    0.98,
    'least share of one limit that the derived network uses, where a network '
    'of the space does',
  )
  supernet: str | None = option(
    None,
    f'how the supernet computes its candidates, {_one_of(SUPERNETS)}; not '
    'given: sampled if the relaxation samples ops (gdas, binary_gates), else '
    'mixed',
  )
  relax: str | Relaxed = option(
    'softmax',
    f'relaxation from alphas to probabilities, {_one_of(RELAXATIONS)}',
  )
  temperature: float = option(
    1.0, 'temperature of the relaxation during the warm-up steps'
  )
  final_temperature: float = option(
    0.2, 'temperature of the relaxation at the end, reached geometrically'
  )
  steps: int = option(240, 'steps of the weights in all, warm-up included')
  warmup_steps: int = option(
    80, 'first steps, in which the weights learn and the alphas do not'
  )
  batch_size: int = option(32, 'images per step')
  cutout: int = option(
    0, 'edge in pixels of a black square in each training image; 0: none'
  )
  learning_rate: float = option(
    0.05, "peak learning rate of the supernet's weights"
  )
  optimizer: str = option(
    'sgd', "optimizer of the supernet's weights, one of sgd, rmsprop, adamw"
  )
  rms_epsilon: float = option(
    1e-3, 'epsilon that rmsprop adds under the square root'
  )
  warmup: float = option(
    0.05,
    'share of the steps in which the learning rate of the weights rises '
    'linearly to its peak',
  )
  clip_norm: float = option(
    0.0,
    'largest norm of the whole gradient, which is scaled down to it; 0: '
    'no clipping',
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
    0.0, 'label smoothing: share of each label spread over all classes'
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
    f'hypergradient of the alphas, {_one_of(ORDERS)}: weights '
    'held, one optimizer step ahead, or at convergence',
  )
  neumann_terms: int = option(
    3, 'terms of the Neumann series of order=implicit'
  )
  neumann_rate: float = option(
    0.01, 'step size of the Neumann series of order=implicit'
  )
  entropy: float | schedules.Points | None = option(
    None,
    "weight of the entropy in the alphas' loss; positive pushes towards one op "
    f'per slot, negative towards equal ones: {schedules.SYNTAX}, such as '
    '80:0,240:0.1; not given: none',
    parse=schedules.parse,
  )
  skip_dropout: float | schedules.Points | None = option(
    None,
    'probability that a step of the weights drops a skip: '
    f'{schedules.SYNTAX}, such as 0:0.5,240:0; not given: none',
    parse=schedules.parse,
  )
  fairness: str = option(
    'none',
    f'how ops share the steps of the weights, {_one_of(FAIRNESS)}: by the '
    'probabilities of the alphas, by equal ones, or one op at a time, each '
    'equally often',
  )
  eigenvalue_every: int | None = option(
    None,
    'steps between measurements of the largest eigenvalue of the Hessian of '
    'the validation loss in the alphas; not given: never',
  )
  stop_skips: int | None = option(
    None,
    'stop the search once skips win this many slots for '
    f'{PATIENCE} steps of the alphas in a row; not given: never',
  )
  stop_eigenvalue: float | None = option(
    None,
    'stop the search once the eigenvalue rises: once its mean over '
    f'{WINDOW} measurements, divided by the mean {APART} measurements later, '
    'is below this (R-DARTS: 0.75); the search returns to the '
    'middle of the earlier window; not given: never',
  )
  finalists: int = option(
    1,
    'architectures to train from scratch, of which the most accurate on the '
    'validation half is taken; 1: the most probable one, without training',
  )
  finalist_epochs: int = option(14, 'epochs of the training of each finalist')
  seed: int = option(0, 'seed of everything random in the run')
  log_every: int = option(10, 'steps between lines of metrics.jsonl')
  checkpoint_every: int = option(50, 'steps between checkpoints')

  def __post_init__(self):
    _check_schedule(self)
    _check_constraint(self)
    _check_names(self)
    _check_order(self)
    _check_learnt(self)
    _check_measurements(self)
    for derived in 'recipe', 'entropy_points', 'skip_dropout_points':
      getattr(self, derived)  # Checks its own fields.
    checks.check_least(
      1, finalists=self.finalists, finalist_epochs=self.finalist_epochs
    )
    if self.finalists == 1:
      checks.refuse_ignored(self, ['finalist_epochs'], 'by finalists=1')

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
  def entropy_points(self) -> schedules.Points | None:
    """`entropy` as points `(step, value)`; None without."""
    if self.entropy is None:
      return None
    return schedules.points(self.entropy, 'entropy', self.steps)

  @property
  def skip_dropout_points(self) -> schedules.Points | None:
    """`skip_dropout` as points `(step, rate)`; None without."""
    if self.skip_dropout is None:
      return None
    found = schedules.points(self.skip_dropout, 'skip_dropout', self.steps)
    for _, rate in found:  # In single precision, as it is used.
      if not 0 <= np.float32(rate) < 1:
        raise InputError(
          f'skip_dropout is {rate}; it must be at least 0 and below 1'
        )
    return found

  @property
  def heat(self) -> optax.Schedule:
    """Schedule of the temperature: constant in the warm-up, then geometric."""
    return optax.exponential_decay(
      self.temperature,
      transition_steps=max(1, self.steps - self.warmup_steps),
      decay_rate=self.final_temperature / self.temperature,
      transition_begin=self.warmup_steps,
    )

  @property
  def alpha_tx(self) -> optax.GradientTransformation:
    """Optimizer of the alphas: Adam, with a falling learning rate."""
    # It falls to 0, so that the last gradient's noise does not decide.
    rate = optax.cosine_decay_schedule(
      self.alpha_learning_rate, max(1, self.steps - self.warmup_steps)
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


def _check_schedule(config: SearchConfig) -> None:
  """Raises InputError where numbers of the schedules contradict."""
  counts = ('steps', 'log_every', 'checkpoint_every', 'batch_size')
  checks.check_least(1, **{name: getattr(config, name) for name in counts})
  checks.check_seed(config.seed)
  most = config.steps - 1  # At least one step of the alphas.
  if not 0 <= config.warmup_steps <= most:
    raise InputError(
      f'warmup_steps is {config.warmup_steps}; with steps {config.steps} it '
      f'must be 0 to {most}'
    )
  rates = ('learning_rate', 'alpha_learning_rate')
  temperatures = ('temperature', 'final_temperature')
  names = temperatures + rates
  checks.check_positive(**{name: getattr(config, name) for name in names})
  for name in temperatures:
    if getattr(config, name) < np.finfo(np.float32).tiny:
      raise InputError(
        f'{name} is {getattr(config, name)}, which is 0 in single precision; '
        'it must be larger'
      )
  ratio = config.final_temperature / config.temperature
  if not _SMALLEST_RATIO < ratio < 1 / _SMALLEST_RATIO:
    raise InputError(
      f'final_temperature is {config.final_temperature}, {ratio:.3g} times '
      f'the temperature; it must be {_SMALLEST_RATIO:g} to '
      f'{1 / _SMALLEST_RATIO:g} times it'
    )
  decays = ('weight_decay', 'alpha_weight_decay')
  checks.check_not_negative(**{name: getattr(config, name) for name in decays})


def _check_constraint(config: SearchConfig) -> None:
  checks.check_fill(config.fill)
  if not isinstance(config.constraint, str):
    given = 'by a constraint that is a function'
    checks.refuse_ignored(config, ['dual_rate', 'strength'], given)
    return
  form = checks.lookup('constraint', config.constraint, FORMS)
  ignored = sorted({'strength', 'dual_rate'} - {form.option})
  why = f'with constraint={config.constraint}'
  checks.refuse_ignored(config, ignored, why)


def _check_names(config: SearchConfig) -> None:
  if isinstance(config.relax, str):
    checks.lookup('relaxation', config.relax, RELAXATIONS)
  checks.lookup('fairness', config.fairness, FAIRNESS)
  if config.supernet is not None:
    checks.lookup('supernet', config.supernet, dict.fromkeys(SUPERNETS))


def _check_order(config: SearchConfig) -> None:
  """Raises InputError for an unknown order or a bad Neumann series."""
  checks.lookup('order', config.order, dict.fromkeys(ORDERS))
  if config.order == 'implicit':
    checks.check_least(1, neumann_terms=config.neumann_terms)
    checks.check_positive(neumann_rate=config.neumann_rate)
  else:
    numbers = ('neumann_terms', 'neumann_rate')
    checks.refuse_ignored(config, numbers, f'with order={config.order}')
  if config.fairness != 'none' and config.order != 'first':
    raise InputError(
      f'fairness={config.fairness} needs order=first: weights that are '
      'trained alike whatever the alphas are do not answer to them'
    )


def _check_learnt(config: SearchConfig) -> None:
  """Raises InputError where a stopping rule needs more alpha steps."""
  learnt = config.steps - config.warmup_steps
  if config.stop_skips is not None and learnt < PATIENCE:
    raise InputError(
      f'stop_skips={config.stop_skips} has no effect: alphas learn for '
      f'{learnt} steps (steps is {config.steps}, warmup_steps '
      f'{config.warmup_steps}), and it takes at least {PATIENCE}; give '
      'fewer warmup_steps or leave it out'
    )


def _check_measurements(config: SearchConfig) -> None:
  every, ratio = config.eigenvalue_every, config.stop_eigenvalue
  if ratio is not None and not 0 < ratio < 1:
    raise InputError(
      f'stop_eigenvalue is {ratio}; it must be above 0 and below 1'
    )
  if every is None:
    if ratio is not None:
      raise InputError(
        'stop_eigenvalue needs measurements; give eigenvalue_every, too'
      )
    return
  checks.check_least(1, eigenvalue_every=every)
  if every % config.log_every:
    raise InputError(
      f'eigenvalue_every is {every}; it must be a multiple of log_every '
      f'({config.log_every}), or measurements would not be logged'
    )
  measured = config.steps // every - config.warmup_steps // every
  needed = 1 if ratio is None else WINDOW + APART
  if measured < needed:
    raise InputError(
      f'eigenvalue_every is {every}; with steps {config.steps} and '
      f'warmup_steps {config.warmup_steps} it is measured {measured} times, '
      f'and must be at least {needed}'
    )


def configured(config: Any, fields: Mapping[str, Any]) -> Any:
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

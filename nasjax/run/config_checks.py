"""Names that the configuration of a search takes, and checks of its fields."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nasjax import checks, guard, relax
from nasjax.constraint import FORMS
from nasjax.errors import InputError
from nasjax.relax import Relaxed

if TYPE_CHECKING:
  from nasjax.run.config import SearchConfig

RELAXATIONS: Mapping[str, Relaxed] = {
  'softmax': relax.SOFTMAX,
  'gumbel_softmax': relax.GUMBEL_SOFTMAX,
  'straight_through': relax.STRAIGHT_THROUGH,
  'gdas': relax.GDAS,
  'binary_gates': relax.BINARY_GATES,
  'dirichlet': relax.DIRICHLET,
  'reinmax': relax.REINMAX,
  'sparsemax': relax.SPARSEMAX,
  'contributions': relax.PATHS,
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


def check_rounds(config: 'SearchConfig') -> None:
  """Raises InputError where finalists cannot be halved so often."""
  halvings = config.finalist_halvings
  if halvings is None:
    return
  checks.check_least(0, finalist_halvings=halvings)
  for name in 'finalists', 'finalist_epochs':
    number = getattr(config, name)
    if number < 2**halvings:
      raise InputError(
        f'finalist_halvings={halvings} needs {name} of at least {2**halvings}; '
        f'it is {number}'
      )


def check_schedule(config: 'SearchConfig') -> None:
  """Raises InputError where numbers of the schedules contradict."""
  counts = ('log_every', 'checkpoint_every', 'batch_size')
  checks.check_least(1, **{name: getattr(config, name) for name in counts})
  checks.check_seed(config.seed)
  rate = config.weight_rate
  if rate is not None and not 0 <= rate <= 1:
    raise InputError(f'weight_rate is {rate}; it must be 0 to 1')
  _check_steps(config)
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


def _check_steps(config: 'SearchConfig') -> None:
  """Raises InputError for steps that leave none for weights or alphas."""
  steps, warmup = config.steps, config.warmup_steps
  asked = None
  if config.weight_rate is not None:
    asked = f'weight_rate={config.weight_rate}'
  elif config.relax == 'contributions':
    asked = 'relax=contributions'
  least = 0 if asked is None else 1
  for name, number, fewest in (
    ('steps', steps, least + 1),  # At least one step of the alphas follows.
    ('warmup_steps', warmup, least),
  ):
    if number is None:
      continue
    if asked is not None and 0 <= number < fewest:
      raise InputError(
        f'{name} is {number}; {asked} needs weights that have learnt: give at '
        f'least {fewest}'
      )
    checks.check_least(fewest, **{name: number})
  if steps is not None and warmup is not None and warmup >= steps:
    raise InputError(
      f'warmup_steps is {warmup}; with steps {steps} it must be {least} to '
      f'{steps - 1}'
    )


def check_constraint(config: 'SearchConfig') -> None:
  checks.check_fill(config.fill)
  if not isinstance(config.constraint, str):
    if not callable(config.constraint):
      raise InputError(
        f'constraint is {config.constraint!r}; it must be one of '
        f'{", ".join(FORMS)} or a function of limits'
      )
    given = 'by a constraint that is a function'
    checks.refuse_ignored(config, ['dual_rate', 'strength'], given)
    return
  form = checks.lookup('constraint', config.constraint, FORMS)
  ignored = sorted({'strength', 'dual_rate'} - {form.option})
  why = f'with constraint={config.constraint}'
  checks.refuse_ignored(config, ignored, why)


def check_names(config: 'SearchConfig') -> None:
  if isinstance(config.relax, str):
    checks.lookup('relaxation', config.relax, RELAXATIONS)
  elif not isinstance(config.relax, Relaxed):
    raise InputError(
      f'relax is {config.relax!r}; it must be one of {", ".join(RELAXATIONS)} '
      'or a nasjax.relax.Relaxed'
    )
  checks.lookup('fairness', config.fairness, FAIRNESS)
  if config.supernet is not None:
    checks.lookup('supernet', config.supernet, dict.fromkeys(SUPERNETS))


def check_sampling(config: 'SearchConfig') -> None:
  """Raises InputError for numbers of networks that cannot be judged."""
  fields = ('networks_per_step', 'networks', 'network_images')
  if config.relax != 'contributions':
    given = config.described()['relax']
    checks.refuse_ignored(config, fields, f'with relax={given}')
    return
  checks.refuse_ignored(
    config,
    ['final_temperature'],
    'with relax=contributions',
    instead='leave it out, or give relax=softmax',
  )
  numbers = {name: getattr(config, name) for name in fields}
  checks.check_least(1, **{k: n for k, n in numbers.items() if n is not None})
  sampling = config.sampling
  if sampling is None or sampling.per_step <= sampling.memory:
    return
  if config.networks_per_step is None:
    raise InputError(
      f'networks is {sampling.memory}; it must be at least networks_per_step, '
      f'{sampling.per_step}'
    )
  raise InputError(
    f'networks_per_step is {sampling.per_step}; it must be at most networks, '
    f'{sampling.memory}'
  )


def check_order(config: 'SearchConfig') -> None:
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


def check_learnt(config: 'SearchConfig') -> None:
  """Raises InputError where a stopping rule needs more alpha steps."""
  taken = config.taken
  learnt = taken.all - taken.warmup
  if config.stop_skips is not None and learnt < PATIENCE:
    raise InputError(
      f'stop_skips={config.stop_skips} has no effect: alphas learn for '
      f'{learnt} steps (steps is {taken.all}, warmup_steps {taken.warmup}), '
      f'and it takes at least {PATIENCE}; give steps and warmup_steps that are '
      f'at least {PATIENCE} apart, or leave it out'
    )


def check_measurements(config: 'SearchConfig') -> None:
  """Raises InputError for measurements or a rule that cannot be, ever."""
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
  if ratio is not None and config.relax == 'contributions':
    raise InputError(
      f'stop_eigenvalue={ratio} returns to older alphas, and '
      'relax=contributions derives from the networks judged last; leave it '
      'out, or give another relaxation'
    )


def check_measured(config: 'SearchConfig') -> None:
  """Raises InputError where there are too few measurements."""
  every, ratio = config.eigenvalue_every, config.stop_eigenvalue
  if every is None:
    return
  taken = config.taken
  measured = taken.all // every - taken.warmup // every
  needed = 1 if ratio is None else WINDOW + APART
  if measured < needed:
    raise InputError(
      f'eigenvalue_every is {every}; with steps {taken.all} and warmup_steps '
      f'{taken.warmup} it is measured {measured} times, and must be at least '
      f'{needed}'
    )

"""What the flags against collapse stand for."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments import cli, schedules
from nasjax import guard, relax
from nasjax.errors import InputError
from nasjax.guard import Guards, Rule
from nasjax.relax import Relaxed
from nasjax.search import hypergradient
from nasjax.space import Space

FAIRNESS: Mapping[str, Callable[..., Any] | None] = {
  'none': None,
  'uniform': guard.uniform,
  'strict': guard.strict,
}
PATIENCE = 10  # Steps of the alphas in a row, of the rule on skips.
WINDOW, APART = 5, 4  # Of the rule on the eigenvalue, as in R-DARTS' code.

OPTIONS = {
  'order': (
    'first',
    f'{cli.one_of(hypergradient.ORDERS)}: how alphas see the answer of weights',
  ),
  'neumann_terms': (3, 'of the series of --order=implicit'),
  'neumann_rate': (0.01, 'of the series of --order=implicit'),
  'entropy': (
    None,
    'weight of the entropy in the loss of the alphas, above 0 to decide, below '
    f'to keep open: {schedules.SYNTAX}, as 80:0,240:0.1; not given: none',
  ),
  'skip_dropout': (
    None,
    'share of weight steps in which a skip is cut off: '
    f'{schedules.SYNTAX}, as 0:0.5,240:0; not given: none',
  ),
  'fairness': (
    'none',
    f'{cli.one_of(FAIRNESS)}: weights are trained with the probabilities of '
    'the alphas, with equal ones, or one op at a time, each as often',
  ),
  'eigenvalue_every': (
    int,
    'steps between measurements of the largest eigenvalue of the Hessian of '
    'the validation loss in the alphas; not given: none',
  ),
  'stop_skips': (
    int,
    'the search stops once skips win in so many slots and stay, for '
    f'{PATIENCE} steps of the alphas in a row; not given: never',
  ),
  'stop_eigenvalue': (
    float,
    'the search stops once the eigenvalue grows so fast that its mean of some '
    f'measurements ({WINDOW}), divided by that of {APART} measurements later, '
    'is below this (R-DARTS: 0.75, in its code 1 / 1.3), and returns to the '
    'middle of the former; not given: never',
  ),
}


class Guarded(NamedTuple):
  """What the flags of a search name.

  Attributes:
    guards: inside the steps.
    rule: when to stop.
    every: steps between measurements of the eigenvalue; None is never.
  """

  guards: Guards
  rule: Rule
  every: int | None

  def measures(self, step: int) -> bool:
    """Whether the eigenvalue is measured after this step of the alphas."""
    return self.every is not None and step % self.every == 0


def of(
  config: Mapping[str, Any],
  space: Space,
  relaxation: Relaxed = relax.SOFTMAX,
) -> Guarded:
  """Flags to guards.

  Raises:
    InputError: bad input.
  """
  check_order(config)
  _check_learnt(config)
  _check_sampled(config, space, relaxation)
  _check_dropout(config, space, relaxation)
  fairness = cli.lookup('fairness', config['fairness'], FAIRNESS)
  if fairness is not None and config['order'] != 'first':
    raise InputError(
      f'--fairness={config["fairness"]} needs --order=first: weights that are '
      'trained alike whatever the alphas are do not answer to them'
    )
  if fairness is guard.strict:
    fairness = functools.partial(guard.strict, seed=config['seed'])
  entropy = _points(config, 'entropy')
  dropout = _points(config, 'skip_dropout')
  for _, rate in dropout or ():  # In single precision, as it is used.
    if not 0 <= np.float32(rate) < 1:
      raise InputError(
        f'skip_dropout {config["skip_dropout"]!r}: {rate} must be at least 0 '
        'and below 1'
      )
  guards = Guards(
    entropy=None if entropy is None else schedules.schedule(entropy),
    skip_dropout=None if dropout is None else schedules.schedule(dropout),
    fairness=fairness,
  )
  return Guarded(guards, _rule(config, space), config['eigenvalue_every'])


def check_order(config: Mapping[str, Any]) -> None:
  """Raises InputError where there is no such order, or no such series."""
  cli.lookup('order', config['order'], dict.fromkeys(hypergradient.ORDERS))
  numbers = ('neumann_terms', 'neumann_rate')
  if config['order'] == 'implicit':
    cli.check_least(1, neumann_terms=config['neumann_terms'])
    cli.check_positive(neumann_rate=config['neumann_rate'])
  else:
    why = f'with --order={config["order"]}'
    cli.refuse_ignored(config, OPTIONS, numbers, why)


def _check_learnt(config: Mapping[str, Any]) -> None:
  """Raises InputError where alphas learn for fewer steps than a flag takes."""
  learnt = config['steps'] - config['warmup_steps']
  if config['stop_skips'] is not None and learnt < PATIENCE:
    raise InputError(
      f'--stop_skips={config["stop_skips"]} has no effect: alphas learn for '
      f'{learnt} steps (steps is {config["steps"]}, warmup_steps '
      f'{config["warmup_steps"]}), and it takes at least {PATIENCE}; give '
      'fewer warmup_steps or leave it out'
    )


def _check_sampled(
  config: Mapping[str, Any], space: Space, relaxation: Relaxed
) -> None:
  """Raises InputError where ops are drawn, and a flag needs all of them."""
  if not relax.is_sampled(relaxation, space.choices):
    return
  why = {
    'order': (config['order'] != 'first', 'give --order=first'),
    'skip_dropout': (config['skip_dropout'] is not None, 'leave it out'),
    'fairness': (config['fairness'] == 'uniform', 'give --fairness=strict'),
  }
  for name, (asked, instead) in why.items():
    if asked:
      raise InputError(
        f'--{name}={config[name]} needs a relaxation that runs all ops, and '
        f'--relax={config["relax"]} draws which ones run; {instead}'
      )


def _check_dropout(
  config: Mapping[str, Any], space: Space, relaxation: Relaxed
) -> None:
  """Raises InputError where skips are to be dropped that are never mixed."""
  if config['skip_dropout'] is None:
    return
  _require_skips(space, 'skip_dropout')
  if config['fairness'] == 'strict':
    one = 'fairness'
  elif guard.is_hard(relaxation, space.choices):
    one = 'relax'
  else:
    return
  raise InputError(
    f'--skip_dropout={config["skip_dropout"]} has no effect with '
    f'--{one}={config[one]}: weights are trained with one op of a slot at a '
    'time, and there is nothing beside a skip; leave it out'
  )


def _points(config, name):
  text = config[name]
  if text is None:
    return None
  return schedules.parse(str(text), name, config['steps'])


def _require_skips(space: Space, name: str) -> int:
  """How many slots have a skip; an InputError where none has."""
  slots = len(guard.skips(space))
  if not slots:
    raise InputError(
      f'--{name} has no effect: {space.name} has no skips; leave it out'
    )
  return slots


def _rule(config: Mapping[str, Any], space: Space) -> Rule:
  rules = []
  if config['stop_skips'] is not None:
    most = _require_skips(space, 'stop_skips')
    if not 1 <= config['stop_skips'] <= most:
      raise InputError(
        f'stop_skips is {config["stop_skips"]}; {most} slots of {space.name} '
        f'have a skip, so it must be 1 to {most}'
      )
    rules.append(guard.too_many_skips(config['stop_skips'], PATIENCE))
  _check_measurements(config)
  if config['stop_eigenvalue'] is not None:
    ratio = config['stop_eigenvalue']
    rules.append(guard.rising_curvature(ratio, WINDOW, APART))
  return guard.any_of(*rules)


def _check_measurements(config: Mapping[str, Any]) -> None:
  every, ratio = config['eigenvalue_every'], config['stop_eigenvalue']
  if ratio is not None and not 0 < ratio < 1:
    raise InputError(
      f'stop_eigenvalue is {ratio}; it must be above 0 and below 1'
    )
  if every is None:
    if ratio is not None:
      raise InputError(
        'stop_eigenvalue needs measurements; give --eigenvalue_every, too'
      )
    return
  cli.check_least(1, eigenvalue_every=every)
  if every % config['log_every']:
    raise InputError(
      f'eigenvalue_every is {every}; it must be a multiple of log_every '
      f'({config["log_every"]}), or measurements would not be logged'
    )
  measured = config['steps'] // every - config['warmup_steps'] // every
  needed = 1 if ratio is None else WINDOW + APART
  if measured < needed:
    raise InputError(
      f'eigenvalue_every is {every}; with steps {config["steps"]} and '
      f'warmup_steps {config["warmup_steps"]} it is measured {measured} times, '
      f'and must be at least {needed}'
    )

"""Guards against collapse, from the configuration of a search."""

import functools
from typing import NamedTuple

from nasjax import guard, relax
from nasjax.errors import InputError
from nasjax.guard import Guards, Rule
from nasjax.run import (
  piecewise,
  schedule,
)
from nasjax.run.config import APART, FAIRNESS, PATIENCE, WINDOW, SearchConfig
from nasjax.space import SearchSpace


class Guarded(NamedTuple):
  """Guards of a search.

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


def of(config: SearchConfig, space: SearchSpace) -> Guarded:
  """The guards of a configuration, for a space.

  Raises:
    InputError: a guard has nothing to act on there.
  """
  _check_sampled(config, space)
  _check_networks(config, space)
  _check_dropout(config, space)
  fairness = FAIRNESS[config.fairness]
  if fairness is guard.strict:
    fairness = functools.partial(guard.strict, seed=config.seed)
  entropy, dropout = config.entropy_points, config.skip_dropout_points
  guards = Guards(
    entropy=None if entropy is None else piecewise.schedule(entropy),
    skip_dropout=None if dropout is None else piecewise.schedule(dropout),
    fairness=fairness,
  )
  return Guarded(guards, _rule(config, space), config.eigenvalue_every)


def _check_sampled(config: SearchConfig, space: SearchSpace) -> None:
  """Raises InputError for a guard that needs all ops, if ops are sampled."""
  if not relax.is_sampled(config.relaxation, space.choices):
    return
  why = {
    'order': (config.order != 'first', 'give order=first'),
    'skip_dropout': (config.skip_dropout is not None, 'leave it out'),
    'fairness': (config.fairness == 'uniform', 'give fairness=strict'),
  }
  for name, (asked, instead) in why.items():
    if asked:
      raise InputError(
        f'{_given(config, name)} needs a relaxation that runs all ops, and '
        f'{_given(config, "relax")} draws which ones run; {instead}, or '
        'give relax=softmax'
      )


def _check_networks(config: SearchConfig, space: SearchSpace) -> None:
  """Raises InputError if a regression has too few networks for a space."""
  if config.networks is None:
    return
  free = schedule.free_options(space.choices)
  if config.networks <= free:
    raise InputError(
      f'networks is {config.networks}; {space.name} has {free} free options, '
      'and a regression on them needs more networks than that'
    )


def _given(config: SearchConfig, name: str) -> str:
  """A field and its value, as the user types them."""
  value = config.described()[name]
  if isinstance(value, tuple):
    value = piecewise.written(value)
  return f'{name}={value}'


def _check_dropout(config: SearchConfig, space: SearchSpace) -> None:
  """Raises InputError where `skip_dropout` has no effect."""
  if config.skip_dropout is None:
    return
  _require_skips(space, 'skip_dropout')
  if config.fairness == 'strict':
    one = 'fairness'
  elif guard.is_hard(config.relaxation, space.choices):
    one = 'relax'
  else:
    return
  raise InputError(
    f'{_given(config, "skip_dropout")} has no effect with '
    f'{_given(config, one)}: weights are trained with one op of a slot at a '
    'time, and there is nothing beside a skip; leave it out'
  )


def _require_skips(space: SearchSpace, name: str) -> int:
  """How many slots have a skip; an InputError where none has."""
  slots = len(guard.skips(space.choices))
  if not slots:
    raise InputError(
      f'{name} has no effect: {space.name} has no skips; leave it out'
    )
  return slots


def _rule(config: SearchConfig, space: SearchSpace) -> Rule:
  rules = []
  if config.stop_skips is not None:
    most = _require_skips(space, 'stop_skips')
    if not 1 <= config.stop_skips <= most:
      raise InputError(
        f'stop_skips is {config.stop_skips}; {most} slots of {space.name} '
        f'have a skip, so it must be 1 to {most}'
      )
    rules.append(guard.too_many_skips(config.stop_skips, PATIENCE))
  if config.stop_eigenvalue is not None:
    rules.append(guard.rising_curvature(config.stop_eigenvalue, WINDOW, APART))
  return guard.any_of(*rules)

"""Numbers that change over a search, as one types them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import cli
from nasjax.errors import InputError

_SMALLEST_RATIO = 1e-30  # A power of it is taken, in single precision.
SYNTAX = 'a number, or step:value,... with straight lines between'


def parse(text: str, what: str, steps: int) -> tuple[tuple[int, float], ...]:
  """`0.1`, or `80:0,240:0.1`, to points.

  Args:
    text: as typed.
    what: name of the option, for messages.
    steps: of the run, all of which the schedule has to reach.

  Raises:
    InputError: no such syntax, steps that do not rise, or a last one before
      the end of the run.

  Example:
    >>> parse('0.1', 'entropy', 240), parse('80:0,240:0.1', 'entropy', 240)
    (((0, 0.1),), ((80, 0.0), (240, 0.1)))
  """
  if ':' not in text:
    return ((0, _finite(text, what)),)
  points = []
  for part in text.split(','):
    step, _, value = part.partition(':')
    if not step.strip().isdecimal():
      raise InputError(
        f'{what} {text!r}: {part!r} does not begin with a step; write it as '
        f'0:0,{steps}:0.1'
      )
    points.append((int(step), _finite(value, what)))
  at = [step for step, _ in points]
  if sorted(set(at)) != at:
    raise InputError(f'{what} {text!r}: its steps must rise')
  if at[-1] < steps:
    raise InputError(
      f'{what} {text!r} ends at step {at[-1]}, before the run; with steps '
      f'{steps} its last step must be {steps} or more'
    )
  return tuple(points)


def _finite(text: str, what: str) -> float:
  value = cli.parse_number(text, what)
  if not abs(value) < cli.LARGEST:
    raise InputError(f'{what} is {value}; it must be finite')
  return value


def schedule(points: tuple[tuple[int, float], ...]) -> optax.Schedule:
  """A function of the step; before the first point it is as there.

  Example:
    >>> [float(schedule(((2, 0.0), (4, 1.0)))(i)) for i in (0, 2, 3, 4, 9)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
  """
  return functools.partial(_at, tuple(points))


def _at(points: tuple[tuple[int, float], ...], step: Any) -> jax.Array:
  steps, values = np.array(points, np.float32).T
  return jnp.interp(step, steps, values)


def check(config: dict[str, Any]) -> None:
  """Raises InputError where the numbers of a schedule contradict each other."""
  counts = ('steps', 'log_every', 'checkpoint_every')
  cli.check_least(1, **{name: config[name] for name in counts})
  cli.check_seed(config['seed'])
  most = config['steps'] - 1  # Alphas that never learn choose by their noise.
  if not 0 <= config['warmup_steps'] <= most:
    raise InputError(
      f'warmup_steps is {config["warmup_steps"]}; with steps '
      f'{config["steps"]} it must be 0 to {most}'
    )
  rates = ('learning_rate', 'alpha_learning_rate')
  temperatures = ('temperature', 'final_temperature')
  cli.check_positive(**{name: config[name] for name in temperatures + rates})
  for name in temperatures:
    if config[name] < np.finfo(np.float32).tiny:
      raise InputError(
        f'{name} is {config[name]}, which is 0 in single precision; it must be '
        'larger'
      )
  ratio = config['final_temperature'] / config['temperature']
  if not _SMALLEST_RATIO < ratio < 1 / _SMALLEST_RATIO:
    raise InputError(
      f'final_temperature is {config["final_temperature"]}, {ratio:.3g} times '
      f'the temperature; it must be {_SMALLEST_RATIO:g} to '
      f'{1 / _SMALLEST_RATIO:g} times it'
    )
  decays = ('weight_decay', 'alpha_weight_decay')
  cli.check_not_negative(**{name: config[name] for name in decays})


def temperature(config: dict[str, Any]) -> optax.Schedule:
  """Constant through the warm-up, then geometric to the final temperature."""
  return optax.exponential_decay(
    config['temperature'],
    transition_steps=max(1, config['steps'] - config['warmup_steps']),
    decay_rate=config['final_temperature'] / config['temperature'],
    transition_begin=config['warmup_steps'],
  )

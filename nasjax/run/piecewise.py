"""Numbers that change over a search: a number, or points with lines between."""

import functools
import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nasjax import checks
from nasjax.errors import InputError

# `((step, value), ...)`, the steps rising.
Points = tuple[tuple[int, float], ...]
SYNTAX = 'a number, or step:value,... with straight lines between'


def parse(text: str, what: str) -> float | Points:
  """`0.1`, or `80:0,240:0.1`, as a number or points.

  Args:
    text: as typed.
    what: name of the field, for messages.

  Raises:
    InputError: no such syntax.

  Example:
    >>> parse('0.1', 'entropy'), parse('80:0,240:0.1', 'entropy')
    (0.1, ((80, 0.0), (240, 0.1)))
  """
  if ':' not in text:
    return checks.parse_number(text, what)
  points = []
  for part in text.split(','):
    step, _, value = part.partition(':')
    if not step.strip().isdecimal():
      raise InputError(
        f'{what} {text!r}: {part!r} does not begin with a step; write it as '
        '0:0,240:0.1'
      )
    points.append((int(step), checks.parse_number(value, what)))
  return tuple(points)


def points(given: float | str | Points, what: str, steps: int) -> Points:
  """A number or points as points that reach the end of a run.

  Args:
    given: a number, points, or either as `parse` takes it.
    what: name of the field, for messages.
    steps: of the run; 0 where they are not known yet.

  Raises:
    InputError: numbers that are not finite, steps that do not rise, or a last
      one before the end of the run.

  Example:
    >>> points(0.1, 'entropy', 240)
    ((0, 0.1),)
  """
  if isinstance(given, str):
    given = parse(given, what)
  if single := isinstance(given, float | numbers.Real):
    found = ((0, float(given)),)
  elif given:
    found = given
  else:
    raise InputError(
      f'{what} has no points; write it as 0:0,{steps or 240}:0.1'
    )
  for _, value in found:
    if not abs(value) < checks.LARGEST:
      raise InputError(f'{what} is {value}; it must be finite')
  at = [step for step, _ in found]
  if sorted(set(at)) != at:
    raise InputError(f'{what} {written(found)}: its steps must rise')
  if not single and at[-1] < steps:
    raise InputError(
      f'{what} {written(found)} ends at step {at[-1]}, before the run; with '
      f'steps {steps} its last step must be {steps} or more'
    )
  return found


def written(given: Points) -> str:
  """Points as one types them.

  Example:
    >>> written(((80, 0.0), (240, 0.1)))
    '80:0,240:0.1'
  """
  return ','.join(f'{step}:{value:g}' for step, value in given)


def schedule(points: Points) -> optax.Schedule:
  """A function of the step; before the first point it is as there.

  Example:
    >>> [float(schedule(((2, 0.0), (4, 1.0)))(i)) for i in (0, 2, 3, 4, 9)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
  """
  return functools.partial(_at, tuple(points))


def _at(points: Points, step: Any) -> jax.Array:
  steps, values = np.array(points, np.float32).T
  return jnp.interp(step, steps, values)

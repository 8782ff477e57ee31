"""What `--constraint` and its numbers stand for."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments import cli, names
from nasjax import constraint, cost, derive
from nasjax.constraint import Constraint, Projection
from nasjax.errors import InputError
from nasjax.space import Space

Limits = dict[cost.Cost, float]


class Form(NamedTuple):
  """One way to keep limits, by name.

  Attributes:
    make: `(limit, number) -> constraint`.
    number: default of the one number that it takes.
    option: which flag gives that number.
    project: alphas are projected after each step; None, no; else whether a
      whole limit is to be used. Costs that cannot be projected, memory, are
      kept by the lagrangian then.
    zero: whether the number may be 0.
    most: that it may be.
  """

  make: Callable[[float, float], Constraint]
  number: float
  option: str = 'strength'
  project: bool | None = None
  zero: bool = True
  most: float = cli.LARGEST


def _free(limit: float, number: float) -> Constraint:
  """Looks at the cost, for the metrics, and does nothing."""
  del number
  return constraint.linear(0.0, limit)


def _priced(scale: float, strength: float) -> Constraint:
  return constraint.linear(strength, scale)


def _added_log(limit: float, strength: float) -> Constraint:
  return constraint.log_power(limit, weight=strength, additive=True)


def _ratio(limit: float, power: float) -> Constraint:
  return constraint.ratio_power(limit, power, power)


_equal = functools.partial(constraint.lagrangian, equal=True)
_strict = functools.partial(constraint.lagrangian, follow_strict=True)

_dual = functools.partial(Form, number=0.02, option='dual_rate', zero=False)

FORMS: Mapping[str, Form] = {
  'lagrangian': _dual(constraint.lagrangian),
  'lagrangian_equal': _dual(_equal),
  'lagrangian_strict': _dual(_strict),
  # Its penalty is 1, and the textbook's rate at most that.
  'augmented_lagrangian': _dual(constraint.augmented_lagrangian, most=1.0),
  'project': Form(_free, 0.0, 'project', project=False),
  'project_equal': Form(_free, 0.0, 'project', project=True),
  'linear': Form(_priced, 1.0),
  'hinge': Form(constraint.hinge, 1.0),
  'absolute': Form(constraint.absolute, 1.0),
  'band': Form(constraint.band, 1.0),
  'log_power': Form(constraint.log_power, 0.6),
  'log_power_additive': Form(_added_log, 1.0, zero=False),
  'ratio_power': Form(_ratio, 0.07),
}

OPTIONS = {
  'limit': ([], 'resource=number, as macs=1.6M or params=2e5; repeatable'),
  'constraint': ('project_equal', cli.one_of(FORMS)),
  'strength': (
    None,
    'of penalties: their weight, or exponent; not given: '
    + ', '.join(
      f'{form.number:g} ({name})'
      for name, form in FORMS.items()
      if form.option == 'strength'
    ),
  ),
  'dual_rate': (
    None,
    'of the lagrangian constraints: step of the dual ascent; not given: 0.02',
  ),
  'fill': (
    0.98,
    'share of one limit that the derived network is to use, where one can',
  ),
}


class Kept(NamedTuple):
  """What the flags of a search name.

  Attributes:
    constraints: on the alphas' loss.
    projection: of the alphas.
    limits: what the derived architecture keeps.
  """

  constraints: list[tuple[cost.Cost, Constraint]]
  projection: Projection | None
  limits: Limits


def of(config: Mapping[str, Any], space: Space) -> Kept:
  """Flags to constraints.

  Raises:
    InputError: bad input.
  """
  form = cli.lookup('constraint', config['constraint'], FORMS)
  numbers = {f.option for f in FORMS.values()} & set(OPTIONS)
  cli.refuse_ignored(
    config,
    OPTIONS,
    sorted(numbers - {form.option}),
    f'with --constraint={config["constraint"]}',
  )
  check_fill(config['fill'])
  given = config.get(form.option)
  number = (
    form.number if given is None else cli.parse_number(str(given), form.option)
  )
  _check_number(form, config['constraint'], number)
  limits = limits_of(config['limit'], space)
  derive.check_reachable(limits)
  if len(limits) > 1:
    # Each can be kept; whether all can at once is known before the search.
    zeros = {k: np.zeros(len(v)) for k, v in space.choices.items()}
    derive.within(space, zeros, limits)
  scales = limits
  if not limits:
    if config['constraint'] != 'linear':
      raise InputError(
        f'constraint {config["constraint"]} needs a limit; give one as '
        '--limit=macs=1.6M'
      )
    # A price alone is per largest cost of the space.
    macs = cost.macs(space)
    scales = {macs: macs.bounds()[1]}
  try:
    return Kept(
      [(c, _constraint(form, c, scale, number)) for c, scale in scales.items()],
      _projection(form, limits),
      limits,
    )
  except ValueError as e:
    raise InputError(f'constraint {config["constraint"]}: {e}') from e


def warnings(limits: Limits) -> list[str]:
  """A line for each limit that every network of its space keeps."""
  lines = []
  for one, limit in limits.items():
    least, most = one.bounds()
    if limit > most:
      lines.append(
        f'warning: limit {one.name}={limit:.15g} has no effect: networks of '
        f'{one.space.name} cost {least} to {most}'
      )
  return lines


def _check_number(form: Form, name: str, number: float) -> None:
  """Raises InputError unless the number is one that the form can take."""
  if not 0 <= number <= form.most or (number == 0 and not form.zero):
    least = '0 or more' if form.zero else 'above 0'
    most = 'finite' if form.most == cli.LARGEST else f'at most {form.most:g}'
    raise InputError(
      f'{form.option} is {number:g}; with --constraint={name} it must be '
      f'{least} and {most}'
    )


def check_fill(fill: float) -> None:
  """Raises InputError unless it is a share."""
  if not 0 <= fill <= 1:
    raise InputError(f'fill is {fill}; it must be 0 to 1')


def limits_of(texts: list[str], space: Space) -> Limits:
  """`resource=number`, as typed, to costs of a space."""
  parsed = cli.parse_limits(texts, list(names.COSTS))
  return {names.COSTS[name](space): limit for name, limit in parsed.items()}


def _constraint(
  form: Form, own: cost.Cost, limit: float, number: float
) -> Constraint:
  if form.project is not None and own.reduction != 'sum':
    form, number = FORMS['lagrangian'], FORMS['lagrangian'].number
  return form.make(limit, number)


def _projection(form: Form, limits: Limits) -> Projection | None:
  additive = {c: limit for c, limit in limits.items() if c.reduction == 'sum'}
  if form.project is None or not additive:
    return None
  return constraint.project(
    list(additive), list(additive.values()), equal=form.project
  )

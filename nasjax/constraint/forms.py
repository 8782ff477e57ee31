"""The named forms of a constraint, and `keep`, which makes what a search takes.

A form turns a limit into a constraint with one number: the strength of a
penalty, or the rate of dual ascent. The two `project` forms tilt the alphas
after each step instead.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nasjax import checks
from nasjax.constraint import (
  lagrange,
  penalty,
)
from nasjax.constraint.base import Constraint
from nasjax.constraint.project import Projection, project
from nasjax.cost import Cost
from nasjax.errors import InputError

Limits = Mapping[Cost, float]


class Form(NamedTuple):
  """One way to keep limits.

  Attributes:
    make: `(limit, number) -> constraint`; of the `project` forms for costs that
      cannot be projected (memory).
    number: default of the one number that it takes.
    option: name of that number, `'strength'` or `'dual_rate'`; `'project'`
      takes none.
    project: alphas are projected after each step; None, no; else whether a
      whole limit is to be used.
    zero: whether the number may be 0.
    most: the largest number it may be.
  """

  make: Callable[[float, float], Constraint]
  number: float
  option: str = 'strength'
  project: bool | None = None
  zero: bool = True
  most: float = checks.LARGEST


def _priced(scale: float, strength: float) -> Constraint:
  return penalty.linear(strength, scale)


def _added_log(limit: float, strength: float) -> Constraint:
  return penalty.log_power(limit, weight=strength, additive=True)


def _ratio(limit: float, power: float) -> Constraint:
  return penalty.ratio_power(limit, power, power)


_equal = functools.partial(lagrange.lagrangian, equal=True)
_strict = functools.partial(lagrange.lagrangian, follow_strict=True)

_dual = functools.partial(Form, number=0.02, option='dual_rate', zero=False)

FORMS: Mapping[str, Form] = {
  'lagrangian': _dual(lagrange.lagrangian),
  'lagrangian_equal': _dual(_equal),
  'lagrangian_strict': _dual(_strict),
  # Its penalty is 1, and the textbook's rate at most that.
  'augmented_lagrangian': _dual(lagrange.augmented_lagrangian, most=1.0),
  'project': Form(lagrange.lagrangian, 0.02, 'project', project=False),
  'project_equal': Form(lagrange.lagrangian, 0.02, 'project', project=True),
  'linear': Form(_priced, 1.0),
  'hinge': Form(penalty.hinge, 1.0),
  'absolute': Form(penalty.absolute, 1.0),
  'band': Form(penalty.band, 1.0),
  'log_power': Form(penalty.log_power, 0.6),
  'log_power_additive': Form(_added_log, 1.0, zero=False),
  'ratio_power': Form(_ratio, 0.07),
}


class Kept(NamedTuple):
  """What keeps some limits; `nasjax.search.make` takes both fields.

  Attributes:
    constraints: on the alphas' loss, one for each cost that is not projected.
    projection: of the alphas; None where the form is no projection.
  """

  constraints: list[tuple[Cost, Constraint]]
  projection: Projection | None


def keep(
  limits: Limits, form: str = 'project_equal', number: float | None = None
) -> Kept:
  """Constraints that keep limits, by the name of a form.

  Args:
    limits: cost to the largest value allowed, positive, in the cost's unit.
      The form `'linear'` is a price per limit, not a limit.
    form: a key of `FORMS`.
    number: its strength or dual rate; None is the form's default.

  Raises:
    InputError: no such form, a number or limit out of its range, or no limit.

  Example:
    >>> from nasjax import cost, spaces
    >>> tiny = spaces.tiny()
    >>> kept = keep({cost.macs(tiny): 6000, cost.params(tiny): 900}, 'hinge')
    >>> [c.name for c, _ in kept.constraints], kept.projection
    (['macs', 'params'], None)
    >>> [c.name for c in keep({cost.macs(tiny): 6000}).projection.costs]
    ['macs']
  """
  own = checks.lookup('constraint', form, FORMS)
  number = own.number if number is None else number
  _check_number(own, form, number)
  if not limits:
    raise InputError(
      f'constraint {form} needs a limit; give one, such as macs=1.6M'
    )
  projected = own.project is not None
  additive = {c: limit for c, limit in limits.items() if c.reduction == 'sum'}
  others = limits
  if projected:
    others = {c: v for c, v in limits.items() if c not in additive}
  try:
    projection = None
    if projected and additive:
      projection = project(
        list(additive), list(additive.values()), equal=bool(own.project)
      )
    return Kept(
      [(c, own.make(limit, number)) for c, limit in others.items()], projection
    )
  except ValueError as e:
    raise InputError(f'constraint {form}: {e}') from e


def _check_number(form: Form, name: str, number: float) -> None:
  """Raises InputError unless the number is one that the form can take."""
  if not 0 <= number <= form.most or (number == 0 and not form.zero):
    least = '0 or more' if form.zero else 'above 0'
    most = 'finite' if form.most == checks.LARGEST else f'at most {form.most:g}'
    raise InputError(
      f'{form.option} is {number:g}; with constraint={name} it must be '
      f'{least} and {most}'
    )

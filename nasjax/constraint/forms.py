"""The named forms of a constraint, and `keep`, which makes them for a search.

A form turns a limit into a constraint with one number: the strength of a
penalty, or the rate of dual ascent. The two `project` forms have no number:
they move the alphas after each alpha step.
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
  """One way to steer towards limits.

  Attributes:
    make: `(limit, number) -> constraint`; the `project` forms use it for costs
      that cannot be projected (memory).
    number: default of the form's number.
    option: name of this number, `'strength'` or `'dual_rate'`; `'project'` for
      the forms without a number.
    project: None: no projection. False: alphas are projected until every
      expected cost is at most its limit. True: until one expected cost equals
      its limit and the others are at most theirs.
    zero: whether the number may be 0.
    most: the largest number allowed.

  Example:
    >>> FORMS['hinge'].option, FORMS['hinge'].number
    ('strength', 1.0)
    >>> FORMS['project_equal'].project
    True
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
  """Constraints and projection for some limits, as `nasjax.search.make` takes.

  Attributes:
    constraints: constraints on the alpha loss, one for each cost that is not
      projected.
    projection: projection of the alphas; None if the form is no projection.

  Example:
    >>> from nasjax import cost, spaces
    >>> macs = cost.macs(spaces.tiny())
    >>> kept = Kept([(macs, penalty.hinge(6000.0, 1.0))], projection=None)
    >>> [own.name for own, _ in kept.constraints]
    ['macs']
  """

  constraints: list[tuple[Cost, Constraint]]
  projection: Projection | None


def keep(
  limits: Limits, form: str = 'project_equal', number: float | None = None
) -> Kept:
  """Makes the constraints for some limits, by the name of a form.

  Args:
    limits: cost to the largest value allowed, positive, in the cost's unit.
      The form `'linear'` is a price per limit, not a limit.
    form: a key of `FORMS`.
    number: its strength or dual rate; None is the form's default.

  Returns:
    A constraint for each cost, in the order of `limits`. The `project` forms
    return a projection for additive costs, and a Lagrangian for others.

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
  """Raises InputError unless the form accepts the number."""
  if not 0 <= number <= form.most or (number == 0 and not form.zero):
    least = '0 or more' if form.zero else 'above 0'
    most = 'finite' if form.most == checks.LARGEST else f'at most {form.most:g}'
    raise InputError(
      f'{form.option} is {number:g}; with constraint={name} it must be '
      f'{least} and {most}'
    )

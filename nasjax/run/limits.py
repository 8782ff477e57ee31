"""Limits of a search: checks, constraints, warnings."""

from collections.abc import Mapping

from nasjax import cost, derive
from nasjax.constraint import Kept
from nasjax.errors import InputError
from nasjax.run.config import SearchConfig
from nasjax.space import SearchSpace, init_alphas

Limits = Mapping[cost.Cost, float]


def check(config: SearchConfig, space: SearchSpace, limits: Limits) -> None:
  """Checks before a search that some architecture keeps the limits.

  Raises:
    InputError: no architecture satisfies the limits, or the constraint needs a
      limit and there is none.
  """
  if not isinstance(limits, Mapping) or not all(
    isinstance(one, cost.Cost) for one in limits
  ):
    raise InputError(
      f'limits is {limits!r}; it must map costs, such as '
      'nasjax.cost.macs(space), to the largest values allowed'
    )
  if not limits and config.constraint != 'linear':
    raise InputError(
      f'constraint {config.constraint} needs a limit; give one, such as '
      'macs=1.6M'
    )
  for one in limits:
    try:
      one.check_space(space)
    except ValueError as e:
      raise InputError(f'limits: {e}') from e
  derive.check_reachable(limits)
  if len(limits) > 1:
    # Each can be kept; whether all can at once is known before the search.
    zeros = init_alphas(space)
    derive.within(space, zeros, limits)


def keep(config: SearchConfig, space: SearchSpace, limits: Limits) -> Kept:
  """Constraints that keep the limits; without limits, a price of MACs.

  Raises:
    InputError: the constraint cannot keep the limits.
  """
  if limits:
    return config.keep(limits)
  # A price alone is per largest cost of the space.
  macs = cost.macs(space)
  return config.keep({macs: macs.bounds()[1]})


def warnings(limits: Limits) -> list[str]:
  """A line for each limit that all networks of the space keep."""
  lines = []
  for one, limit in limits.items():
    least, most = one.bounds()
    if limit > most:
      of = '' if one.space is None else f' of {one.space.name}'
      lines.append(
        f'limit {one.name}={limit:.15g} has no effect: networks{of} cost '
        f'{least} to {most}'
      )
  return lines

"""The certificate of a derived architecture: costs, limits and the gap."""

from typing import NamedTuple

from nasjax.cost import Cost, Number
from nasjax.derive.limits import filled
from nasjax.derive.problem import Alphas, Limits
from nasjax.derive.solve import log_prob
from nasjax.space import Architecture, argmax


class Kept(NamedTuple):
  """One limit of a certificate; all numbers in the unit of the cost.

  Attributes:
    unit: unit of the numbers.
    cost: exact cost of the architecture.
    limit: the largest cost allowed.
    slack: limit minus cost.
    argmax_cost: cost of the most probable architecture, limits ignored.
    argmax_excess: by how much `argmax_cost` exceeds the limit; 0 within it.
  """

  unit: str
  cost: Number
  limit: Number
  slack: Number
  argmax_cost: Number
  argmax_excess: Number


class Certificate(NamedTuple):
  """Costs, log-probability and optimality of a derived architecture.

  Attributes:
    log_prob: log-probability of the architecture under `softmax(alphas)`, nats.
    argmax_log_prob: log-probability of the most probable architecture, limits
      ignored, nats.
    kept: name of each cost with a limit to its numbers.
    fill: requested minimum fraction of at least one limit on an additive cost.
    filled: largest used fraction of such a limit; if it is below `fill`, the
      request was not met. None without such a limit.
    gap: upper bound, in nats, on how much more probable the best feasible
      architecture can be. 0: proven optimal. None: unknown.
    fill_open: True if the solver ran out of time before it found an
      architecture that uses `fill`, or proved that there is none.
  """

  log_prob: float
  argmax_log_prob: float
  kept: dict[str, Kept]
  fill: float = 0.0
  filled: float | None = None
  gap: float | None = None
  fill_open: bool = False


def certificate(
  architecture: Architecture,
  alphas: Alphas,
  limits: Limits,
  *,
  fill: float = 0.0,
  gap: float | None = None,
  fill_open: bool = False,
) -> Certificate:
  """Compares the exact costs of an architecture with its limits.

  The costs are read from their tables; no network is traced. To count the
  derived network itself, use `nasjax.count`.

  Args:
    architecture: as `within` returns it.
    alphas: name of a choice to `f32[*shape, options]`, finite; the architecture
      was derived from them.
    limits: cost of the space to the largest value allowed, in the cost's unit.
    fill: requested minimum fraction of at least one limit, 0 to 1.
    gap: as `nasjax.derive.solution` returns it, nats.
    fill_open: as `nasjax.derive.solution` returns it.

  Returns:
    The certificate; costs, limits and slack are in the costs' units,
    log-probabilities in nats.

  Raises:
    ValueError: the architecture exceeds a limit; two costs have one name; a
      cost is of another space; or alphas are not finite or not of the space.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> from nasjax.derive import within
    >>> tiny = spaces.tiny()
    >>> macs, alphas = cost.macs(tiny), space.init_alphas(tiny)
    >>> found = within(tiny, alphas, {macs: 6000})
    >>> certificate(found, alphas, {macs: 6000}).kept['macs'].slack >= 0
    True
  """
  names = [cost.name for cost in limits]
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise ValueError(
      f'certificate requires a name for each cost, got several of '
      f'{", ".join(twice)}.'
    )
  plain = argmax(architecture.space, alphas)
  return Certificate(
    log_prob(architecture, alphas),
    log_prob(plain, alphas),
    {
      c.name: _kept(c, limit, architecture, plain)
      for c, limit in limits.items()
    },
    fill,
    filled(architecture, limits),
    gap,
    fill_open,
  )


def _kept(
  cost: Cost, limit: Number, architecture: Architecture, plain: Architecture
) -> Kept:
  found, most = cost.exact(architecture), cost.exact(plain)
  if found > limit:
    raise ValueError(
      f'{cost.name} requires at most {limit} {cost.unit}, got {found}.'
    )
  excess = max(0, most - limit)
  return Kept(cost.unit, found, limit, limit - found, most, excess)

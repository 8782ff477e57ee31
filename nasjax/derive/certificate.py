"""What a derived architecture promises, in numbers that one can check."""

from typing import NamedTuple

from nasjax.cost import Cost, Number
from nasjax.derive.limits import filled
from nasjax.derive.problem import Alphas, Limits
from nasjax.derive.solve import log_prob
from nasjax.space import Architecture, argmax


class Kept(NamedTuple):
  """One limit of a certificate; all numbers in the unit of the cost.

  Attributes:
    unit: of the numbers.
    cost: of the architecture, exact.
    limit: the most it may be.
    slack: what is left of the limit.
    argmax_cost: of the most probable architecture, limits aside.
    argmax_excess: by how much that is over the limit; 0 where it is not.
  """

  unit: str
  cost: Number
  limit: Number
  slack: Number
  argmax_cost: Number
  argmax_excess: Number


class Certificate(NamedTuple):
  """What is known of a derived architecture.

  Attributes:
    log_prob: of the architecture under `softmax(alphas)`, nats.
    argmax_log_prob: of the most probable one, limits aside.
    kept: name of the cost to what is kept of it.
    fill: share of one limit on an additive cost that was to be used.
    filled: largest share of such a limit that is used; below `fill`, that is
      not kept. None where there is no such limit.
    gap: nats by which another architecture that was asked for may be more
      probable at most; 0 where none is, as it was proven; None where it is not
      known.
    fill_open: whether one that uses `fill` may exist, though none was found in
      time.
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
  """Sets what an architecture costs, by the costs' tables, against the limits.

  No network is traced for it: `nasjax.count` does that, of the derived one.

  Args:
    architecture: as `within` returns it.
    alphas: what it was derived from.
    limits: what it was derived for.
    fill: share of one limit that was to be used.
    gap: as `nasjax.derive.solution` returns it.
    fill_open: as `nasjax.derive.solution` returns it.

  Raises:
    ValueError: a limit is exceeded, there is no certificate for that; or two
      costs have one name.

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

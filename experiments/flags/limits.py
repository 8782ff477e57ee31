"""`--limit=macs=1.6M`: limits as typed, and the costs that they are on."""

from collections.abc import Mapping, Sequence

from nasjax import checks, cost
from nasjax.cost import RESOURCES
from nasjax.space import Space


def of(texts: Sequence[str], space: Space) -> Mapping[cost.Cost, float]:
  """`resource=number`, as typed, to costs of a space.

  Raises:
    InputError: no such resource, or no positive number.
  """
  parsed = checks.parse_limits(texts, list(RESOURCES))
  return {RESOURCES[name](space): limit for name, limit in parsed.items()}

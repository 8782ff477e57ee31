"""The answer of a solver that may have been stopped."""

import math
from typing import NamedTuple

from nasjax.derive.problem import Index

_ROUNDING = 1e-12  # Of a sum of scores, as a share of it.


class Found(NamedTuple):
  """The best options that a solver found, and what it proved.

  Attributes:
    index: single choice to the place of its option; None where no architecture
      was found.
    bound: no architecture that was allowed has a larger sum of scores; minus
      infinity where none is allowed.
  """

  index: Index | None
  bound: float


NEVER = Found(None, float('-inf'))  # Nothing is allowed, as was proven.


def closed(bound: float, value: float) -> bool:
  """Whether nothing is better than a value by more than rounding.

  Example:
    >>> closed(-3.0, -3.0), closed(-2.9, -3.0), closed(-2.9, float('-inf'))
    (True, False, False)
  """
  if value == -math.inf:
    return bound == -math.inf
  return bound - value <= _ROUNDING * max(1.0, abs(value))

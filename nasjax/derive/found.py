"""The answer of a solver that may have been stopped."""

from typing import NamedTuple

from nasjax.space import Architecture


class Found(NamedTuple):
  """The best architecture that a solver found, and what it proved.

  Attributes:
    architecture: None where none was found.
    bound: no architecture that was allowed has a larger sum of scores; minus
      infinity where none is allowed.
  """

  architecture: Architecture | None
  bound: float


NEVER = Found(None, float('-inf'))  # Nothing is allowed, as was proven.

"""A space that is searched small and evaluated large."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import flax.linen as nn

from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.space.block import Measure
from nasjax.space.choices import Choice
from nasjax.space.protocol import SearchSpace
from nasjax.space.table import Table

if TYPE_CHECKING:
  from nasjax.space.architecture import Architecture

_NUMERICS = Numerics()


@dataclasses.dataclass(frozen=True)
class Proxy:
  """A space whose supernet is that of a smaller one with the same choices.

  Costs, limits and derived networks are those of `full`; a search trains the
  network of `small`.

  Attributes:
    full: the space of the derived networks, which are counted and trained from
      scratch.
    small: the space whose supernet is trained, such as narrower networks on
      smaller images.

  Raises:
    InputError: the choices differ.

  Example:
    >>> from nasjax import cost, spaces
    >>> full = spaces.nasbench_macro()
    >>> proxy = Proxy(full, spaces.nasbench_macro(width=0.25, image_size=16))
    >>> cost.macs(proxy).bounds() == cost.macs(full).bounds()
    True
  """

  full: SearchSpace
  small: SearchSpace

  def __post_init__(self):
    full, small = self.full.choices, self.small.choices
    differ = [n for n in {**full, **small} if full.get(n) != small.get(n)]
    if differ:
      raise InputError(
        f'{self.small.name!r} and {self.full.name!r} require the same choices '
        f'to be searched as one; {differ[0]!r} differs'
      )

  @property
  def name(self) -> str:
    return self.full.name

  @property
  def choices(self) -> Mapping[str, Choice]:
    return self.full.choices

  def network(self, numerics: Numerics = _NUMERICS) -> nn.Module:
    """The network at full size."""
    return self.full.network(numerics)

  def search_network(self, numerics: Numerics = _NUMERICS) -> nn.Module:
    """The network of the small space."""
    return self.small.search_network(numerics)

  def fix(self, architecture: 'Architecture') -> SearchSpace:
    """The derived network, at full size."""
    return self.full.fix(architecture)

  def tables(self, measure: Measure) -> tuple[Table, ...]:
    """Tables of the networks at full size."""
    return self.full.tables(measure)

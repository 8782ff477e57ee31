"""What a search space is to everything that searches, prices and derives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import flax.linen as nn

from nasjax.ops import Numerics
from nasjax.space.block import Measure
from nasjax.space.choices import Choice
from nasjax.space.table import Table

if TYPE_CHECKING:
  from nasjax.space.architecture import Architecture


class SearchSpace(Protocol):
  """Choices, networks and tables of costs. Static: hashable, holds no arrays.

  Costs, constraints and `nasjax.derive` ask for nothing else. A chain of slots,
  `nasjax.space.Space`, is one kind; a space of your own is another.
  """

  @property
  def name(self) -> str:
    """For people and file names."""
    ...

  @property
  def choices(self) -> Mapping[str, Choice]:
    """What is open, by name; alphas and probs have the same names."""
    ...

  def network(self, numerics: Numerics) -> nn.Module:
    """The network that is trained alone.

    It is called `(images, probs, *, train, index=None)` and gives logits;
    `probs` has an entry for each of `choices`; without choices it is `{}`.
    """
    ...

  def search_network(self, numerics: Numerics) -> nn.Module:
    """The network that is searched; called as `network` is."""
    ...

  def fix(self, architecture: 'Architecture') -> 'SearchSpace':
    """The space that is left when every choice is made."""
    ...

  def tables(self, measure: Measure) -> tuple[Table, ...]:
    """What each part of the network measures, over the choices that meet there.

    Args:
      measure: `measure(block, *input_shapes) -> number`. Tables are reduced by
        a sum, or, of a peak such as memory, by a maximum: then a table has to
        hold all that is live while its block runs.
    """
    ...

"""The protocol of a search space: choices, networks and tables of costs."""

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

  Searches, costs, constraints and `nasjax.derive` use these six members only. A
  chain of slots, `nasjax.space.Space`, implements them; you can write another
  space. A network is a space without choices.

  A search trains `search_network`. A derived network, `fix(architecture)`, is
  trained as its `network`. They may differ: a space of cells can search a
  network with fewer cells than it derives. For a chain they are the same.

  Example:
    >>> from nasjax import cost, space, spaces
    >>> tiny = spaces.tiny()
    >>> [len(choice) for choice in tiny.choices.values()]
    [2, 2, 3]
    >>> network = tiny.fix(space.Architecture.from_indices(tiny, (0, 0, 0)))
    >>> len(network.choices), len(tiny.tables(cost.measure_macs))
    (0, 6)
  """

  @property
  def name(self) -> str:
    """Name of the space in messages and file names."""
    ...

  @property
  def choices(self) -> Mapping[str, Choice]:
    """The open choices by name; alphas and probs have the same names."""
    ...

  def network(self, numerics: Numerics) -> nn.Module:
    """The module of the derived network, at full size.

    It is called `(images, probs, *, train, index=None)` and returns logits
    `f32[N, num_classes]`. `images` are `f32[N, H, W, C]`, normalised. `probs`
    maps each of `choices` to `f32[*shape, options]`; without choices it is
    `{}`. `index` is explained in `nasjax.search.make`.

    Args:
      numerics: how the network is computed.
    """
    ...

  def search_network(self, numerics: Numerics) -> nn.Module:
    """The module that a search trains; it is called like `network`.

    Args:
      numerics: how the network is computed.
    """
    ...

  def fix(self, architecture: 'Architecture') -> 'SearchSpace':
    """The derived network: the space without choices.

    Args:
      architecture: one option for every choice of this space.

    Raises:
      InputError: the architecture has other choices than this space.
    """
    ...

  def tables(self, measure: Measure) -> tuple[Table, ...]:
    """Measures each part of the network, for all choices that affect it.

    Args:
      measure: `measure(block, *input_shapes) -> number`.

    Returns:
      One table for each part. Costs sum the tables; a peak such as memory takes
      their maximum, so its numbers have to include all arrays that are live
      while the block runs.
    """
    ...

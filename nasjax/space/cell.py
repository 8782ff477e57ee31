"""Cells: small graphs that a network repeats.

A cell has nodes, which are arrays, and edges, which are ops. Node 0 is the
input. Every other node is the sum of the edges that end in it, and the last
node is the output. All layers that hold one cell share its choices.
"""

import dataclasses
import itertools

from nasjax.errors import InputError
from nasjax.ops import Numerics, Op, Skip, SkipConnect
from nasjax.space.choices import Axis, Choice
from nasjax.space.slots import LARGEST_SIZE


@dataclasses.dataclass(frozen=True)
class Edge:
  """A place between two nodes, with the ops that can stand there.

  Attributes:
    source: the node that it reads.
    target: the node that it adds to; after `source`.
    ops: candidates; one means that nothing is to choose.

  Raises:
    ValueError: no ops, two of one name, or nodes out of order.

  Example:
    >>> from nasjax.ops import SkipConnect, Zero
    >>> Edge(0, 1, (Zero(), SkipConnect())).op_names
    ('none', 'skip_connect')
  """

  source: int
  target: int
  ops: tuple[Op, ...]

  def __post_init__(self):
    if not self.ops or len(set(self.op_names)) < len(self.ops):
      raise ValueError(
        f'an edge requires ops of different names, got {self.op_names}.'
      )
    places = self.source, self.target
    if not all(isinstance(n, int) for n in places) or not (
      0 <= self.source < self.target
    ):
      raise ValueError(
        f'an edge requires a target after its source, got {self.source} to '
        f'{self.target}.'
      )

  @property
  def op_names(self) -> tuple[str, ...]:
    return tuple(op.name for op in self.ops)


@dataclasses.dataclass(frozen=True)
class Cell:
  """A graph of edges.

  Attributes:
    name: name of its choice, which has the shape `(edges,)`.
    edges: in the order of the choice, by their targets.
    affine: whether batch norms of edges have a scale and a bias. A search
      network goes without: in a mixture, the scale of an op would do what its
      probability is to learn (Liu et al. 2019, DARTS, section 3.1.1).

  Raises:
    ValueError: a node without an edge into it, edges out of order, or edges
      whose options differ while they are open.

  Example:
    >>> from nasjax.ops import SkipConnect, Zero
    >>> ops = Zero(), SkipConnect()
    >>> cell = Cell('edges', complete(ops, 3))
    >>> cell.nodes, cell.is_open
    (3, True)
  """

  name: str
  edges: tuple[Edge, ...]
  affine: bool = True

  def __post_init__(self):
    targets = [edge.target for edge in self.edges]
    if targets != sorted(targets) or len({*targets}) != self.nodes - 1:
      raise ValueError(
        f'cell {self.name!r} requires edges into each of its nodes from 1 on, '
        f'in their order, got edges into {targets}.'
      )
    if len({edge.op_names for edge in self.edges}) > 1 and self.is_open:
      raise ValueError(
        f'cell {self.name!r} requires edges with the same options, got '
        f'{[edge.op_names for edge in self.edges]}.'
      )

  @property
  def nodes(self) -> int:
    """The number of nodes, the input included."""
    return 1 + max((edge.target for edge in self.edges), default=0)

  @property
  def is_open(self) -> bool:
    """Whether there is something to choose."""
    return any(len(edge.ops) > 1 for edge in self.edges)

  @property
  def axes(self) -> tuple[Axis, ...]:
    """The single choice of each edge."""
    return tuple((self.name, (i,)) for i in range(len(self.edges)))

  def numerics(self, numerics: Numerics) -> Numerics:
    """How its edges are computed, in a network with these numerics."""
    affine = numerics.bn_affine and self.affine
    return dataclasses.replace(numerics, bn_affine=affine)

  @property
  def choice(self) -> Choice:
    """The options of all edges."""
    ops = self.edges[0].ops
    skips = [i for i, o in enumerate(ops) if isinstance(o, Skip | SkipConnect)]
    return Choice(
      self.edges[0].op_names,
      (len(self.edges),),
      skip=skips[0] if skips else None,
    )


@dataclasses.dataclass(frozen=True)
class CellLayer:
  """A place in the network that holds a cell.

  Attributes:
    name: unique in its space; also the name of its parameters.
    cell: name of the cell.
    features: channels that come in and go out.

  Raises:
    InputError: features that no array has.

  Example:
    >>> CellLayer('stage1_1', 'edges', 16).features
    16
  """

  name: str
  cell: str
  features: int

  def __post_init__(self):
    features = self.features
    if not isinstance(features, int) or not 0 < features <= LARGEST_SIZE:
      raise InputError(
        f'layer {self.name!r} has features {features}; they are whole numbers '
        f'from 1 to {LARGEST_SIZE}'
      )


def complete(ops: tuple[Op, ...], nodes: int) -> tuple[Edge, ...]:
  """An edge with the same ops between every two nodes, by their targets.

  Example:
    >>> from nasjax.ops import SkipConnect, Zero
    >>> [(e.source, e.target) for e in complete((Zero(), SkipConnect()), 3)]
    [(0, 1), (0, 2), (1, 2)]
  """
  pairs = sorted(itertools.combinations(range(nodes), 2), key=lambda p: p[::-1])
  return tuple(Edge(source, target, ops) for source, target in pairs)

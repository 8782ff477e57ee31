"""Spaces of cells: their networks, and the tables of their costs."""

import dataclasses
from typing import TYPE_CHECKING

import flax.linen as nn

from nasjax.errors import InputError
from nasjax.ops import Numerics, Op
from nasjax.space import block as block_lib
from nasjax.space.block import Measure, Shape
from nasjax.space.cell import Cell, CellLayer
from nasjax.space.chain_tables import OpBlock
from nasjax.space.choices import Choice
from nasjax.space.slots import Slot, check_images
from nasjax.space.table import Number, Table

if TYPE_CHECKING:
  from nasjax.space.architecture import Architecture

_NUMERICS = Numerics()


@dataclasses.dataclass(frozen=True)
class EdgeBlock:
  """One op on an edge, as costs see it.

  Attributes:
    op: the op.
    cell: of the edge.
    features: channels that come in and go out.
  """

  op: Op
  cell: Cell
  features: int

  def module(self, numerics: Numerics) -> nn.Module:
    """The op's module."""
    return self.op.module(self.features, 1, self.cell.numerics(numerics))

  def closed_form(self, resource: str, shape: Shape) -> Number | None:
    """None: it is counted from its program.

    Raises:
      InputError: the resource is memory.
    """
    if resource == 'memory':
      raise InputError(
        'memory of a space of cells is not known while edges are open: it '
        'depends on all edges of a cell together; limit macs or params'
      )
    return None


@dataclasses.dataclass(frozen=True)
class CellBlock:
  """A whole cell with one op on every edge, as costs see it.

  Attributes:
    cell: nothing is open in it.
    features: channels that come in and go out.
  """

  cell: Cell
  features: int

  def module(self, numerics: Numerics) -> nn.Module:
    """The cell as a module."""
    from nasjax.supernet.cell import OneCell

    return OneCell(self.cell, self.features, numerics)


@dataclasses.dataclass(frozen=True)
class CellSpace:
  """A network of cells over square images.

  Attributes:
    name: name in messages and file names.
    image_size: height and width of the input.
    channels: channels of the input images.
    cells: the graphs.
    layers: from the image to the logits: slots with one op, and places of
      cells; the last slot's `features` is the number of classes.

  Raises:
    InputError: image size or channels below 1 or too large.
    ValueError: layers or cells do not fit together.

  Example:
    >>> from nasjax import spaces
    >>> space = spaces.nasbench201()
    >>> space.choices['edges'].shape, len(space.layers)
    ((6,), 20)
  """

  name: str
  image_size: int
  channels: int
  cells: tuple[Cell, ...]
  layers: tuple[Slot | CellLayer, ...]

  def __post_init__(self):
    check_images(self.name, self.image_size, self.channels)
    names = [part.name for part in (*self.layers, *self.cells)]
    if len(set(names)) < len(names):
      raise ValueError(
        f'space {self.name!r} requires layers and cells of different names, '
        f'got {", ".join(names)}.'
      )
    features = self.channels
    for layer in self.layers:
      for op, out, stride in self._places(layer):
        if not op.fits(features, out, stride):  # pyrefly: ignore
          raise ValueError(
            f'op {op.name!r} does not fit layer {layer.name!r}: {features} to '
            f'{out} features, stride {stride}.'
          )
      features = layer.features  # pyrefly: ignore
    if not self.layers or not isinstance(self.layers[-1], Slot):
      raise ValueError(
        f'space {self.name!r} requires a slot as its last layer, got '
        f'{self.layers[-1:]}.'
      )

  def _places(self, layer):
    """Each `(op, features, stride)` of a layer."""
    if isinstance(layer, Slot):
      if len(layer.ops) > 1:
        raise ValueError(
          f'slot {layer.name!r} of a space of cells requires one op, got '
          f'{", ".join(layer.op_names)}.'
        )
      return [(layer.ops[0], layer.fixed_features, layer.fixed_stride)]
    ops = [op for edge in self.cell_of(layer).edges for op in edge.ops]
    return [(op, layer.features, 1) for op in dict.fromkeys(ops)]

  def cell_of(self, layer: CellLayer) -> Cell:
    """The cell of a layer.

    Raises:
      ValueError: there is no cell of this name.
    """
    for cell in self.cells:
      if cell.name == layer.cell:
        return cell
    raise ValueError(
      f'layer {layer.name!r} requires one of the cells '
      f'{", ".join(c.name for c in self.cells)}, got {layer.cell!r}.'
    )

  @property
  def num_classes(self) -> int:
    return self.layers[-1].features  # pyrefly: ignore

  @property
  def choices(self) -> dict[str, Choice]:
    """One name for each open cell, with the shape `(edges,)`."""
    return {cell.name: cell.choice for cell in self.cells if cell.is_open}

  def network(self, numerics: Numerics = _NUMERICS) -> nn.Module:
    """The module, called `(images, probs, *, train, index=None)`."""
    # Imported here, since the modules of supernets import spaces.
    from nasjax.supernet.cell import CellNetwork

    return CellNetwork(self, numerics)

  def search_network(self, numerics: Numerics = _NUMERICS) -> nn.Module:
    """The same as `network`; `nasjax.space.Proxy` searches a smaller one."""
    return self.network(numerics)

  def fix(self, architecture: 'Architecture') -> 'CellSpace':
    """The derived network: only the chosen op on every edge.

    Args:
      architecture: of this space, or of one with the same choices.

    Raises:
      InputError: the architecture has other choices than this space.

    Example:
      >>> from nasjax import space, spaces
      >>> cells = spaces.nasbench201()
      >>> network = cells.fix(
      ...   space.Architecture.from_indices(cells, (3, 0, 1, 2, 4, 3)))
      >>> [edge.op_names[0] for edge in network.cells[0].edges][:3]
      ['nor_conv_3x3', 'none', 'skip_connect']
    """
    index = dataclasses.replace(architecture, space=self).index

    def fixed(cell):
      pairs = zip(cell.edges, cell.axes, strict=True)
      edges = tuple(
        dataclasses.replace(edge, ops=(edge.ops[index.get(axis, 0)],))
        for edge, axis in pairs
      )
      return dataclasses.replace(cell, edges=edges)

    return dataclasses.replace(self, cells=tuple(map(fixed, self.cells)))

  def tables(self, measure: Measure) -> tuple[Table, ...]:
    """Measures every block.

    Args:
      measure: `measure(block, input shape) -> number`; blocks are
        `nasjax.space.OpBlock`s, for an open cell `EdgeBlock`s, and for a cell
        in which nothing is open one `CellBlock`.

    Returns:
      A table for each slot, for each edge of an open cell, and for each cell
      in which nothing is open. Blocks that are equal, on inputs of one shape,
      are measured once.

    Raises:
      InputError: memory, while edges are open.

    Example:
      >>> from nasjax import cost, spaces
      >>> tables = spaces.nasbench201().tables(cost.measure_macs)
      >>> len(tables), tables[1].axes
      (95, (('edges', (0,)),))
    """
    known: dict[tuple, Number] = {}

    def number(block, shape):
      if (block, shape) not in known:
        known[block, shape] = measure(block, shape)
      return known[block, shape]

    tables: list[Table] = []
    shape: Shape = (1, self.image_size, self.image_size, self.channels)
    for layer in self.layers:
      if isinstance(layer, CellLayer):
        tables += _cell_tables(self.cell_of(layer), layer, shape, number)
        continue
      ((op, features, stride),) = self._places(layer)
      block = OpBlock(op, features, stride)
      tables.append(Table((), (), (number(block, shape),)))
      shape = block_lib.output_shape(block, shape)
    return tuple(tables)


def _cell_tables(cell, layer, shape, number) -> list[Table]:
  """A table for each edge; one for all of them where nothing is open."""
  if not cell.is_open:
    block = CellBlock(cell, layer.features)
    return [Table((), (), (number(block, shape),))]
  return [
    Table(
      (axis,),
      (len(edge.ops),),
      tuple(
        number(EdgeBlock(op, cell, layer.features), shape) for op in edge.ops
      ),
    )
    for axis, edge in zip(cell.axes, cell.edges, strict=True)
  ]

"""The vocabulary: choices, spaces, architectures. All static, all hashable.

A space gives choices, a network and cost tables: the protocol is `SearchSpace`.
`Space` is the kind that is a chain, see below; `CellSpace` repeats a small
graph.

A chain space is a sequence of slots. A slot holds candidate ops, of which a
network has one. A slot with one op is fixed, such as stem, head and classifier;
a published network is a space in which all slots are fixed. A width can be a
choice, too, shared by the slots that name it.

What is learned about the choices lives outside of spaces, in `alphas`: a dict
from the name of a choice to `f32[*shape, options]`. The last axis is the
choice; a name with a shape holds several of them.
"""

from nasjax.space.architecture import Architecture, argmax, fix, one_hot
from nasjax.space.block import (
  Block,
  Measure,
  Shape,
  output_shape,
  program,
  traced_shape,
)
from nasjax.space.cell import Cell, CellLayer, Edge, complete
from nasjax.space.cell_space import CellBlock, CellSpace, EdgeBlock
from nasjax.space.chain import (
  Space,
  as_chain,
  at_pattern,
  check_image_size,
)
from nasjax.space.chain_names import (
  chosen_ops,
  difference,
  op_types,
  slot_ops,
)
from nasjax.space.chain_tables import OpBlock
from nasjax.space.choices import (
  Alphas,
  Axis,
  Choice,
  axes,
  init_alphas,
  label,
  rows,
)
from nasjax.space.json_file import read_record
from nasjax.space.kinds import is_written
from nasjax.space.protocol import SearchSpace
from nasjax.space.proxy import Proxy
from nasjax.space.sizes import resize
from nasjax.space.slots import LARGEST_SIZE, Slot, Width, channels, pairs
from nasjax.space.table import Number, Table

__all__ = [
  'LARGEST_SIZE',
  'Alphas',
  'Architecture',
  'Axis',
  'Block',
  'Cell',
  'CellBlock',
  'CellLayer',
  'CellSpace',
  'Choice',
  'Edge',
  'EdgeBlock',
  'Measure',
  'Number',
  'OpBlock',
  'Proxy',
  'SearchSpace',
  'Shape',
  'Slot',
  'Space',
  'Table',
  'Width',
  'argmax',
  'as_chain',
  'at_pattern',
  'axes',
  'channels',
  'check_image_size',
  'chosen_ops',
  'complete',
  'difference',
  'fix',
  'init_alphas',
  'is_written',
  'label',
  'one_hot',
  'op_types',
  'output_shape',
  'pairs',
  'program',
  'read_record',
  'resize',
  'rows',
  'slot_ops',
  'traced_shape',
]

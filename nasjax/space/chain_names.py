"""What files and messages say of the ops of a chain or of cells."""

from typing import Any

from nasjax.ops import Op
from nasjax.space.cell_space import CellSpace
from nasjax.space.chain import Space
from nasjax.space.choices import label
from nasjax.space.proxy import Proxy
from nasjax.space.slots import Slot


def op_types(space: Any) -> tuple[type, ...]:
  """The classes of a space's ops, which its architecture file may name.

  Example:
    >>> from nasjax import spaces
    >>> sorted(t.__name__ for t in op_types(spaces.tiny()))
    ['Classifier', 'Conv', 'MBConv', 'Skip']
  """
  if isinstance(space, Proxy):
    return tuple({*op_types(space.full), *op_types(space.small)})
  return tuple({type(op) for ops in _places(space).values() for op in ops})


def slot_ops(space: Any) -> dict[str, tuple[Op, ...]]:
  """The candidate ops of every slot of a chain; {} of other kinds of spaces.

  Example:
    >>> from nasjax import spaces
    >>> [len(ops) for ops in slot_ops(spaces.tiny()).values()]
    [1, 2, 2, 3, 1, 1]
  """
  if not isinstance(space, Space):
    return {}
  return {slot.name: slot.ops for slot in space.slots}


def chosen_ops(network: Any) -> dict[str, str]:
  """The op in every slot, and on every edge; {} of other kinds of networks.

  Args:
    network: nothing is open in it.

  Example:
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> network = tiny.fix(space.Architecture.from_indices(tiny, (0, 0, 0)))
    >>> chosen_ops(network)['stage1_1']
    'mbconv_k3_e1'
  """
  return {name: ops[0].name for name, ops in _places(network).items()}


def _places(space: Any) -> dict[str, tuple[Op, ...]]:
  """The ops of every slot, and of every edge of cells, by name."""
  if isinstance(space, CellSpace):
    slots = {s.name: s.ops for s in space.layers if isinstance(s, Slot)}
    return slots | {
      label(axis): edge.ops
      for cell in space.cells
      for axis, edge in zip(cell.axes, cell.edges, strict=True)
    }
  return slot_ops(space)


def difference(network: Any, other: Any) -> str:
  """The first difference of two networks, in words; '' where there is none.

  Args:
    network: one op in every slot.
    other: one op in every slot.

  Example:
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> one, other = (
    ...   tiny.fix(space.Architecture.from_indices(tiny, (i, 0, 0)))
    ...   for i in (0, 1))
    >>> difference(one, one)
    ''
    >>> difference(one, other)
    'slot stage1_1 is mbconv_k3_e1 to 6 features, not mbconv_k3_e3 to 6'
  """
  if network == other:
    return ''
  if not isinstance(network, Space) or not isinstance(other, Space):
    return _difference_of_ops(network, other)
  for own, one in zip(network.slots, other.slots, strict=False):
    if own != one:
      return (
        f'slot {own.name} is {own.ops[0].name} to {own.features} features, '
        f'not {one.ops[0].name} to {one.features}'
      )
  if len(network.slots) != len(other.slots):
    return f'{len(network.slots)} slots, not {len(other.slots)}'
  return 'the sizes of their images'


def _difference_of_ops(network: Any, other: Any) -> str:
  """The first op that differs, or else the names."""
  theirs = _places(other)
  for name, (op, *_) in _places(network).items():
    if name in theirs and theirs[name][0] != op:
      return f'{name} is {op.name}, not {theirs[name][0].name}'
  if network.name != other.name:
    return f'{network.name}, not {other.name}'
  return 'the sizes of their layers or images'

"""What files and messages say of a chain; other kinds of spaces say less."""

from typing import Any

from nasjax.ops import Op
from nasjax.space.chain import Space


def op_types(space: Any) -> tuple[type, ...]:
  """The classes of a chain's ops, which its architecture file may name.

  Example:
    >>> from nasjax import spaces
    >>> sorted(t.__name__ for t in op_types(spaces.tiny()))
    ['Classifier', 'Conv', 'MBConv', 'Skip']
  """
  if not isinstance(space, Space):
    return ()
  return tuple({type(op) for slot in space.slots for op in slot.ops})


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
  """The op in every slot of a chain; {} of other kinds of networks.

  Args:
    network: one op in every slot.

  Example:
    >>> from nasjax import space, spaces
    >>> tiny = spaces.tiny()
    >>> network = tiny.fix(space.Architecture.from_indices(tiny, (0, 0, 0)))
    >>> chosen_ops(network)['stage1_1']
    'mbconv_k3_e1'
  """
  if not isinstance(network, Space):
    return {}
  return {slot.name: slot.ops[0].name for slot in network.slots}


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
    return f'{network.name}, not {other.name}'
  for own, one in zip(network.slots, other.slots, strict=False):
    if own != one:
      return (
        f'slot {own.name} is {own.ops[0].name} to {own.features} features, '
        f'not {one.ops[0].name} to {one.features}'
      )
  if len(network.slots) != len(other.slots):
    return f'{len(network.slots)} slots, not {len(other.slots)}'
  return 'the sizes of their images'

"""Latency of a space's networks, from a table of one device."""

import fractions
import math
from collections.abc import Collection

from nasjax.cost.base import Cost
from nasjax.errors import InputError
from nasjax.latency import FIXED, LatencyTable, block_key
from nasjax.space import Block, SearchSpace, Shape, Table, axes, label

LATENCY = 'latency_ms'
# Nanoseconds: no clock of a device measures a block more finely.
_DIGITS = 6


def latency(
  space: SearchSpace, table: LatencyTable, *, dtype: str | None = None
) -> Cost:
  """Milliseconds of one inference, the sum of a table's entries.

  Entries times `table.scale` are rounded up to whole nanoseconds, and `exact`
  sums those in whole numbers. So an architecture within a limit is within it by
  the table, too, however many blocks it has.

  Args:
    space: a search space, or a network: a space without choices.
    table: of this space; the times of its blocks or those of its options.
    dtype: that the network is to be deployed in; None is that of the table.

  Returns:
    An additive cost in ms, named `latency_ms`.

  Raises:
    InputError: the table is of another space, image size, number of classes or
      dtype, or keys are missing; the message lists all of them.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> keys = {f'{c}/{o}': 0.25 for c, os in tiny.choices.items() for o in os}
    >>> keys |= {'stage1_1/mbconv_k3_e3': 0.75, 'fixed': 0.1}
    >>> cost = latency(tiny, LatencyTable('tiny', keys, 'choices'))
    >>> cost.bounds(), cost.unit
    ((0.85, 1.35), 'ms')
  """
  _check(space, table, dtype)
  if table.kind == 'choices':
    tables = _of_choices(space, table)
  else:
    tables = _of_blocks(space, table, dtype)
  return Cost(LATENCY, 'ms', tables, space=space, digits=_DIGITS)


def _check(space: SearchSpace, table: LatencyTable, dtype: str | None) -> None:
  """Raises InputError where the table is of something else."""
  wanted = {
    'space': (space.name, ''),
    'image_size': (getattr(space, 'image_size', None), ' pixels'),
    'num_classes': (getattr(space, 'num_classes', None), ' classes'),
    'dtype': (dtype, ''),
  }
  for name, (own, unit) in wanted.items():
    measured = getattr(table, name)
    if None not in (own, measured) and own != measured:
      raise InputError(
        f'the latency table is of {name.replace("_", " ")} {measured}{unit}, '
        f'and the network of {own}{unit}; measure a table for it'
      )


def _of_choices(space: SearchSpace, table: LatencyTable) -> tuple[Table, ...]:
  """A table for the fixed part and for each single choice."""
  keys = {
    axis: [f'{label(axis)}/{option}' for option in options]
    for axis, options in axes(space.choices).items()
  }
  wanted = {FIXED, *(key for own in keys.values() for key in own)}
  _list(space, 'lacks', wanted - set(table.entries))
  _list(space, 'names what it does not have:', set(table.entries) - wanted)
  tables = [Table((), (), (_ms(table, FIXED),))]
  for axis, own in keys.items():
    values = tuple(_ms(table, key) for key in own)
    tables.append(Table((axis,), (len(own),), values))
  return tuple(tables)


def _of_blocks(
  space: SearchSpace, table: LatencyTable, dtype: str | None
) -> tuple[Table, ...]:
  """The space's own tables, each block by its key."""
  dtype = table.dtype or dtype or 'float32'
  missing = set()

  def measure(block: Block, *shapes: Shape) -> float:
    key = block_key(block, *shapes, dtype=dtype)
    if key is None:
      return 0.0
    if key not in table.entries:
      missing.add(key)
      return 0.0
    return _ms(table, key)

  tables = space.tables(measure)
  _list(space, 'lacks', missing)
  return tables


def _list(space: SearchSpace, what: str, keys: Collection[str]) -> None:
  if keys:
    raise InputError(
      f'the latency table of {space.name} {what} {", ".join(sorted(keys))}'
    )


def _ms(table: LatencyTable, key: str) -> float:
  """An entry times the scale, rounded up to the next nanosecond."""
  # By its decimals: the float 0.1 is a little more than 100000 ns.
  ms, scale = (
    fractions.Fraction(repr(number))
    for number in (table.entries[key], float(table.scale))
  )
  return math.ceil(ms * scale * 10**_DIGITS) / 10**_DIGITS

"""The resources of a space: MACs, parameters, memory, and the user's own."""

import math
import numbers
from collections.abc import Mapping

from nasjax.cost.base import Cost, exact
from nasjax.cost.tables import (
  Number,
  Table,
  op_macs,
  op_memory,
  op_params,
  slot_tables,
)
from nasjax.errors import InputError
from nasjax.space import Space


def macs(space: Space) -> Cost:
  """Multiply-accumulates of one inference; the literature's "FLOPs".

  Convolutions and linear layers, padding taps included; see `nasjax.count`.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> macs(zoo.mobilenet_v2()).constant
    300774272
  """
  return Cost('macs', 'MACs', slot_tables(space, op_macs), space=space)


def params(space: Space) -> Cost:
  """Trainable parameters: batch norm's scale and bias in, statistics out.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> params(zoo.mobilenet_v2()).constant
    3504872
  """
  tables = slot_tables(space, op_params)
  return Cost('params', 'parameters', tables, space=space)


def memory(space: Space) -> Cost:
  """Peak bytes of activations of one float32 inference, weights apart.

  What a slot needs while it runs, the largest along the chain; see
  `nasjax.count.peak_memory` for the rule. It is a maximum, so `cost(probs)` is
  a lower bound of its expectation, see `Cost.__call__`: a constraint on it may
  not act at all while the most probable architecture is over the limit.
  `nasjax.derive` keeps the limit all the same, as a filter on candidates.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> memory(zoo.mobilenet_v2()).constant == 4 * 112 * 112 * (96 + 96 // 4)
    True
  """
  return Cost('memory', 'bytes', slot_tables(space, op_memory), 'max', space)


def table(
  space: Space,
  name: str,
  unit: str,
  candidates: Mapping[str, Mapping[str, Number]],
  fixed: Number = 0,
) -> Cost:
  """A cost of the user's own: one number per candidate.

  Args:
    space: whose candidates they are.
    name: of the resource.
    unit: what the numbers are in.
    candidates: slot or width to option to number.
    fixed: what every architecture costs besides.

  Raises:
    InputError: candidates without a number or with None (all are listed), what
      is no number, is negative or not finite, or names that the space does not
      have.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> price = table(tiny, 'energy', 'mJ', {
    ...   slot: {op: 0.5 for op in ops} for slot, ops in tiny.choices.items()})
    >>> price.bounds()
    (1.5, 1.5)
  """
  wanted = {(s, o) for s, options in space.choices.items() for o in options}
  if not isinstance(candidates, Mapping):
    raise InputError(
      f'table {name!r} is {candidates!r}; it takes slot or width to option to '
      'number'
    )
  for s, options in candidates.items():
    if not isinstance(options, Mapping):
      raise InputError(
        f'table {name!r} has {options!r} for {s}, which takes a number for '
        'each of its options'
      )
  given = {
    (s, o): number
    for s, options in candidates.items()
    for o, number in options.items()
  }
  # NumPy's own small ints would wrap in a sum.
  given = {place: exact(number) for place, number in given.items()}
  fixed = exact(fixed)
  numbered = {place for place, number in given.items() if number is not None}
  for what, names in (
    ('lacks', wanted - numbered),
    ('names what the space does not have:', set(given) - wanted),
  ):
    if names:
      listed = ', '.join(f'{s}/{o}' for s, o in sorted(names))
      raise InputError(f'table {name!r} {what} {listed}')
  for (s, o), number in {**given, ('fixed', 'part'): fixed}.items():
    if not isinstance(number, numbers.Real):
      raise InputError(
        f'table {name!r} has {number!r} at {s}/{o}; costs are numbers'
      )
    if not (math.isfinite(number) and number >= 0):
      raise InputError(
        f'table {name!r} has {number} at {s}/{o}; costs are finite and at '
        'least 0'
      )
  tables = [Table((), (), (fixed,))]
  for s, options in space.choices.items():
    values = tuple(given[s, o] for o in options)
    tables.append(Table((s,), (len(options),), values))
  return Cost(name, unit, tuple(tables), space=space)

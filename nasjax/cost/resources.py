"""The resources of a space: MACs, parameters, memory, and the user's own."""

import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any

from nasjax.cost.base import Cost, exact
from nasjax.cost.blocks import measure_macs, measure_memory, measure_params
from nasjax.errors import InputError
from nasjax.space import Axis, Number, SearchSpace, Table, axes, label


def macs(space: SearchSpace) -> Cost:
  """Multiply-accumulates of one inference; the literature's "FLOPs".

  Convolutions and linear layers, padding taps included; see `nasjax.count`.

  Args:
    space: a search space, or a network: a space without choices.

  Returns:
    An additive cost in MACs.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> macs(zoo.mobilenet_v2()).constant
    300774272
  """
  return Cost('macs', 'MACs', space.tables(measure_macs), space=space)


def params(space: SearchSpace) -> Cost:
  """Trainable parameters: batch norm's scale and bias in, statistics out.

  Args:
    space: a search space, or a network: a space without choices.

  Returns:
    An additive cost in parameters.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> params(zoo.mobilenet_v2()).constant
    3504872
  """
  tables = space.tables(measure_params)
  return Cost('params', 'parameters', tables, space=space)


def memory(space: SearchSpace) -> Cost:
  """Peak bytes of activations of one float32 inference, weights apart.

  It is the maximum, over the parts of the network, of the bytes in use while a
  part runs; `nasjax.count.peak_memory` has the rule. `cost(probs)` is a lower
  bound of the expected maximum (see `Cost.__call__`); in a search, constraints
  see `nasjax.cost.steered`. `nasjax.derive` satisfies the limit exactly.

  Args:
    space: a search space, or a network: a space without choices.

  Returns:
    A cost in bytes with `reduction='max'`.

  Raises:
    InputError: images are too small for the strides.
    ValueError: ops of one slot differ in the shape that leaves them.

  Example:
    >>> from nasjax import zoo
    >>> memory(zoo.mobilenet_v2()).constant == 4 * 112 * 112 * (96 + 96 // 4)
    True
  """
  tables = space.tables(measure_memory)
  return Cost('memory', 'bytes', tables, 'max', space)


def table(
  space: SearchSpace,
  name: str,
  unit: str,
  candidates: Mapping[Axis, Mapping[str, Number]],
  fixed: Number = 0,
) -> Cost:
  """A cost of the user's own: one number per candidate.

  Args:
    space: the space of the candidates.
    name: name of the resource.
    unit: unit of the numbers.
    candidates: name of a choice to option to number. For a name with a shape,
      the numbers are those of each of its choices; `(name, index)` gives one of
      these choices other numbers.
    fixed: cost that every architecture has in addition, in `unit`.

  Returns:
    An additive cost in `unit`.

  Raises:
    InputError: a candidate has no number (all such are listed), a value is no
      number, negative or not finite, or a name is not in the space.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> price = table(tiny, 'energy', 'mJ', {
    ...   slot: {op: 0.5 for op in ops} for slot, ops in tiny.choices.items()})
    >>> price.bounds()
    (1.5, 1.5)
  """
  if not isinstance(candidates, Mapping):
    raise InputError(
      f'table {name!r} is {candidates!r}; it takes name of a choice to option '
      'to number'
    )
  for key, numbers_of in candidates.items():
    if not isinstance(numbers_of, Mapping):
      raise InputError(
        f'table {name!r} has {numbers_of!r} for {_words(key)}, which takes a '
        'number for each of its options'
      )
  options_of = axes(space.choices)
  # A single choice's own numbers go before those of its name.
  keys = {
    axis: axis if axis in candidates or isinstance(axis, str) else axis[0]
    for axis in options_of
  }
  # NumPy's own small ints would wrap in a sum.
  given = {
    (key, option): exact(number)
    for key, numbers_of in candidates.items()
    for option, number in numbers_of.items()
  }
  fixed = exact(fixed)
  wanted = {
    (keys[axis], o) for axis, names in options_of.items() for o in names
  }
  known = wanted | {(s, o) for s, c in space.choices.items() for o in c}
  numbered = {place for place, number in given.items() if number is not None}
  for what, places in (
    ('lacks', wanted - numbered),
    ('names what the space does not have:', set(given) - known),
  ):
    if places:
      listed = ', '.join(sorted(f'{_words(s)}/{o}' for s, o in places))
      raise InputError(f'table {name!r} {what} {listed}')
  for (s, o), number in {**given, ('fixed', 'part'): fixed}.items():
    if not isinstance(number, numbers.Real):
      raise InputError(
        f'table {name!r} has {number!r} at {_words(s)}/{o}; costs are numbers'
      )
    if not math.isfinite(number) or number < 0:
      raise InputError(
        f'table {name!r} has {number} at {_words(s)}/{o}; costs are finite and '
        'at least 0'
      )
  tables = [Table((), (), (fixed,))]
  for axis, options in options_of.items():
    values = tuple(given[keys[axis], o] for o in options)
    tables.append(Table((axis,), (len(options),), values))
  return Cost(name, unit, tuple(tables), space=space)


def _words(key: Any) -> str:
  """A key of candidates as people write it, whatever it is."""
  match key:
    case (str(), tuple()):
      return label(key)
  return str(key)


# Keys are the names of limits on the command line.
RESOURCES: Mapping[str, Callable[[SearchSpace], Cost]] = {
  'macs': macs,
  'params': params,
  'memory': memory,
}

"""Dropout and drop-path, written into the ops of a network.

They change training only. Names, parameters, costs and outputs at test time
stay the same, so a network with dropout and the same one without share their
weights.
"""

import dataclasses

from nasjax.errors import InputError
from nasjax.ops import Op
from nasjax.space import SearchSpace, Space


def with_dropout(space: SearchSpace, rate: float) -> Space:
  """Sets the dropout before the classifier (Srivastava et al. 2014).

  Args:
    space: a network or a search space.
    rate: fraction of the activations that are dropped, in [0, 1).

  Raises:
    InputError: the rate is out of its range, or no op of the space has a
      dropout.

  Example:
    >>> from nasjax import zoo
    >>> with_dropout(zoo.mobilenet_v2(), 0.3).slots[-1].ops[0].dropout
    0.3
  """
  return _with(space, 'dropout', rate, lambda share: rate)


def with_drop_path(space: SearchSpace, rate: float) -> Space:
  """Drops residual branches at random, deeper ones more often.

  For each image, the branch of block l of L is dropped with probability
  `rate * l / L` (Huang et al. 2016, Stochastic Depth, eq. 4, where 1 - rate is
  p_L). A branch that stays is divided by its probability to stay, so that the
  mean does not change. Blocks without a shortcut count towards L, but nothing
  of them is dropped.

  Args:
    space: a network or a search space.
    rate: probability that the branch of the last block is dropped, in [0, 1).

  Raises:
    InputError: the rate is out of its range, or no op of the space can drop
      its path.

  Example:
    >>> from nasjax import zoo
    >>> network = with_drop_path(zoo.mobilenet_v2(), 0.17)
    >>> rates = [getattr(s.ops[0], 'drop_path', None) for s in network.slots]
    >>> rates[0], rates[1], round(rates[-3], 2), rates[-1]
    (None, 0.01, 0.17, None)
  """
  return _with(space, 'drop_path', rate, lambda share: rate * share)


def _with(space: SearchSpace, field: str, rate: float, at) -> Space:
  """Sets a field of every op that has it, by how deep the op's slot is."""
  if not 0 <= rate < 1:
    raise InputError(f'{field} is {rate}; it must be at least 0 and below 1')
  if not isinstance(space, Space):
    raise InputError(
      f'{field} is {rate}; {space.name!r} is no chain of slots, whose ops have '
      'one'
    )
  holders = [s for s in space.slots if any(_has(op, field) for op in s.ops)]
  if not holders:
    raise InputError(f'{field} is {rate}; no op of {space.name!r} has one')
  slots = list(space.slots)
  for depth, slot in enumerate(holders, 1):
    value = at(depth / len(holders))
    ops = tuple(
      dataclasses.replace(op, **{field: value}) if _has(op, field) else op
      for op in slot.ops
    )
    slots[space.slots.index(slot)] = dataclasses.replace(slot, ops=ops)
  return dataclasses.replace(space, slots=tuple(slots))


def _has(op: Op, field: str) -> bool:
  return any(f.name == field for f in dataclasses.fields(op))

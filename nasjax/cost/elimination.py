"""Variable elimination: a reduction over all architectures, without them.

A cost is combined from tables, and in each table only a few choices meet. So
the smallest cost of all combinations, the largest or a sum is found choice by
choice: each in turn is reduced away from the tables in which it stands, those
of the smallest joint table first (bucket elimination, Dechter 1999). That takes
time with the size of a joint table, not with the number of architectures.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from nasjax.space import Axis


class Factor(NamedTuple):
  """An array over some of the choices.

  Attributes:
    axes: the single choices, each once; none for a constant.
    array: `[*options]`, one axis for each choice.
  """

  axes: tuple[Axis, ...]
  array: np.ndarray


def eliminate(
  factors: Sequence[Factor],
  combine: Callable[[np.ndarray, np.ndarray], np.ndarray],
  reduce: Callable[..., np.ndarray],
) -> tuple[np.ndarray, list[Factor]]:
  """Combines factors and reduces over all options of all their choices.

  `combine` has to distribute over `reduce`, as `np.add` does over `np.min`,
  `np.max` and log-sum-exp, and `np.maximum` does over `np.min` and `np.max`.

  Args:
    factors: at least one.
    combine: associative and commutative, element by element.
    reduce: `reduce(array, axis=-1)` takes the last axis away.

  Returns:
    The total, a scalar of the factors' type; and for each choice, in the order
    of elimination, what it was reduced from: the joint factor of that choice,
    which is its last axis, and of choices that are eliminated later.

  Example:
    >>> left = Factor(('a',), np.array([3, 1]))
    >>> right = Factor(('a', 'b'), np.array([[0, 5], [4, 9]]))
    >>> total, joints = eliminate([left, right], np.add, np.min)
    >>> int(total)  # 3 + 0, against 1 + 4
    3
    >>> [joint.axes for joint in joints]
    [('b', 'a'), ('b',)]
  """
  pending = list(factors)
  left = dict.fromkeys(axis for f in pending for axis in f.axes)
  joints = []
  while left:
    name = min(left, key=lambda axis: _joint_size(pending, axis))
    del left[name]
    here = [f for f in pending if name in f.axes]
    pending = [f for f in pending if name not in f.axes]
    others = dict.fromkeys(a for f in here for a in f.axes if a != name)
    axes = (*others, name)
    joint = functools.reduce(combine, [_spread(f, axes) for f in here])
    joints.append(Factor(axes, joint))
    reduced = np.asarray(reduce(joint, axis=-1))
    pending.append(Factor(axes[:-1], reduced))
  return functools.reduce(combine, [f.array for f in pending]), joints


def _joint_size(factors: Sequence[Factor], name: Axis) -> int:
  """Number of combinations of the choices that meet with one."""
  sizes = {}
  for f in factors:
    if name in f.axes:
      sizes |= dict(zip(f.axes, f.array.shape, strict=True))
  return math.prod(sizes.values())


def _spread(factor: Factor, axes: tuple[Axis, ...]) -> np.ndarray:
  """The array, broadcastable over all of `axes`."""
  own = factor.axes
  order = sorted(range(len(own)), key=lambda i: axes.index(own[i]))
  sizes = dict(zip(own, factor.array.shape, strict=True))
  return factor.array.transpose(order).reshape([sizes.get(a, 1) for a in axes])

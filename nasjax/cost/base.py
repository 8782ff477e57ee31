"""Costs of architectures: expected, exact, and their bounds.

A cost is a pure function of probs. It holds a number for every combination of
the choices that affect one part of the network, from the space's `tables`. No
product formula is assumed, nothing is estimated.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.cost.elimination import Factor, eliminate
from nasjax.errors import InputError
from nasjax.space import (
  Architecture,
  Axis,
  Number,
  SearchSpace,
  Table,
  rows,
)

_LARGEST_INT = 2**63 - 1
_LARGEST_DECIMAL = 2**50  # Of the last decimal: floats tell these apart.
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


@dataclasses.dataclass(frozen=True)
class Cost:
  """A resource of a space. Static: hashable, holds no arrays.

  Attributes:
    name: name of the resource, such as `macs`.
    unit: unit of the numbers, such as `MACs` or `bytes`.
    tables: one for every part of the network, in the order of the space.
    reduction: `'sum'` for resources that add up over the network (MACs,
      parameters, latency, energy), `'max'` for a peak that every part can use
      again (memory).
    space: the space whose architectures it prices, which `exact` and
      `nasjax.derive` check; None accepts any space with these choices.
    digits: decimals of the numbers, of an additive cost. `exact` then sums
      whole numbers of `10**-digits` and returns the float next to that sum, so
      the order of the sum does not matter and comparing with a limit of as many
      decimals is exact. None sums the numbers as they are.

  Raises:
    InputError: an architecture may cost more than 63 bits hold, or, where costs
      are floats, more than a float32; with `digits`, more than floats hold with
      so many decimals.
    ValueError: a number that is negative or not finite, or has more decimals
      than `digits`.

  Example:
    >>> from nasjax import relax, space, spaces
    >>> from nasjax.cost import macs
    >>> tiny = spaces.tiny()
    >>> cost = macs(tiny)
    >>> probs = relax.softmax(space.init_alphas(tiny))
    >>> low, high = cost.bounds()
    >>> low < float(cost(probs)) < high
    True
  """

  name: str
  unit: str
  tables: tuple[Table, ...]
  reduction: str = 'sum'
  # Two costs are equal if their tables are.
  space: SearchSpace | None = dataclasses.field(
    default=None, repr=False, compare=False
  )
  # The fingerprint of a run has the text of its costs; the numbers say enough.
  digits: int | None = dataclasses.field(default=None, repr=False)

  def __post_init__(self):
    for table in self.tables:
      if not all(0 <= value < math.inf for value in table.values):
        raise ValueError(
          f'cost {self.name!r} requires finite numbers of at least 0, got '
          f'{min(table.values)} to {max(table.values)}.'
        )
    # Sums are of int64, or of float32.
    combine = sum if self.reduction == 'sum' else max
    largest = combine([exact(max(t.values)) for t in self.tables] or [0])
    most = _LARGEST_INT if isinstance(largest, int) else _LARGEST_FLOAT
    if self.digits is not None:
      most = _LARGEST_DECIMAL // 10**self.digits
    if largest > most:
      at = '' if self.space is None else f' of {self.space.name!r}'
      raise InputError(
        f'{self.name}{at} may come to {largest} {self.unit}, and the most that '
        f'can be computed with is {most}; take smaller images or widths, or '
        'fewer classes'
      )
    if self.digits is None:
      return
    for value in (v for table in self.tables for v in table.values):
      if round(value, self.digits) != value:
        raise ValueError(
          f'cost {self.name!r} requires numbers of at most {self.digits} '
          f'decimals, got {value}.'
        )

  def __call__(self, probs: Mapping[str, jax.Array]) -> jax.Array:
    """Cost of a distribution over architectures, `f32[]`, differentiable.

    For `reduction='sum'` it is the exact expectation when every choice is
    drawn independently: with `p = softmax(alpha / t)` its derivative in
    `alpha_j` is `p_j (c_j - E) / t`, where `E` is the expectation and `c_j`
    that given option j. For `'max'` it is the largest of the tables' exact
    expectations: exact at one-hot probs, elsewhere a lower bound of the
    expected maximum (Jensen).

    Args:
      probs: name of a choice to `f32[*shape, options]`, summing to 1 along the
        last axis.

    Returns:
      `f32[]`, in `unit`.

    Raises:
      KeyError: `probs` lacks a choice of a table.
    """
    single = rows(probs)
    parts = []
    for table in self.tables:
      dtype = single[table.axes[-1]].dtype if table.axes else float
      part = jnp.asarray(table.array(), dtype=dtype)
      for axis in reversed(table.axes):
        part = part @ single[axis]
      parts.append(part)
    combine = jnp.add if self.reduction == 'sum' else jnp.maximum
    return functools.reduce(combine, parts)

  def exact(self, architecture: Architecture) -> Number:
    """Cost of the derived network, an exact number in `unit`.

    Args:
      architecture: an architecture of `space`.

    Raises:
      ValueError: the architecture is of another space, or of this one at other
        sizes.
    """
    self.check_space(architecture.space)
    return self.at(architecture.index)

  def at(self, index: Mapping[Axis, int]) -> Number:
    """Exact cost at one option of every single choice.

    Args:
      index: single choice to the place of its option.
    """
    return self._reduce(table.at(index) for table in self.tables)

  def given(self, axis: Axis, option: int) -> 'Cost':
    """The cost of the architectures that have one option of a choice.

    Args:
      axis: a single choice.
      option: place of its option.

    Example:
      >>> from nasjax import spaces
      >>> from nasjax.cost import macs
      >>> cost = macs(spaces.tiny_macro())
      >>> [cost.given('pattern', i).bounds() for i in (0, 1)]
      [(2616, 10248), (4344, 14280)]
    """
    tables = tuple(table.given(axis, option) for table in self.tables)
    # Those architectures are not all of the space, so the cost names none.
    return dataclasses.replace(self, tables=tables, space=None)

  def check_space(self, space: SearchSpace) -> None:
    """Raises ValueError unless these are the costs of a space."""
    if self.space is None or self.space is space or self.space == space:
      return
    raise ValueError(
      f'{self.name} is a cost of {_described(self.space)}, not of '
      f'{_described(space)}.'
    )

  @property
  def constant(self) -> Number:
    """Sum or maximum of the tables without axes, in `unit`.

    No choice affects this part of the cost. For a derived network it is the
    whole cost.
    """
    return self._reduce(t.values[0] for t in self.tables if not t.axes)

  def bounds(self) -> tuple[Number, Number]:
    """Smallest and largest cost of any architecture, in `unit`.

    Each equals `exact` of some architecture, to the last bit of a float.
    """
    return (
      self._extreme(np.min, np.argmin),
      self._extreme(np.max, np.argmax),
    )

  def _reduce(self, values) -> Number:
    if self.digits is not None and self.reduction == 'sum':
      scale = 10**self.digits
      # Python divides ints to the nearest float.
      return sum(round(value * scale) for value in values) / scale
    return sum(values) if self.reduction == 'sum' else max(values, default=0)

  def _extreme(self, best: Callable, place: Callable) -> Number:
    factors = [Factor(table.axes, table.array()) for table in self.tables]
    combine = np.add if self.reduction == 'sum' else np.maximum
    _, joints = eliminate(factors, combine, best)
    # Float sums depend on their order, so sum again in the usual order.
    index: dict[Axis, int] = {}
    for axes, joint in reversed(joints):
      options = joint[tuple(index[axis] for axis in axes[:-1])]
      index[axes[-1]] = int(place(options))
    return self.at(index)


@runtime_checkable
class _Sized(Protocol):
  """The sizes that spaces of images also have."""

  image_size: int
  channels: int

  @property
  def num_classes(self) -> int: ...


def _described(space: SearchSpace) -> str:
  """A space by its name, and by the sizes of its images where it has any."""
  if not isinstance(space, _Sized):
    return repr(space.name)
  return (
    f'{space.name!r} (images of {space.image_size} pixels and '
    f'{space.channels} channels, {space.num_classes} classes)'
  )


def exact(number: Any) -> Any:
  """A number of NumPy as one of Python; anything else as it is."""
  return number.item() if isinstance(number, np.generic) else number

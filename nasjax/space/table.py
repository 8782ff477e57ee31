"""A table of numbers over the choices that meet in one part of a network."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from nasjax.space.choices import Axis

Number = int | float


@dataclasses.dataclass(frozen=True)
class Table:
  """A number for every combination of the choices that meet in one place.

  Attributes:
    axes: the single choices, see `nasjax.space.axes`: a name, or name and index
      of a choice in a name that has a shape; none where nothing is to choose.
    shape: number of options of each.
    values: in row-major order, the last choice running fastest.

  Example:
    >>> Table(('width', 'op'), (2, 2), (1, 2, 3, 4)).at({'width': 1, 'op': 0})
    3
    >>> edge = 'edge', (0,)
    >>> Table((edge,), (2,), (5, 6)).at({edge: 1})
    6
  """

  axes: tuple[Axis, ...]
  shape: tuple[int, ...]
  values: tuple[Number, ...]

  def array(self) -> np.ndarray:
    """`i64[*shape]`, or `f64[*shape]` where a number is no int of 64 bits."""
    values = np.array(self.values)
    exact = values.dtype.kind in 'bi'
    return values.astype(np.int64 if exact else float).reshape(self.shape)

  def at(self, index: Mapping[Axis, int]) -> Number:
    """The number at one option of every choice."""
    flat = 0
    for axis, size in zip(self.axes, self.shape, strict=True):
      flat = flat * size + index[axis]
    return self.values[flat]

  def given(self, axis: Axis, option: int) -> 'Table':
    """The table with one choice made; itself if it is not over that choice.

    Example:
      >>> Table(('width', 'op'), (2, 2), (1, 2, 3, 4)).given('width', 1)
      Table(axes=('op',), shape=(2,), values=(3, 4))
    """
    if axis not in self.axes:
      return self
    place = self.axes.index(axis)
    places = np.arange(len(self.values)).reshape(self.shape)
    kept = places.take(option, place).ravel().tolist()
    return Table(
      self.axes[:place] + self.axes[place + 1 :],
      self.shape[:place] + self.shape[place + 1 :],
      tuple(self.values[i] for i in kept),
    )

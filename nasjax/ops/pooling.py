"""Max pooling, in the formulation that the platform runs fastest.

The gradient of XLA's own (`select_and_scatter`) runs many times slower on its
CPU backend than its arithmetic needs. `form='taps'` is the same function as a
chain of comparisons over a window's elements, each a shifted image.
"""

import itertools
from collections.abc import Sequence
from typing import SupportsInt

import jax
import numpy as np
from jax import lax

from nasjax.ops.depthwise import FORMS

Padding = Sequence[tuple[SupportsInt, SupportsInt]]


def max_pool(
  x: jax.Array,
  kernel: int,
  stride: int,
  *,
  padding: Padding | None = None,
  form: str = 'auto',
) -> jax.Array:
  """The largest value of each window; padding never wins.

  Every form computes the same, and so do its derivatives, of any order: of
  several largest values in a window the first has the gradient.

  Args:
    x: `[N, H, W, C]`, of a floating dtype.
    kernel: height and width of a window.
    stride: the step between windows.
    padding: pixels before and behind, along H and W; None is `SAME`.
    form: `'native'` is XLA's, `'taps'` the chain of comparisons, `'auto'` is
      taps on a CPU and native elsewhere, decided when the program is lowered
      for a platform.

  Returns:
    `[N, H', W', C]`, with `ceil(H / stride)` windows along H for `SAME`.

  Raises:
    ValueError: no such form.

  Example:
    >>> import jax.numpy as jnp
    >>> x = jnp.array([3.0, 1.0, 2.0, 2.0]).reshape(1, 1, 4, 1)
    >>> max_pool(x, 3, 1, form='taps').ravel().tolist()
    [3.0, 3.0, 2.0, 2.0]
  """
  if form not in FORMS:
    raise ValueError(f'form must be one of {FORMS}, got {form=}.')
  if padding is None:
    padding = lax.padtype_to_pads(
      x.shape[1:3], (kernel, kernel), (stride, stride), 'SAME'
    )
  whole = tuple((int(low), int(high)) for low, high in padding)

  def native(x):
    return lax.reduce_window(
      x,
      np.array(-np.inf, x.dtype),
      lax.max,
      (1, kernel, kernel, 1),
      (1, stride, stride, 1),
      ((0, 0), *whole, (0, 0)),
    )

  def taps(x):
    return _largest(x, kernel, stride, whole)

  if form == 'auto':
    return lax.platform_dependent(x, cpu=taps, default=native)
  return taps(x) if form == 'taps' else native(x)


def _largest(x, kernel, stride, padding):
  """By comparing a window's elements, in their order, one after the other."""
  config = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
  x = lax.pad(x, np.array(-np.inf, x.dtype), config)
  n, *sizes, c = x.shape
  windows = [(size - kernel) // stride + 1 for size in sizes]

  def element(at: tuple[int, ...]) -> jax.Array:
    stop = np.add(at, (np.array(windows) - 1) * stride + 1)
    return lax.slice(
      x, (0, *at, 0), (n, *map(int, stop), c), (1, stride, stride, 1)
    )

  first, *others = itertools.product(range(kernel), repeat=2)
  found = element(first)
  for window in map(element, others):
    # What is no number wins, as it does in XLA's; of equals, the first.
    wins = (window > found) | (window != window)
    found = lax.select(wins, window, found)
  return found

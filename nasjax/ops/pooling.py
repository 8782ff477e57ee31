"""Max and average pooling, in the form that the platform runs fastest.

On XLA's CPU backend the gradients of its own pooling (`select_and_scatter`, and
a padded `reduce_window`) run many times slower than their arithmetic needs.
`form='taps'` is the same function over a window's elements, each a shifted
image: a chain of comparisons, or a sum.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import SupportsInt

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nasjax.ops import depthwise
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
  if padding is None:
    padding = _same(x, kernel, stride)
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

  return _in_form(form, x, taps, native)


def avg_pool(
  x: jax.Array, kernel: int, stride: int, *, form: str = 'auto'
) -> jax.Array:
  """The mean of each window, padded as `SAME`; padding is not counted.

  Every form computes the same function, to rounding, and so do its derivatives,
  of any order.

  Args:
    x: `[N, H, W, C]`, of a floating dtype.
    kernel: height and width of a window.
    stride: the step between windows.
    form: as in `max_pool`.

  Returns:
    `[N, ceil(H / stride), ceil(W / stride), C]`.

  Raises:
    ValueError: no such form.

  Example:
    >>> x = jnp.array([3.0, 1.0, 2.0, 6.0]).reshape(1, 1, 4, 1)
    >>> avg_pool(x, 3, 1, form='taps').ravel().tolist()
    [2.0, 2.0, 3.0, 4.0]
  """
  padding = _same(x, kernel, stride)
  # How many pixels of the image are in each window.
  share = _shares(x.shape[1:3], kernel, stride, padding).astype(x.dtype)

  def native(x):
    total = lax.reduce_window(
      x,
      np.array(0, x.dtype),
      lax.add,
      (1, kernel, kernel, 1),
      (1, stride, stride, 1),
      ((0, 0), *padding, (0, 0)),
    )
    return total * share

  def taps(x):
    if kernel % 2 == 0:
      windows = _windows(x, kernel, stride, padding, 0)
      return functools.reduce(lax.add, windows) * share
    # A depthwise convolution has a fast gradient in its images.
    ones = jnp.ones((kernel, kernel, 1, x.shape[-1]), x.dtype)
    return depthwise.conv(x, ones, stride=stride, form='taps') * share

  return _in_form(form, x, taps, native)


def _same(x, kernel, stride):
  """What `SAME` pads along H and W."""
  return lax.padtype_to_pads(
    x.shape[1:3], (kernel, kernel), (stride, stride), 'SAME'
  )


def _in_form(form, x, taps, native):
  """One of two functions of `x`, or that of the platform."""
  if form not in FORMS:
    raise ValueError(f'form must be one of {FORMS}, got {form=}.')
  if form == 'auto':
    return lax.platform_dependent(x, cpu=taps, default=native)
  return taps(x) if form == 'taps' else native(x)


def _shares(sizes, kernel, stride, padding):
  """`[1, H', W', 1]`: one over the number of pixels in each window."""
  counts = []
  for size, (low, high) in zip(sizes, padding, strict=True):
    inside = np.pad(np.ones(size), (low, high))
    windows = np.lib.stride_tricks.sliding_window_view(inside, kernel)
    counts.append(windows[::stride].sum(-1))
  return (1 / np.multiply.outer(*counts))[None, :, :, None]


def _largest(x, kernel, stride, padding):
  """By comparing a window's elements, in their order, one after the other."""
  found, *others = _windows(x, kernel, stride, padding, -np.inf)
  for window in others:
    # What is no number wins, as it does in XLA's; of equals, the first.
    wins = (window > found) | (window != window)
    found = lax.select(wins, window, found)
  return found


def _windows(x, kernel, stride, padding, beyond):
  """The first elements of all windows, then the second ones, and so on."""
  config = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
  x = lax.pad(x, np.array(beyond, x.dtype), config)
  n, *sizes, c = x.shape
  windows = [(size - kernel) // stride + 1 for size in sizes]

  def element(at: tuple[int, ...]) -> jax.Array:
    stop = np.add(at, (np.array(windows) - 1) * stride + 1)
    return lax.slice(
      x, (0, *at, 0), (n, *map(int, stop), c), (1, stride, stride, 1)
    )

  return map(element, itertools.product(range(kernel), repeat=2))

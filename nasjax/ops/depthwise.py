"""Depthwise convolution, in the formulation that the platform runs fastest.

XLA's CPU backend runs a grouped convolution ten to a hundred times slower than
its arithmetic needs. `form='taps'` is the same function as a sum over the
kernel's taps, each a shifted image times one row of the kernel.

The function is bilinear. With an image x, a kernel w and a cotangent g of the
output, the output and both gradients contract sum(g * conv(x, w)) with two of
its three arguments. They are three parts of one JAX primitive, each the
transpose of the other two: so derivatives of any order, forward and reverse,
run the fast kernels, which a `jax.custom_vjp` would not give.
"""

import functools
import itertools
import operator
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike

FORMS = ('auto', 'native', 'taps')


def conv(
  x: ArrayLike,
  kernel: ArrayLike,
  *,
  stride: int = 1,
  dilation: int = 1,
  form: str = 'auto',
) -> jax.Array:
  """Convolves each channel with a kernel of its own, padding as `SAME`.

  It is `flax.linen.Conv` with `feature_group_count` = C, without the bias.
  Every form computes the same function, to rounding, and may be
  differentiated any number of times in either mode, mapped and rematerialised.

  Args:
    x: `[N, H, W, C]` the images, of a floating dtype.
    kernel: `[k, k, 1, C]` with k odd, of the dtype of `x`.
    stride: the step between outputs, along H and W.
    dilation: the step between the kernel's taps, along H and W.
    form: `'native'` is XLA's grouped convolution, `'taps'` the sum over taps,
      `'auto'` is taps on a CPU and native elsewhere, decided when the program
      is lowered for a platform. Only native shows up as a convolution in a
      traced program. Taps below 32 bits are summed in float32.

  Returns:
    `[N, ceil(H / stride), ceil(W / stride), C]` the output, of the same dtype.

  Raises:
    ValueError: where a shape, a dtype, a step or the form is not as above.

  Example:
    >>> x = jnp.arange(5.0).reshape(1, 1, 5, 1)
    >>> y = conv(x, jnp.ones((3, 3, 1, 1)), stride=2, form='taps')
    >>> y.reshape(-1).tolist()
    [1.0, 6.0, 7.0]
  """
  x, kernel = jnp.asarray(x), jnp.asarray(kernel)
  got = f'got x {x.dtype}{x.shape}, kernel {kernel.dtype}{kernel.shape}.'
  if form not in FORMS:
    raise ValueError(f'form must be one of {FORMS}, got {form=}.')
  if stride < 1 or dilation < 1:
    raise ValueError(f'steps must be positive, got {stride=}, {dilation=}.')
  if x.ndim != 4 or 0 in x.shape[1:]:
    raise ValueError(f'x must be [N, H, W, C], not empty, {got}')
  k = kernel.shape[0] if kernel.ndim else 0
  if k % 2 == 0 or kernel.shape != (k, k, 1, x.shape[-1]):
    raise ValueError(f'kernel must be [k, k, 1, C], with k odd, {got}')
  if x.dtype != kernel.dtype or not jnp.issubdtype(x.dtype, jnp.floating):
    raise ValueError(f'x and kernel must be of one floating dtype, {got}')
  _, height, width, _ = x.shape
  steps = operator.index(stride), operator.index(dilation)
  geometry = _Geometry((height, width), k, *steps)
  if form == 'native':
    return _native('output', x, kernel, geometry)
  return _bind('output', x, kernel, form=form, geometry=geometry)


# --- The taps ----------------------------------------------------------------


class _Geometry(NamedTuple):
  """Everything static, along H and W."""

  image: tuple[int, int]
  taps: int
  stride: int
  dilation: int

  @property
  def outputs(self):
    return tuple(-(-size // self.stride) for size in self.image)

  @property
  def padded(self):
    """What of the image the outputs reach, padding included."""
    reach = (self.taps - 1) * self.dilation + 1
    return tuple((n - 1) * self.stride + reach for n in self.outputs)

  @property
  def low(self):
    """What `SAME` pads before the first element."""
    return np.maximum(np.subtract(self.padded, self.image), 0) // 2


def _call(f: Callable, *args: jax.Array):
  """Calls `f` as a function of its own in the compiled program, never inlined.

  Otherwise XLA computes whatever produced an argument again for every tap.
  """
  # A hint to XLA: where it is not known, only speed is lost.
  with set_xla_metadata(inlineable='false'):
    return jax.jit(f, inline=False)(*args)


def _pad(x, low, sizes):
  """Pads or crops H and W of `[N, H, W, C]`: `low` before, `sizes` in all."""
  high = np.subtract(sizes, low) - x.shape[1:3]
  config = [(int(a), int(b), 0) for a, b in zip(low, high, strict=True)]
  zero = lax.full((), 0, x.dtype)
  return lax.pad(x, zero, [(0, 0, 0), *config, (0, 0, 0)])


def _window(x, start, counts, stride=1):
  """`[N, *counts, C]` every `stride`-th element of `x` from `start` on."""
  n, _, _, c = x.shape
  i, j = map(int, start)
  stop = (np.array(counts) - 1) * stride + 1 + (i, j)
  limit = (n, *map(int, stop), c)
  return lax.slice(x, (0, i, j, 0), limit, (1, stride, stride, 1))


def _weighted(windows, kernel):
  """The sum of (window, tap) pairs: each times the kernel's row for its tap."""
  terms = []
  for window, (a, b) in windows:
    row = lax.index_in_dim(lax.index_in_dim(kernel, a, 0, False), b, 0, False)
    terms.append(window * lax.broadcast_in_dim(row, window.shape, (2, 3)))
  return functools.reduce(lax.add, terms)


def _windows(x, geometry):
  """(window, tap) for all taps, of an image that is padded."""
  _, taps, stride, dilation = geometry
  for a, b in itertools.product(range(taps), repeat=2):
    start = a * dilation, b * dilation
    yield _window(x, start, geometry.outputs, stride), (a, b)


def _output(x, kernel, geometry):
  """The convolution itself, from the image and the kernel."""

  def run(x, kernel):
    return _weighted(_windows(x, geometry), kernel)

  return _call(run, _pad(x, geometry.low, geometry.padded), kernel)


def _input(g, kernel, geometry):
  """The image's gradient, from the output's and the kernel.

  Output o reads pixel o * stride + at through a tap, at = tap * dilation - low.
  So the pixels of one phase, their index modulo the stride, share their taps,
  and each phase is a convolution of g without a stride: a dilated g, the other
  way to write this, is mostly zeros.
  """
  image, taps, stride, dilation = geometry
  n, c = g.shape[0], g.shape[-1]
  p, q = geometry.outputs
  before = ((taps - 1) * dilation - geometry.low) // stride
  after = -(-geometry.low // stride)

  def run(g, kernel):
    phases = {z: [] for z in itertools.product(range(stride), repeat=2)}
    for tap in itertools.product(range(taps), repeat=2):
      at = np.array(tap) * dilation - geometry.low
      window = _window(g, before - at // stride, (p, q))
      phases[tuple(at % stride)].append((window, tap))
    zeros = lax.full((n, p, q, c), 0, g.dtype)
    return [_weighted(z, kernel) if z else zeros for z in phases.values()]

  phases = _call(run, _pad(g, before, before + (p, q) + after), kernel)
  if stride == 1:
    return phases[0]
  # To [N, P, row phase, Q, column phase, C].
  starts = range(0, stride * stride, stride)
  rows = [jnp.stack(phases[i : i + stride], 3) for i in starts]
  dx = jnp.stack(rows, 2).reshape(n, p * stride, q * stride, c)
  return _window(dx, (0, 0), image)


def _kernel(x, g, geometry):
  """The kernel's gradient, from the image and the output's.

  One reduction with an operand for each tap reads g and its neighbourhood once;
  taps^2 reductions would read all of both that often. It keeps the batch,
  because one image at a time stays in the cache, and any batch size divides.
  """

  def add(left, right):
    return [a + b for a, b in zip(left, right, strict=True)]

  def run(x, g):
    products = [window * g for window, _ in _windows(x, geometry)]
    zeros = [lax.full((), 0, g.dtype)] * len(products)
    return lax.reduce(products, zeros, add, (1, 2))

  parts = _call(run, _pad(x, geometry.low, geometry.padded), g)
  total = jnp.stack(parts, 1).sum(0)
  return total.reshape(geometry.taps, geometry.taps, 1, -1)


def _taps(part, a, b, geometry):
  dtype = a.dtype
  if dtype.itemsize < 4:
    a, b = (lax.convert_element_type(z, 'float32') for z in (a, b))
  f = {'output': _output, 'input': _input, 'kernel': _kernel}[part]
  return lax.convert_element_type(f(a, b, geometry), dtype)


# --- The primitive -----------------------------------------------------------


def _shape(part, a, geometry):
  n, c, taps = a.shape[0], a.shape[-1], geometry.taps
  return {
    'output': (n, *geometry.outputs, c),
    'input': (n, *geometry.image, c),
    'kernel': (taps, taps, 1, c),
  }[part]


def _native(part, a, b, geometry):
  """Any part by XLA's grouped convolution and what it transposes to."""
  run = functools.partial(
    lax.conv_general_dilated,
    window_strides=[geometry.stride] * 2,
    padding='SAME',
    rhs_dilation=[geometry.dilation] * 2,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=a.shape[-1],
  )
  if part == 'output':
    return run(a, b)
  f = {'input': lambda x: run(x, b), 'kernel': lambda w: run(a, w)}[part]
  out = jax.ShapeDtypeStruct(_shape(part, a, geometry), a.dtype)
  (gradient,) = jax.linear_transpose(f, out)(a if part == 'input' else b)
  return gradient


_depthwise = Primitive('depthwise')


def _bind(part, a, b, **params):
  # Inside shard_map both arguments have to vary over the same axes of the mesh.
  # JAX before 0.10 calls these axes `vma`.
  types = jax.typeof(a), jax.typeof(b)
  varying = [
    t.vma if hasattr(t, 'vma') else t.manual_axis_type.varying for t in types
  ]
  a = lax.pcast(a, tuple(varying[1] - varying[0]), to='varying')
  b = lax.pcast(b, tuple(varying[0] - varying[1]), to='varying')
  return _depthwise.bind(a, b, part=part, **params)


@_depthwise.def_abstract_eval
def _abstract(a, b, *, part, form, geometry):
  return a.update(shape=_shape(part, a, geometry), weak_type=False)


@_depthwise.def_impl
@functools.partial(jax.jit, static_argnames=('part', 'form', 'geometry'))
def _impl(a, b, **params):
  return _depthwise.bind(a, b, **params)


# What each part takes, in order; it is linear in either.
_TAKES = {
  'output': ('input', 'kernel'),
  'input': ('output', 'kernel'),
  'kernel': ('input', 'output'),
}


def _transpose(position, cotangent, a, b, *, part, **params):
  """The gradient, for one argument, of sum(cotangent * part(a, b))."""
  wanted, other = _TAKES[part][position], _TAKES[part][1 - position]
  known = {part: cotangent, other: (b, a)[position]}
  return _bind(wanted, *map(known.get, _TAKES[wanted]), **params)


ad.defbilinear(_depthwise, *(functools.partial(_transpose, i) for i in (0, 1)))


def _batch(arguments, axes, *, part, **params):
  """Channels do not mix, so what is mapped over becomes further channels."""
  mapped = 0 if axes[0] is not None else 1
  size = arguments[mapped].shape[axes[mapped]]

  def fold(z, axis):
    if axis is None:
      z, axis = jnp.broadcast_to(z, (size, *z.shape)), 0
    z = jnp.moveaxis(z, axis, 3)
    return z.reshape(*z.shape[:3], -1)

  out = _bind(part, *map(fold, arguments, axes), **params)
  return out.reshape(*out.shape[:3], size, -1), 3


batching.primitive_batchers[_depthwise] = _batch


def _lowering(always_taps):
  def run(a, b, *, part, form, geometry):
    f = _taps if always_taps or form == 'taps' else _native
    return f(part, a, b, geometry)

  return mlir.lower_fun(run, multiple_results=False)


mlir.register_lowering(_depthwise, _lowering(False))
mlir.register_lowering(_depthwise, _lowering(True), platform='cpu')

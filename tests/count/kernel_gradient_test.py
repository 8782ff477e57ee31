"""Counts of convolutions and their gradients in every layout."""

import functools
import itertools
import math
import random
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from nasjax import count
from nasjax.count import jaxpr
from nasjax.count.kernel_gradient import kernel_gradients
from tests.count.count_cases import X, conv, shape

SPATIAL = 'DHW'


class Layout(NamedTuple):
  images: str
  kernel: str
  outputs: str


class Conv(NamedTuple):
  """A convolution; its shapes are in the layouts N, C, ... and O, I, ..."""

  images: tuple[int, ...]
  kernel: tuple[int, ...]
  options: dict

  @property
  def usual(self):
    axes = SPATIAL[-len(self.options['window_strides']) :]
    return Layout('N' + axes + 'C', axes + 'IO', 'N' + axes + 'C')

  def at(self, layout):
    """The function in a layout, and its arguments."""
    numbers = lax.conv_dimension_numbers(self.images, self.kernel, layout)

    def fn(x, w):
      return lax.conv_general_dilated(
        x, w, dimension_numbers=numbers, **self.options
      )

    x, w = (
      jax.ShapeDtypeStruct([sizes[order.index(i)] for i in axes], jnp.float32)
      for sizes, axes, order in (
        (self.images, range(len(self.images)), numbers.lhs_spec),
        (self.kernel, range(len(self.kernel)), numbers.rhs_spec),
      )
    )
    return fn, x, w


def convolution(seed, axes, grouped=None):
  """Some convolution with an output, drawn from a seed."""
  draw = random.Random(f'{seed} {axes}')
  while True:
    groups = draw.choice([1, 2]) if grouped is None else grouped
    by_batch = draw.choice([True, False])
    n, c, o = (groups * draw.randint(1, 2) for _ in range(3))
    inputs = c if by_batch else c // groups
    sides = [draw.randint(1, 6) for _ in range(axes)]
    taps = [draw.randint(1, 5) for _ in range(axes)]
    options = {
      'window_strides': [draw.choice([1, 1, 2, 3]) for _ in range(axes)],
      'padding': [(draw.randint(0, 3), draw.randint(0, 3)) for _ in sides],
      'lhs_dilation': [draw.choice([1, 2, 2, 3]) for _ in range(axes)],
      'rhs_dilation': [draw.choice([1, 1, 2]) for _ in range(axes)],
      'batch_group_count' if by_batch else 'feature_group_count': groups,
    }
    conv = Conv((n, c, *sides), (o, inputs, *taps), options)
    if math.prod(jax.eval_shape(*conv.at(conv.usual)).shape):
      return conv


def some_layout(conv, draw):
  return Layout(*(''.join(draw.sample(axes, len(axes))) for axes in conv.usual))


def gradient(fn, argnums):
  return jax.grad(lambda x, w: fn(x, w).sum(), argnums)


def counts(conv, layout):
  """MACs forward, and of the gradient to the images and to the kernel."""
  fn, *args = conv.at(layout)
  forward = count.macs(fn, *args)
  to_each = [count.macs(gradient(fn, i), *args) - forward for i in (0, 1)]
  assert count.macs(gradient(fn, (0, 1)), *args) == forward + sum(to_each)
  return forward, *to_each


def met(inputs, low, taps, outputs, stride, lhs_dilation, rhs_dilation):
  """Inputs times taps that lead to an output, cropped or not, on one axis."""
  if lhs_dilation == 1:
    return taps * outputs
  found = sum(
    (i * lhs_dilation + low - t * rhs_dilation) % stride == 0
    for i in range(inputs)
    for t in range(taps)
  )
  return min(found, taps * outputs)


def closed_form(conv):
  """What `counts` should be, by looking at every input and tap."""
  fn, x, w = conv.at(conv.usual)
  n, *outputs, features = jax.eval_shape(fn, x, w).shape
  options = conv.options
  sides, taps = conv.images[2:], conv.kernel[2:]
  steps, pads, spread, holes = list(options.values())[:4]
  channels = n * features * conv.kernel[1]
  forward = to_images = channels
  for i, side in enumerate(sides):
    extents = side, pads[i][0], taps[i], outputs[i]
    forward *= met(*extents, steps[i], spread[i], holes[i])
    # Outputs stand where the inputs were, and the flipped taps begin so:
    low = (taps[i] - 1) * holes[i] - pads[i][0]
    to_images *= met(
      outputs[i], low, taps[i], side, spread[i], steps[i], holes[i]
    )
  return forward, to_images, forward


def test_the_example_of_a_transposed_convolution_in_a_layout_of_kernels():
  options = {
    'window_strides': (1, 1),
    'padding': ((2, 2), (2, 2)),
    'lhs_dilation': (2, 2),
    'rhs_dilation': (1, 1),
  }
  conv = Conv((1, 3, 8, 8), (16, 3, 3, 3), options)
  for layout in (conv.usual, Layout('CHWN', 'IHWO', 'CHWN')):
    assert counts(conv, layout)[0] == 27_648


@pytest.mark.slow
@pytest.mark.parametrize('seed', range(2))
def test_two_axes_count_alike_in_every_layout(seed):
  conv = convolution(seed, 2, grouped=1 + seed)
  expected = closed_form(conv)
  draw = random.Random(seed)
  every = [list(map(''.join, itertools.permutations(a))) for a in conv.usual]
  for images, kernel in itertools.product(every[0], every[1]):
    layout = Layout(images, kernel, draw.choice([images, *every[2]]))
    assert counts(conv, layout) == expected, (seed, conv, layout)


@pytest.mark.quick_every(7)
@pytest.mark.parametrize('axes', [1, 2, 3])
@pytest.mark.parametrize('seed', range(25))
def test_convolutions_count_alike_in_any_layout(seed, axes):
  conv = convolution(seed, axes)
  expected = closed_form(conv)
  draw = random.Random(seed)
  assert counts(conv, conv.usual) == expected, (seed, conv)
  for _ in range(6):
    names = some_layout(conv, draw)
    order = draw.sample(range(axes + 2), axes + 2)
    # Images and outputs, or all three, with their axes in one order.
    same = names._replace(outputs=names.images)
    all_same = Layout(
      *(''.join(axes[i] for i in order) for axes in _matched(axes))
    )
    for layout in (names, same, all_same):
      assert counts(conv, layout) == expected, (seed, conv, layout)


def _matched(axes):
  """Axes by what a gradient could take for each other."""
  spatial = SPATIAL[-axes:]
  return 'NC' + spatial, 'OI' + spatial, 'NC' + spatial


def _recomputed(fn):
  """Runs the forward pass once more in the backward pass."""
  own = jax.custom_vjp(fn)
  own.defvjp(
    lambda *args: (fn(*args), args), lambda args, g: jax.vjp(fn, *args)[1](g)
  )
  return own


def _scanned(fn):
  return lambda x, w: lax.scan(
    lambda _, x: (None, fn(x, w)), None, jnp.stack([x, x, x])
  )[1]


def _chosen(fn):
  return lambda x, w: lax.cond(x.sum() > 0, fn, fn, x, w)


# What runs a convolution, and how often it then runs forward and backward.
WRAPPERS = {
  'jit': (jax.jit, 1, 1),
  'remat': (lambda fn: jax.checkpoint(lambda x, w: jnp.sin(fn(x, w))), 2, 1),
  'remat of jit': (
    lambda fn: jax.checkpoint(jax.jit(lambda x, w: jnp.sin(fn(x, w)))), 2, 1
  ),
  'scan': (_scanned, 3, 3),
  'cond': (_chosen, 1, 1),
  'recompute': (_recomputed, 2, 1),
  'recompute in a scan': (lambda fn: _scanned(_recomputed(fn)), 6, 3),
  'vmap': (lambda fn: lambda x, w: jax.vmap(fn)(x[None], w[None]), 1, 1),
  'scope': (functools.partial(jax.named_call, name='transpose(a)'), 1, 1),
}  # fmt: skip


@pytest.mark.parametrize('wrapper', WRAPPERS)
def test_gradients_inside_of_other_programs_count_alike(wrapper):
  wrap, forward, backward = WRAPPERS[wrapper]
  for seed in range(15):
    conv = convolution(seed, 1 + seed % 3)
    first, *to_each = closed_form(conv)
    for layout in (conv.usual, some_layout(conv, random.Random(seed))):
      fn, *args = conv.at(layout)
      both = count.macs(gradient(wrap(fn), (0, 1)), *args)
      expected = forward * first + backward * sum(to_each)
      assert both == expected, (seed, conv, layout)


def test_a_vmap_of_gradients_counts_each_of_them():
  for seed in range(15):
    conv = convolution(seed, 1 + seed % 3)
    fn, *args = conv.at(some_layout(conv, random.Random(seed)))
    several = [jax.ShapeDtypeStruct((3, *a.shape), a.dtype) for a in args]
    both = count.macs(jax.vmap(gradient(fn, (0, 1))), *several)
    assert both == 3 * sum(closed_form(conv)), (seed, conv)


def test_a_pullback_alone_counts_its_gradients():
  for seed in range(15):
    conv = convolution(seed, 1 + seed % 3)
    fn, *args = conv.at(some_layout(conv, random.Random(seed)))
    out = jax.eval_shape(fn, *args)
    _, *to_each = closed_form(conv)
    for i, expected in enumerate(to_each):
      pullback = functools.partial(_pullback, fn, i)
      assert count.macs(pullback, args, out) == expected, (seed, conv, i)


def _pullback(fn, i, args, cotangent):
  def linear(arg):
    return fn(*args[:i], arg, *args[i + 1 :])

  return jax.linear_transpose(linear, args[i])(cotangent)


def test_gradients_of_gradients_count_as_in_the_usual_layout():
  def second(fn):
    def norm(x, w):
      grads = gradient(lambda x, w: jnp.sin(fn(jnp.sin(x), w)), (0, 1))(x, w)
      return sum(jnp.sum(g**2) for g in grads)

    return jax.grad(norm, (0, 1))

  for seed in range(10):
    conv = convolution(seed, 1 + seed % 3, grouped=1)
    fn, *args = conv.at(conv.usual)
    expected = count.macs(second(fn), *args)
    for layout in (some_layout(conv, random.Random(i)) for i in range(3)):
      fn, *args = conv.at(layout)
      assert count.macs(second(fn), *args) == expected, (seed, conv, layout)


def test_a_layer_with_the_extents_of_a_gradient_counts_as_a_layer():
  # It stands behind the layer whose gradient it could be, in extents and
  # layout: what a layer counts cannot depend on what runs before it.
  for seed in range(15):
    conv = convolution(seed, 1 + seed % 3)
    fn, *args = conv.at(conv.usual)
    found = kernel_gradients(jaxpr.trace(gradient(fn, 1), *args))
    for eqn in found:
      layer = functools.partial(eqn.primitive.bind, **eqn.params)
      own = [var.aval for var in eqn.invars]

      def both(layer_args, conv_args, layer=layer, fn=fn):
        return fn(*conv_args), layer(*layer_args)

      expected = count.macs(fn, *args) + count.macs(layer, *own)
      assert count.macs(both, own, args) == expected, (seed, conv)


@pytest.mark.parametrize('strides', [1, 2, 3])
@pytest.mark.parametrize('groups', [1, 4])
def test_gradient_of_a_convolution_counts_twice_more(strides, groups):
  fn = functools.partial(
    conv, strides=(strides, strides), feature_group_count=groups
  )
  w = shape(3, 3, 4 // groups, 8)
  gradient = jax.grad(lambda x, w: fn(x, w).sum(), argnums=(0, 1))
  assert count.macs(gradient, X, w) == 3 * count.macs(fn, X, w)


@pytest.mark.parametrize(
  ('images', 'kernel'),
  [
    ('NHWC', 'HWIO'),
    ('NHWC', 'OHWI'),
    ('NCHW', 'OIHW'),
    ('NCHW', 'HWIO'),
    ('HWCN', 'HWIO'),
  ],
)
@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('taps', [1, 2, 3, 5])
def test_gradient_of_a_transposed_convolution_counts_twice_more(
  images, kernel, padding, taps
):
  numbers = images, kernel, images

  def fn(x, w):
    return lax.conv_transpose(x, w, (2, 2), padding, dimension_numbers=numbers)

  gradient = jax.grad(lambda x, w: fn(x, w).sum(), argnums=(0, 1))
  # Images larger than the kernel, and smaller ones: by shapes alone these are
  # transposed convolutions with the cotangent as kernel.
  for side in (1, 2, 5):
    x = dict(zip('NHWC', (1, side, side, 3), strict=True))
    w = dict(zip('HWIO', (taps, taps, 3, 8), strict=True))
    args = shape(*(x[a] for a in images)), shape(*(w[a] for a in kernel))
    assert count.macs(fn, *args) == side**2 * taps**2 * 3 * 8
    assert count.macs(gradient, *args) == 3 * count.macs(fn, *args), side


@pytest.mark.parametrize('taps', [5, 7])
@pytest.mark.parametrize('side', [1, 2, 3, 4])
def test_gradient_of_a_small_image_and_large_kernel_counts_twice_more(
  side, taps
):
  # All but one tap of the gradient to the image may lie outside of it.
  fn = functools.partial(conv, strides=(2, 2))
  gradient = jax.grad(lambda x, w: fn(x, w).sum(), argnums=(0, 1))
  args = shape(1, side, side, 3), shape(taps, taps, 3, 5)
  assert count.macs(gradient, *args) == 3 * count.macs(fn, *args)

"""Counts against closed forms, invariances and hand counts."""

import functools
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl
from jax.sharding import Mesh, PartitionSpec

from nasjax import count


def shape(*dims, dtype=jnp.float32):
  return jax.ShapeDtypeStruct(dims, dtype)


def conv(x, w, strides=(1, 1), padding='SAME', **kwargs):
  numbers = ('NHWC', 'HWIO', 'NHWC')
  return lax.conv_general_dilated(
    x, w, strides, padding, dimension_numbers=numbers, **kwargs
  )


X = shape(1, 9, 9, 4)
SQUARE = shape(4, 4)  # A product of two counts 64.


# Options of a convolution of X, the shape of its kernel, and its MACs.
CONVOLUTIONS = [
  ({}, (3, 3, 4, 8), 81 * 8 * 9 * 4),
  ({'strides': (2, 2)}, (3, 3, 4, 8), 25 * 8 * 9 * 4),
  ({'strides': (2, 1)}, (3, 5, 4, 8), 45 * 8 * 15 * 4),
  ({'padding': 'VALID'}, (3, 3, 4, 8), 49 * 8 * 9 * 4),
  (
    {'padding': 'VALID', 'strides': (2, 2)},
    (2, 2, 4, 8),
    16 * 8 * 4 * 4,
  ),
  ({'padding': ((1, 0), (3, 3))}, (3, 3, 4, 8), 8 * 13 * 8 * 9 * 4),
  (
    {'padding': 'VALID', 'rhs_dilation': (2, 2)},
    (3, 3, 4, 8),
    25 * 8 * 9 * 4,
  ),
  ({'feature_group_count': 2}, (3, 3, 2, 8), 81 * 8 * 9 * 2),
  ({'feature_group_count': 4}, (3, 3, 1, 4), 81 * 4 * 9),
]


def _scanned(fn):
  def three(*args):
    return lax.scan(lambda _, __: (None, fn(*args)), None, length=3)[1]

  return three


def _vmapped(fn):
  def two(*args):
    pair = jax.tree.map(lambda x: jnp.stack([x, x]), args[-1])
    return jax.vmap(lambda x: fn(*args[:-1], x))(pair)

  return two


# What a program is wrapped in, and how often it then runs.
WRAPPERS = {
  'plain': (lambda fn: fn, 1),
  'jit': (jax.jit, 1),
  'scan': (_scanned, 3),
  'vmap': (_vmapped, 2),
  'remat': (jax.checkpoint, 1),
}


@pytest.mark.parametrize('wrapper', WRAPPERS)
@pytest.mark.parametrize(('kwargs', 'kernel', 'expected'), CONVOLUTIONS)
def test_convolution_is_outputs_times_taps_times_group_channels(
  kwargs, kernel, expected, wrapper
):
  wrap, times = WRAPPERS[wrapper]
  # Of images, and of kernels: a vmap over kernels has groups or features.
  of_images = wrap(lambda w, x: conv(x, w, **kwargs))
  of_kernels = wrap(lambda x, w: conv(x, w, **kwargs))
  assert count.macs(of_images, shape(*kernel), X) == times * expected
  assert count.macs(of_kernels, X, shape(*kernel)) == times * expected


def test_padding_taps_count():
  # A 7x7 kernel on a 1x1 image: 48 of 49 taps lie in the padding.
  assert count.macs(conv, shape(1, 1, 1, 2), shape(7, 7, 2, 3)) == 49 * 2 * 3


def test_batch_groups_share_the_batch():
  fn = functools.partial(conv, batch_group_count=2)
  # 4 images in 2 groups: an output channel sees the 2 images of its group.
  assert count.macs(fn, shape(4, 5, 5, 3), shape(3, 3, 3, 6)) == (
    2 * 25 * 6 * 9 * 3
  )


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('taps', [2, 3, 4])
def test_transposed_convolution_is_inputs_times_taps_times_outputs(
  padding, taps
):
  expected = 25 * taps * taps * 3 * 8

  def fn(x, w):
    return lax.conv_transpose(x, w, (2, 2), padding)

  x = shape(1, 5, 5, 3)
  assert count.macs(fn, x, shape(taps, taps, 3, 8)) == expected
  module = nn.ConvTranspose(8, (taps, taps), strides=(2, 2), padding=padding)
  assert count.macs(module, count.module_shapes(module, x), x) == expected


def _products(inputs, taps, outputs, stride, low, dilation):
  """Of one axis, by looking at every position that a tap falls on."""
  if dilation == 1:
    return outputs * taps  # Those in the padding included.
  # Cropped outputs included, so that every input meets what it can.
  found = 0
  for output in range(-taps, outputs + taps + inputs * dilation):
    for tap in range(taps):
      position = output * stride + tap - low
      found += position in range(0, inputs * dilation, dilation)
  return found


@pytest.mark.parametrize('layout', ['NHWC', 'NCHW', 'HWCN'])
@pytest.mark.parametrize('strides', [(1, 1), (2, 2), (4, 4), (2, 3)])
@pytest.mark.parametrize('dilation', [(1, 1), (2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize('pads', [(1, 1), (2, 0)])
def test_dilated_inputs_count_no_zeros_in_any_layout(
  layout, strides, dilation, pads
):
  x = dict(zip('NHWC', (1, 8, 8, 4), strict=True))

  def fn(x, w):
    return lax.conv_general_dilated(
      x,
      w,
      strides,
      (pads, pads),
      lhs_dilation=dilation,
      dimension_numbers=(layout, 'HWIO', layout),
    )

  args = shape(*(x[axis] for axis in layout)), shape(3, 3, 4, 8)
  out = jax.eval_shape(fn, *args).shape
  expected, dense = 4 * 8, 4 * 8
  for axis, stride, d in zip('HW', strides, dilation, strict=True):
    outputs = out[layout.index(axis)]
    expected *= _products(8, 3, outputs, stride, pads[0], d)
    dense *= outputs * 3
  assert count.macs(fn, *args) == expected <= dense


@pytest.mark.parametrize('layout', ['NHWC', 'NCHW', 'HWCN'])
@pytest.mark.parametrize(
  ('side', 'strides', 'dilation', 'expected'),
  [
    (8, (4, 4), (2, 2), 4 * 4 * 4 * 8),  # One tap of three is no zero.
    (8, (2, 2), (3, 1), (3 * 4) * (4 * 3) * 4 * 8),
    (8, (1, 1), (2, 2), (8 * 3) * (8 * 3) * 4 * 8),
    (1, (1, 1), (2, 2), 3 * 3 * 4 * 8),
  ],
)
def test_dilated_inputs_by_hand(layout, side, strides, dilation, expected):
  x = dict(zip('NHWC', (1, side, side, 4), strict=True))

  def fn(x, w):
    return lax.conv_general_dilated(
      x,
      w,
      strides,
      ((1, 1), (1, 1)),
      lhs_dilation=dilation,
      dimension_numbers=(layout, 'HWIO', layout),
    )

  args = shape(*(x[axis] for axis in layout)), shape(3, 3, 4, 8)
  assert count.macs(fn, *args) == expected


def test_transposed_convolution_without_stride_is_a_convolution():
  def fn(x, w):
    return lax.conv_transpose(x, w, (1, 1), 'SAME')

  assert count.macs(fn, X, shape(3, 3, 4, 8)) == 81 * 9 * 4 * 8


def test_dot_products_by_hand():
  einsum = functools.partial(jnp.einsum, 'bhqd,bhkd->bhqk')
  assert count.macs(einsum, shape(2, 3, 5, 7), shape(2, 3, 11, 7)) == (
    2 * 3 * 5 * 11 * 7
  )
  assert count.macs(jnp.dot, shape(7), shape(7)) == 7
  assert count.macs(jnp.matmul, SQUARE, SQUARE) == 64
  outer = functools.partial(jnp.einsum, 'i,j->ij')
  assert count.macs(outer, shape(3), shape(5)) == 15
  module = nn.Dense(10)
  x = shape(2, 6, 4)
  assert count.macs(module, count.module_shapes(module, x), x) == 12 * 40


@pytest.mark.parametrize('dtype', [jnp.int8, jnp.bfloat16, jnp.complex64])
def test_every_dtype_counts_alike(dtype):
  x = shape(4, 4, dtype=dtype)
  assert count.macs(jnp.matmul, x, x) == 64


def test_ragged_dot_multiplies_each_row_with_one_group():
  args = shape(6, 4), shape(2, 4, 5), shape(2, dtype=jnp.int32)
  assert count.macs(lax.ragged_dot, *args) == 6 * 4 * 5


def test_counts_are_exact_above_64_bits():
  n = 2**24
  assert count.macs(jnp.matmul, shape(n, n), shape(n, n)) == 2**72
  assert count.params({'w': shape(n, n, n)}) == 2**72


@jax.custom_jvp
def jvp_square(x):
  return x @ x


jvp_square.defjvp(lambda primals, tangents: (jvp_square(*primals), tangents[0]))


@jax.custom_vjp
def vjp_square(x):
  return x @ x


vjp_square.defvjp(lambda x: (vjp_square(x), x), lambda x, g: (g @ x.T,))


@jax.custom_batching.custom_vmap
def vmap_square(x):
  return x @ x


vmap_square.def_vmap(lambda size, batched, x: (x @ x, True))


@pytest.mark.parametrize(
  'wrapped',
  [
    jax.jit(lambda x: x @ x),
    jax.jit(jax.jit(lambda x: x @ x)),
    jax.checkpoint(lambda x: x @ x),
    jvp_square,
    vjp_square,
    vmap_square,
    jax.named_call(lambda x: x @ x),
    lax.composite(lambda x: x @ x, name='test.square'),
    lambda x: lax.scan(lambda c, _: (c @ c, None), x, length=1)[0],
    lambda x: lax.map(lambda y: y @ y, x[None]),
    lambda x: lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x.T @ x),
    lambda x: lax.switch(1, [lambda y: y @ y] * 3, x),
  ],
)
def test_every_nested_program_is_walked(wrapped):
  assert count.macs(wrapped, SQUARE) == 64
  twice = jax.jit(lambda x: wrapped(jnp.sin(wrapped(x)).reshape(4, 4)))
  assert count.macs(twice, SQUARE) == 128


def test_custom_vjp_counts_its_own_backward_pass():
  loss = jax.grad(lambda x: vjp_square(x).sum())
  assert count.macs(loss, SQUARE) == 2 * 64


@pytest.mark.parametrize('length', [0, 1, 7])
def test_a_scan_counts_its_length(length):
  def fn(x):
    return lax.scan(lambda c, _: (jnp.sin(c @ c), c), x, length=length)

  assert count.macs(fn, SQUARE) == length * 64


def test_nested_scans_multiply():
  def inner(x):
    return lax.fori_loop(0, 3, lambda _, c: c @ c, x)

  def outer(x):
    return lax.scan(lambda c, _: (inner(c), None), x, length=5)[0]

  assert count.macs(outer, SQUARE) == 5 * 3 * 64


def network(w, x):
  x = jax.nn.relu(conv(x, w['a'], (2, 2)))
  x = conv(x, w['b'], feature_group_count=8)
  return x.mean((1, 2)) @ w['c']


NETWORK = {
  'a': shape(3, 3, 4, 8),
  'b': shape(5, 5, 1, 8),
  'c': shape(8, 10),
}
NETWORK_MACS = 25 * 8 * 36 + 25 * 8 * 25 + 80


@pytest.mark.parametrize('batch', [1, 2, 5])
def test_vmap_counts_the_batch(batch):
  images = shape(batch, 1, 9, 9, 4)
  assert count.macs(network, NETWORK, X) == NETWORK_MACS
  over_images = jax.vmap(network, in_axes=(None, 0))
  assert count.macs(over_images, NETWORK, images) == batch * NETWORK_MACS
  stacked = jax.tree.map(lambda w: shape(batch, *w.shape), NETWORK)
  over_both = jax.vmap(network)
  assert count.macs(over_both, stacked, images) == batch * NETWORK_MACS


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


def test_remat_in_a_gradient_counts_the_repeated_forward_pass():
  def fn(x):
    return jnp.sin(x @ x).sum()

  once = count.macs(jax.grad(fn), SQUARE)
  assert once == 3 * 64
  assert count.macs(jax.grad(jax.checkpoint(fn)), SQUARE) == 4 * 64


def test_unused_results_count():
  def unused(x):
    x @ x
    return x

  assert count.macs(unused, SQUARE) == 64
  assert count.macs(jax.jit(unused), SQUARE) == 64
  assert count.macs(jax.checkpoint(unused), SQUARE) == 64
  assert count.macs(lambda x: jax.vmap(unused)(x[None]), SQUARE) == 64


def test_element_wise_pooling_and_normalisation_are_free():
  def fn(x):
    x = nn.max_pool(nn.relu6(x * 3 + 1), (3, 3), padding='SAME')
    x = jax.nn.softmax(
      nn.pooling.pool(x, 0.0, lax.add, (3, 3), (1, 1), 'SAME') - x.mean()
    )
    return jnp.sort(jnp.cumsum(x, 1)).at[0].add(1.0), jnp.argmax(x)

  assert count.macs(fn, X) == 0
  assert count.macs(lambda: jax.random.normal(jax.random.key(0), (3,))) == 0


def test_shard_map_counts_all_devices():
  mesh = Mesh(jax.devices()[:1], ('d',))
  spec = PartitionSpec('d')
  fn = jax.shard_map(
    lambda x: x @ x.T, mesh=mesh, in_specs=spec, out_specs=spec
  )
  assert count.macs(fn, SQUARE) == 64
  assert count.macs(jax.jit(fn), SQUARE) == 64


SHARDED = """
import jax
from jax.sharding import AxisType, PartitionSpec as P
from nasjax import count
mesh = jax.make_mesh((2, 3), ('a', 'b'), axis_types=(AxisType.Auto,) * 2)
fn = jax.shard_map(lambda w, x: x @ w, mesh=mesh, out_specs=P('a', 'b'),
                   in_specs=(P(None, 'b'), P('a')))
x = jax.ShapeDtypeStruct((8, 5), 'float32')
w = jax.ShapeDtypeStruct((5, 9), 'float32')
table = count.table(fn, w, x)
peak = count.peak_memory(fn, w, x)
print(count.macs(fn, w, x), table.rows[0].macs, table.params, peak.bytes)
"""


def test_shard_map_over_several_devices_equals_the_unsharded_count():
  flags = '--xla_force_host_platform_device_count=6'
  run = subprocess.run(
    [sys.executable, '-c', SHARDED],
    env={**os.environ, 'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=True,
  )
  macs, table_macs, params, peak = map(int, run.stdout.split())
  assert macs == table_macs == 8 * 5 * 9
  assert params == 45
  assert peak == 4 * (8 * 5 + 8 * 9)


def test_branches_that_differ_are_a_range_and_an_error():
  def fn(x):
    with jax.named_scope('choice'):
      x = lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x)
    return lax.switch(
      2, [lambda y: y @ y @ y @ y, lambda y: y, lambda y: y @ y], x @ x
    )

  result = count.macs_range(fn, SQUARE)
  assert result[:2] == (64, 64 + 64 + 3 * 64)
  assert result.which == (
    count.Branch('choice', 1, (0, 64)),
    count.Branch('', 0, (192, 0, 64)),
  )
  with pytest.raises(ValueError, match=r'between 64 and 320.*macs_range'):
    count.macs(fn, SQUARE)
  with pytest.raises(ValueError, match='between 64 and 320'):
    count.table(fn, SQUARE)


def test_ranges_pass_through_loops_and_nested_branches():
  def branch(x):
    return lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x)

  def fn(x):
    def nest():
      return branch(x @ x)

    x = lax.cond(x[0, 0] > 1, nest, lambda: x @ x)
    return lax.fori_loop(0, 3, lambda _, c: branch(c), x)

  low, high, which = count.macs_range(fn, SQUARE)
  assert (low, high) == (64, 128 + 3 * 64)
  assert [item.macs for item in which] == [(64, 128), (0, 64), (0, 64)]


def test_equal_branches_are_exact():
  def fn(x):
    return lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: (x + 1) @ x)

  assert count.macs(fn, SQUARE) == 64
  assert count.macs_range(fn, SQUARE) == count.Range(64, 64, ())


def test_vmap_of_a_cond_runs_both_branches():
  def fn(x):
    return lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x)

  assert count.macs(jax.vmap(fn), shape(3, 4, 4)) == 3 * 64


def test_of_a_platform_choice_the_default_counts():
  def fn(x):
    return lax.platform_dependent(
      x, cpu=lambda x: x @ x @ x, tpu=lambda x: x, default=lambda x: x @ x
    )

  assert count.macs(fn, SQUARE) == 64
  assert count.macs(jax.jit(fn), SQUARE) == 64
  assert count.table(lambda w, x: fn(x), {}, SQUARE).macs == 64


def test_a_while_loop_with_macs_is_an_error():
  def fn(x, n):
    return lax.fori_loop(0, n, lambda _, c: c @ c, x)

  with pytest.raises(ValueError, match=r'while loop.*64 MACs.*lax\.scan'):
    count.macs(fn, SQUARE, 3)

  def condition(x):
    return lax.while_loop(lambda c: (c @ c)[0, 0] > 0, lambda c: c - 1, x)

  with pytest.raises(ValueError, match='while loop'):
    count.macs_range(condition, SQUARE)


def test_a_while_loop_without_macs_is_free():
  def fn(x):
    return lax.while_loop(lambda c: c.sum() > 0, lambda c: c - 1, x @ x)

  assert count.macs(fn, SQUARE) == 64


@pytest.mark.parametrize(
  ('fn', 'name'),
  [
    (
      lambda x: pl.pallas_call(lambda a, b: None, out_shape=x)(x),
      'pallas_call',
    ),
    (lambda x: jax.pure_callback(np.square, x, x), 'pure_callback'),
    (lambda x: jnp.linalg.cholesky(x), 'cholesky'),
    (lambda x: jnp.fft.fft(x), 'fft'),
    (
      lambda x: lax.custom_linear_solve(
        lambda v: x @ v, x[0], lambda _, b: b, symmetric=True
      ),
      'custom_linear_solve',
    ),
    (lambda x: jax.ffi.ffi_call('target', x)(x), 'ffi_call'),
    (
      lambda x: jax.export.export(jax.jit(lambda y: y @ y))(x).call(x),
      'call_exported',
    ),
  ],
)
def test_what_cannot_be_counted_is_an_error_with_its_name(fn, name):
  with pytest.raises(ValueError, match=f"'{name}' in 'here"):
    count.macs(lambda x: jax.named_scope('here')(fn)(x), jnp.eye(4))


def test_an_unknown_primitive_is_an_error():
  unknown = jax.extend.core.Primitive('mystery')
  unknown.def_abstract_eval(lambda x: x)
  with pytest.raises(ValueError, match=r"'mystery'.*unknown"):
    count.macs(unknown.bind, SQUARE)


def test_an_error_of_the_function_stays_as_it_is():
  class OwnError(Exception):
    pass

  error = OwnError('whole')

  def fn(x):
    raise error

  for counted in (count.macs, count.macs_range, count.peak_memory, count.table):
    with pytest.raises(OwnError) as caught:
      counted(fn, SQUARE)
    assert caught.value is error
  with pytest.raises(TypeError, match='dot_general'):
    count.macs(jnp.matmul, SQUARE, shape(3, 3))


def test_keyword_arguments_are_traced_or_static_by_their_type():
  def fn(x, *, train, scale, mode=None):
    if train:
      return x @ x @ scale
    return x @ scale if mode == 'eval' else x

  scale = SQUARE
  assert count.macs(fn, SQUARE, train=True, scale=scale) == 128
  assert count.macs(fn, SQUARE, train=False, scale=scale, mode='eval') == 64


class Block(nn.Module):
  features: int
  stride: int = 1

  @nn.compact
  def __call__(self, x, train=False):
    norm = functools.partial(nn.BatchNorm, use_running_average=not train)
    y = nn.Conv(
      self.features, (3, 3), strides=self.stride, use_bias=False, name='a'
    )(x)
    y = nn.relu(norm(name='a_norm')(y))
    y = nn.Conv(self.features, (3, 3), use_bias=False, name='b')(y)
    y = norm(name='b_norm')(y)
    if x.shape != y.shape:
      x = nn.Conv(
        self.features, (1, 1), strides=self.stride, use_bias=False, name='skip'
      )(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  remat: bool = False

  @nn.compact
  def __call__(self, x, train=False):
    block = nn.remat(Block, static_argnums=2) if self.remat else Block
    x = nn.relu(nn.Conv(8, (3, 3), name='stem')(x))
    x = block(8, name='block1')(x, train)
    x = block(16, 2, name='block2')(x, train)
    return nn.Dense(10, name='head')(x.mean((1, 2)))


IMAGES = shape(1, 16, 16, 3)
RESNET_MACS = (
  256 * 8 * 27
  + 2 * 256 * 8 * 72
  + 64 * 16 * 72
  + 64 * 16 * 144
  + 64 * 16 * 8
  + 160
)
RESNET_PARAMS = (
  (27 * 8 + 8)
  + (2 * 72 * 8 + 2 * 16)
  + (72 * 16 + 144 * 16 + 8 * 16 + 2 * 32)
  + (160 + 10)
)


@pytest.mark.parametrize('remat', [False, True])
@pytest.mark.parametrize('train', [False, True])
def test_a_resnet_against_a_count_by_hand(remat, train):
  module = ResNet(remat)
  variables = count.module_shapes(module, IMAGES, train=train)
  kwargs = {'train': train, 'mutable': ['batch_stats']}
  assert count.macs(module, variables, IMAGES, **kwargs) == RESNET_MACS
  assert count.params(variables) == RESNET_PARAMS
  assert count.params(variables['params']) == RESNET_PARAMS
  assert isinstance(count.params(variables), int)
  apply = functools.partial(module.apply, **kwargs)
  for wrap, times in WRAPPERS.values():
    wrapped = wrap(apply)
    assert count.macs(wrapped, variables, IMAGES) == times * RESNET_MACS


def test_module_shapes_equal_those_of_init():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      x = nn.BatchNorm(use_running_average=not train)(nn.Dense(3)(x))
      return nn.Dropout(0.5, deterministic=not train)(x)

  variables = Net().init(jax.random.key(0), jnp.zeros((2, 5)), train=True)
  shapes = count.module_shapes(Net(), shape(2, 5), train=True)
  assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(
    lambda x: (x.shape, x.dtype), variables
  )
  assert count.params(shapes) == count.params(variables) == 18 + 6


def test_params_of_any_tree():
  assert count.params([shape(2, 3), jnp.zeros(4), 1.0]) == 11
  assert count.params({}) == 0
  for other in (nn.Dense(10), lambda x: x):
    with pytest.raises(TypeError, match=r'module_shapes\(module, \*inputs'):
      count.params(other)
  # A normalisation without scale and bias has statistics only.
  norm = nn.BatchNorm(use_running_average=True, use_bias=False, use_scale=False)
  assert count.params(count.module_shapes(norm, X)) == 0

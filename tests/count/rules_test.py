"""What one convolution or product counts: closed forms, every layout."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from nasjax import count
from tests.count.count_cases import SQUARE, WRAPPERS, X, conv, shape

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

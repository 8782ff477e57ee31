"""Ops of cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, ops
from tests.ops.ops_cases import apply, features_in, init

NATIVE = ops.Numerics(lowering='native')


def test_none_is_zeros_and_a_skip_is_its_input():
  x = features_in()
  for op, right in ((ops.Zero(), 0 * x), (ops.SkipConnect(), x)):
    module = op.module(8, 1, NATIVE)
    np.testing.assert_array_equal(module.apply({}, x, False), right)
    assert cost.op_macs(op, 8, 1, (1, 4, 4, 8)) == 0
    assert cost.op_params(op, 8, 1, (1, 4, 4, 8)) == 0


@pytest.mark.parametrize('kernel', [1, 3])
def test_relu_conv_is_relu_then_convolution_then_norm(kernel):
  x, op = features_in(), ops.ReluConv(kernel)
  module = op.module(6, 1, NATIVE)
  variables = init(module, x)
  y = apply(module, variables, x)
  whole = jax.lax.conv_general_dilated(
    jnp.maximum(x, 0),
    variables['params']['conv']['kernel'],
    (1, 1),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  # Statistics are mean 0 and variance 1, scale 1 and bias 0.
  np.testing.assert_allclose(y, whole / np.sqrt(1 + 1e-5), rtol=1e-4, atol=1e-5)
  place = op, 6, 1, (1, 7, 7, 8)
  assert cost.op_macs(*place) == 7 * 7 * 6 * kernel**2 * 8
  assert cost.op_params(*place) == kernel**2 * 8 * 6 + 2 * 6


@pytest.mark.parametrize(
  'op', [ops.ReluConv(1), ops.ReluConv(3), ops.AvgPool(3)]
)
@pytest.mark.parametrize('form', ['native', 'taps'])
def test_what_is_begun_is_finished_as_the_whole(op, form):
  x, numerics = features_in(), ops.Numerics(lowering=form)
  whole, rest = (
    op.module(8, 1, numerics, begun=begun) for begun in (False, True)
  )
  variables = init(whole, x)
  begun = op.begin(x, numerics)
  assert (begun != x).any()
  np.testing.assert_allclose(
    apply(rest, variables, begun), apply(whole, variables, x), rtol=1e-6
  )


def test_the_shortcut_of_a_reduction_is_pooled_before_it_is_convolved():
  """With kernels of 0 in the branch nothing else is left."""
  x, op = features_in(6), ops.Preactivated()
  module = op.module(5, 2, NATIVE)
  variables = init(module, x)
  for name in ('conv1', 'conv2'):
    variables['params'][name]['kernel'] *= 0
  y = apply(module, variables, x)
  pooled = x.reshape(2, 3, 2, 3, 2, 8).mean((2, 4))
  kernel = variables['params']['shortcut']['kernel'][0, 0]
  np.testing.assert_allclose(y, pooled @ kernel, rtol=1e-4, atol=1e-5)
  place = op, 5, 2, (1, 6, 6, 8)
  assert cost.op_macs(*place) == 3 * 3 * 5 * (9 * 8 + 9 * 5 + 8)
  # Two batch norms; the shortcut has none.
  assert cost.op_params(*place) == 5 * (9 * 8 + 9 * 5 + 8) + 4 * 5


@pytest.mark.parametrize('size', [1, 5, 6])
def test_a_reduction_gives_half_of_any_size_rounded_up(size):
  shape = cost.op_shape(ops.Preactivated(), 5, 2, (1, size, size, 8))
  assert shape == (1, -(-size // 2), -(-size // 2), 5)


def test_only_places_that_fit():
  for op in (ops.Zero(), ops.SkipConnect(), ops.Norm()):
    assert op.fits(8, 8, 1)
    assert not op.fits(8, 16, 1)
    assert not op.fits(8, 8, 2)
  assert ops.AvgPool(3).fits(8, 8, 2)
  assert not ops.AvgPool(1).fits(8, 8, 2)
  with pytest.raises(ValueError, match='odd kernel'):
    ops.ReluConv(2)
  with pytest.raises(ValueError, match='positive int kernel'):
    ops.AvgPool(0)

"""Peak memory against live ranges that are worked out by hand."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from nasjax import count
from nasjax.count.memory import peak_memory
from tests.count.memory_cases import IN, X, shape


def conv(x, w, stride=1, groups=1):
  return lax.conv_general_dilated(
    x,
    w,
    (stride, stride),
    'SAME',
    feature_group_count=groups,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


def test_a_chain_holds_input_and_output_of_its_largest_layer():
  def fn(w, x):
    x = jax.nn.relu(conv(x, w[0]))  # 4 -> 12 channels
    return conv(x, w[1])  # 12 -> 2 channels

  w = [shape(3, 3, 4, 12), shape(3, 3, 12, 2)]
  peak = peak_memory(fn, w, X)
  # At the first convolution 4 + 12 channels, at the second 12 + 2; the ReLU
  # between them works in place.
  assert peak.bytes == 64 * 16 * 4
  assert peak.op == 'conv_general_dilated'
  assert peak.bytes_per_dtype == {'float32': 64 * 16 * 4}
  assert [(t.op, t.shape) for t in peak.tensors] == [
    ('input', (1, 8, 8, 4)),
    ('conv_general_dilated', (1, 8, 8, 12)),
  ]


def test_the_input_is_live_to_its_last_use():
  def fn(w, x):
    y = conv(conv(x, w), w)
    return y + x

  # Both convolutions have the input next to their operand and result.
  assert peak_memory(fn, shape(3, 3, 4, 4), X).bytes == 3 * IN
  without = peak_memory(lambda w, x: conv(conv(x, w), w), shape(3, 3, 4, 4), X)
  assert without.bytes == 2 * IN


def test_the_peak_of_an_inverted_residual_is_in_its_expanded_part():
  def fn(w, x):
    y = jax.nn.relu6(conv(x, w['expand']))
    y = jax.nn.relu6(conv(y, w['depthwise'], groups=24))
    return x + conv(y, w['project'])

  w = {
    'expand': shape(1, 1, 4, 24),
    'depthwise': shape(3, 3, 1, 24),
    'project': shape(1, 1, 24, 4),
  }
  peak = peak_memory(fn, w, X)
  assert peak.bytes == 64 * (4 + 24 + 24) * 4
  assert [tensor.shape[-1] for tensor in peak.tensors] == [4, 24, 24]


def test_a_branch_is_live_until_it_joins():
  def fn(w, x):
    a = conv(x, w)
    b = conv(a, w)
    c = conv(b, w)
    return jnp.concatenate([a, c], -1)

  # At the last convolution a, b and c; at the join a, c and both of them.
  peak = peak_memory(fn, shape(3, 3, 4, 4), X)
  assert peak.bytes == 4 * IN
  assert peak.op == 'concatenate'


def test_results_are_live_to_the_end_and_unused_ones_at_their_equation():
  def fn(w, x):
    a = conv(x, w)
    b = conv(x, w)
    return a, conv(b, w)

  assert peak_memory(fn, shape(3, 3, 4, 4), X).bytes == 3 * IN

  def unused(w, x):
    conv(x, w)
    return conv(x, w)

  assert peak_memory(unused, shape(3, 3, 4, 4), X).bytes == 2 * IN


def test_inputs_alone_can_be_the_peak():
  peak = peak_memory(lambda w, x, y: y.sum(), {}, X, shape(2))
  assert (peak.bytes, peak.op) == (IN + 8, 'input')


def test_an_operand_that_lives_on_is_not_overwritten():
  assert peak_memory(lambda _, x: (x, x + 1), {}, X).bytes == 2 * IN
  assert peak_memory(lambda _, x: jnp.sin(x) * x, {}, X).bytes == 2 * IN
  # A view keeps the whole tensor, and is not overwritten while that lives.
  viewed = peak_memory(lambda _, x: jnp.sin(x.reshape(-1)).sum() + x, {}, X)
  assert viewed.bytes == 2 * IN + 4


def test_a_result_that_needs_more_bytes_is_a_tensor_of_its_own():
  def widen(_, x):
    return x.astype(jnp.float32)

  assert peak_memory(widen, {}, shape(8, dtype=jnp.int8)).bytes == 8 + 32
  narrow = peak_memory(lambda _, x: x.astype(jnp.int8), {}, shape(8))
  assert narrow.bytes == 32
  wide = peak_memory(lambda _, x: x + jnp.ones((5, 1)), {}, shape(1, 7))
  assert wide.bytes == 7 * 4 + 35 * 4
  # A broadcast is a view, of which only the operand is stored.
  spread = peak_memory(
    lambda _, x: jnp.broadcast_to(x, (5, 7)) + 1, {}, shape(7)
  )
  assert spread.bytes == 7 * 4 + 35 * 4


def test_dtypes_are_told_apart():
  def fn(w, x):
    return lax.dot(x, w, preferred_element_type=jnp.int32)

  w, x = shape(6, 5, dtype=jnp.int8), shape(1, 6, dtype=jnp.int8)
  peak = peak_memory(fn, w, x)
  assert peak.bytes == 6 + 20
  assert peak.bytes_per_dtype == {'int8': 6, 'int32': 20}


def test_of_a_cond_the_highest_branch_counts():
  def fn(w, x):
    def wide():
      return (x @ w) @ w.T

    return lax.cond(x[0, 0] > 0, wide, lambda: x * 2)

  # x, the expanded x, and in the end the expanded x and the result.
  w, x = shape(4, 32), shape(1, 4)
  assert peak_memory(fn, w, x).bytes == 4 * (4 + 32)


def test_a_while_loop_needs_no_length():
  def fn(w, x):
    return lax.while_loop(lambda c: c.sum() > 0, lambda c: c @ w @ w.T, x)

  peak = peak_memory(fn, shape(4, 32), shape(1, 4))
  assert peak.bytes == 4 * (4 + 32)

  def counted(w, x):
    return lax.fori_loop(0, jnp.int32(3), lambda i, c: c @ w, x)

  # The counter is computed from constants alone.
  assert peak_memory(counted, shape(4, 4), shape(1, 4)).bytes == 4 * 8


def test_the_batch_is_no_special_axis():
  def fn(w, x):
    return jax.nn.relu(conv(x, w))

  w = shape(3, 3, 4, 8)
  single = peak_memory(fn, w, X).bytes
  assert peak_memory(fn, w, shape(5, 8, 8, 4)).bytes == 5 * single
  over = jax.vmap(fn, in_axes=(None, 0))
  assert peak_memory(over, w, shape(5, 1, 8, 8, 4)).bytes == 5 * single


class Block(nn.Module):
  @nn.compact
  def __call__(self, x, train=False):
    norm = functools.partial(nn.BatchNorm, use_running_average=not train)
    y = nn.Conv(24, (1, 1), use_bias=False)(x)
    y = nn.relu6(norm()(y))
    y = nn.Conv(24, (3, 3), feature_group_count=24, use_bias=False)(y)
    y = nn.relu6(norm()(y))
    gate = nn.sigmoid(nn.Dense(24)(y.mean((1, 2), keepdims=True)))
    y = nn.Conv(4, (1, 1), use_bias=False, name='project')(y * gate)
    return x + norm()(y)


@pytest.mark.parametrize('wrap', [lambda x: x, nn.remat, nn.jit])
def test_a_flax_block_works_in_place_between_its_convolutions(wrap):
  module = wrap(Block)()
  variables = count.module_shapes(module, X)
  peak = count.peak_memory(module, variables, X)
  # Normalisation, ReLU6 and gate are in place: at the depthwise convolution
  # there are the input and two expanded tensors.
  assert peak.bytes == 64 * (4 + 24 + 24) * 4
  assert 'Conv_1' in peak.where
  assert sum(peak.bytes_per_dtype.values()) == peak.bytes
  assert sum(tensor.bytes for tensor in peak.tensors) == peak.bytes


def test_an_error_of_the_function_stays_as_it_is():
  with pytest.raises(TypeError, match='dot_general'):
    peak_memory(jnp.matmul, shape(3, 4), shape(3, 4))


def test_a_condition_keeps_the_value_that_the_carry_began_with():
  """Before a turn: x, its carry, and the product; the sum is a scalar."""
  x = jax.ShapeDtypeStruct((4, 4), jnp.float32)

  def run(w, x):
    return jax.lax.while_loop(lambda c: (c - x).sum() > 0, lambda c: c * w, x)

  # x, the carry, the difference (fresh: both operands live on), its sum.
  assert count.peak_memory(run, x, x).bytes == 3 * 64 + 4

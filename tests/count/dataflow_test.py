"""Operations on activations: views, what weights alone give, turns."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from jax import lax

from nasjax.count.memory import peak_memory
from tests.count.memory_cases import IN, X, shape


@pytest.mark.parametrize(
  'fn',
  [
    lambda x: x + 1,
    lambda x: x * x,
    jnp.sin,
    jax.nn.relu,
    nn.relu6,
    nn.hard_swish,
    lambda x: jnp.clip(x, 0, 1),
    lambda x: jnp.where(True, x, 0.0),
    lambda x: jax.jit(jax.checkpoint(jnp.cos))(x),
    lambda x: (x.reshape(16, 16) * 2).reshape(-1),
    lambda x: x + jnp.zeros(x.shape) + jnp.ones((1, 1, 1, 4)),
    lambda x: (x * jnp.ones((1, 1, 1, 4)))[...].squeeze(0),
  ],
)
def test_element_wise_operations_and_views_are_in_place(fn):
  live = peak_memory(lambda _, x: fn(x), {}, X).bytes
  # hard_swish keeps its input next to the gate that it is multiplied with.
  assert live == (2 * IN if fn is nn.hard_swish else IN)


def test_transposition_padding_and_slices_are_fresh_tensors():
  assert peak_memory(lambda _, x: x.T, {}, shape(3, 5)).bytes == 2 * 60
  padded = peak_memory(lambda _, x: jnp.pad(x, 1), {}, shape(6))
  assert padded.bytes == 24 + 32
  assert peak_memory(lambda _, x: x[:2], {}, shape(6)).bytes == 24 + 8


def test_what_weights_and_constants_give_is_apart():
  def fn(w, x):
    folded = w['kernel'] * lax.rsqrt(w['var'] + 1e-3)[None]
    return x @ (folded + jnp.ones((4, 6))) + jnp.zeros((1, 6))

  w = {'kernel': shape(4, 6), 'var': shape(6)}
  assert peak_memory(fn, w, shape(1, 4)).bytes == 4 * (4 + 6)


def test_of_a_platform_choice_the_default_counts():
  def fn(w, x):
    return lax.platform_dependent(
      x, cpu=lambda x: x @ w @ w.T, default=lambda x: x * 2
    )

  assert peak_memory(fn, shape(4, 32), shape(1, 4)).bytes == 16


def test_a_scan_holds_one_turn_and_its_stacked_results():
  def fn(w, x):
    return lax.scan(lambda c, _: (c @ w @ w.T, None), x, length=9)[0]

  w, x = shape(4, 32), shape(1, 4)
  assert peak_memory(fn, w, x).bytes == 4 * (4 + 32)

  def stacked(w, x):
    return lax.scan(lambda c, _: (c @ w, c.sum()), x, length=9)[1]

  # In a turn: the carry, the new one, a sum, and 9 places for the sums.
  w = shape(4, 4)
  assert peak_memory(stacked, w, x).bytes == 4 * (4 + 4 + 1 + 9)

  def sliced(_, xs):
    return lax.scan(lambda c, x: (c + x, None), jnp.zeros(5), xs)[0]

  # The slices are views; the sum is written into the carry.
  assert peak_memory(sliced, {}, shape(7, 5)).bytes == 4 * (35 + 5)


def test_a_carry_copies_its_initial_value_if_that_lives_on():
  def fn(w, x):
    return lax.scan(lambda c, _: (c @ w, None), x, length=9)[0] + x

  assert peak_memory(fn, shape(4, 4), shape(1, 4)).bytes == 4 * (4 + 4 + 4)

"""Hand-made blocks: shuffles, pooling, counts in closed form."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import ops
from tests.ops.ops_cases import apply, counted, features_in, init


def test_shuffle_passes_half_of_the_channels_on():
  x = features_in()
  y = ops.Shuffle().module(8, 1, ops.Numerics())
  out = apply(y, init(y, x), x)
  chex.assert_trees_all_equal(out[..., ::2], x[..., :4])


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('padding', ['same', 'ceil'])
@pytest.mark.parametrize('stride', [1, 2])
def test_pooling_has_a_second_derivative(x64, padding, stride):
  """That of differences of the first one: searches look ahead through it."""
  pool = ops.MaxPool(3, padding=padding).module(2, stride, ops.Numerics())
  rng = np.random.default_rng(0)
  x, way = (jnp.array(rng.normal(size=(1, 8, 8, 2))) for _ in range(2))
  slope = jax.grad(lambda x: (pool.apply({}, x, False) ** 3).sum())
  _, along = jax.jvp(slope, (x,), (way,))
  h = 1e-6
  difference = (slope(x + h * way) - slope(x - h * way)) / (2 * h)
  assert (along != 0).any()
  np.testing.assert_allclose(along, difference, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize('kernel', [2, 3])
def test_pooling_up_sees_every_pixel_once_it_begins(kernel):
  for size in range(2, 14):
    x = jnp.arange(size * size, dtype=jnp.float32).reshape(1, size, size, 1)
    module = ops.MaxPool(kernel, 'ceil').module(1, 2, ops.Numerics())
    y = module.apply({}, x, False)
    starts = range(0, max(1, size - kernel + 2), 2)
    assert y.shape == (1, len(starts), len(starts), 1)
    expected = [
      [x[0, i : i + kernel, j : j + kernel].max() for j in starts]
      for i in starts
    ]
    chex.assert_trees_all_equal(y[0, ..., 0], jnp.array(expected))


def test_hand_made_blocks():
  relu = 2 * 40  # Scale and bias of a batch norm.
  basic = 9 * 24 * 40 + 9 * 40 * 40 + 24 * 40
  assert counted(ops.Basic(), 40, 2) == (16 * basic, basic + 3 * relu)
  bottleneck = 24 * 10 + 9 * 10 * 10 + 10 * 40 + 24 * 40
  assert counted(ops.Bottleneck(), 40, 1) == (
    64 * bottleneck,
    bottleneck + 2 * 10 + 2 * 10 + 2 * relu,
  )
  shuffle = 12 * 12 + 9 * 12 + 12 * 12
  assert counted(ops.Shuffle(), 24, 1) == (64 * shuffle, shuffle + 6 * 12)
  fire = 24 * 4 + 4 * 20 + 9 * 4 * 20
  assert counted(ops.Fire(4), 40, 1) == (64 * fire, fire + 4 + 40)
  assert counted(ops.MaxPool(3), 24, 2) == (0, 0)
  assert counted(ops.ConvClassifier(), 10, 1) == (64 * 240, 250)

"""The quick generator by what a random generator has to be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.run import (
  fast_init_rng,
)

N = 1 << 16


def _key(seed):
  return jax.random.key(seed, impl=fast_init_rng.IMPL)


def _streams():
  """Draws that have to differ: by seed, split, fold-in and depth of either."""
  key = _key(0)
  yield key
  yield _key(1)
  yield from jax.random.split(key, 3)
  yield from (jax.random.fold_in(key, i) for i in (0, 1, 2**32 - 1))
  yield jax.random.fold_in(jax.random.fold_in(key, 1), 0)
  yield jax.random.split(jax.random.split(key)[0])[1]


@pytest.mark.slow
def test_every_bit_is_even_and_goes_its_own_way():
  """Of each stream, between neighbours, and between any two streams."""
  draws = [np.asarray(jax.random.bits(k, (N,), 'uint32')) for k in _streams()]
  bits = [(d[:, None] >> np.arange(32) & 1).astype('int8') for d in draws]
  # Of N coins the share of heads is within 5 standard deviations, 0.5 / sqrt N.
  near = 5 * 0.5 / N**0.5
  for b in bits:
    assert np.abs(b.mean(0) - 0.5).max() < near
    for lag in (1, 2, 256):
      assert np.abs((b[lag:] ^ b[:-lag]).mean(0) - 0.5).max() < 1.1 * near
    for other in range(1, 32):
      assert np.abs((b ^ np.roll(b, other, 1)).mean(0) - 0.5).max() < near
  for i, b in enumerate(bits):
    for c in bits[:i]:
      assert np.abs((b ^ c).mean(0) - 0.5).max() < near


def test_any_bit_of_a_key_or_a_position_turns_half_of_the_bits():
  words = np.array([5, 2**31 + 1], np.uint32)
  bits = jax.jit(
    lambda words: jax.random.bits(
      jax.random.wrap_key_data(words, impl=fast_init_rng.IMPL), (N,), 'uint32'
    )
  )
  here = np.asarray(bits(words))
  near = 6 * 0.5 / N**0.5

  def turned(other):
    return ((here ^ other)[:, None] >> np.arange(32) & 1).mean(0)

  for word in range(2):
    for bit in range(32):
      flipped = words.copy()
      flipped[word] ^= np.uint32(1 << bit)
      assert np.abs(turned(np.asarray(bits(flipped))) - 0.5).max() < near
  for bit in range(16):
    moved = here[np.arange(N) ^ (1 << bit)]
    assert np.abs(turned(moved) - 0.5).max() < 2**0.5 * near


def test_normals_are_normal():
  """Kolmogorov and Smirnov's distance, at odds of a thousand to one."""
  x = np.sort(np.asarray(jax.random.normal(_key(3), (N,))))
  distribution = np.asarray(jax.scipy.stats.norm.cdf(x))
  assert np.abs(distribution - np.arange(N) / N).max() < 1.95 / N**0.5


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'uint32', 'uint64'])
def test_draws_of_every_width_fill_it(x64, dtype):
  drawn = np.asarray(jax.random.bits(_key(0), (4096,), dtype))
  width = 8 * np.dtype(dtype).itemsize
  ones = [int((drawn >> np.array(i, dtype) & 1).sum()) for i in range(width)]
  assert drawn.dtype == dtype
  assert max(abs(n - 2048) for n in ones) < 5 * 32


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg'])
def test_an_init_draws_by_it_and_returns_the_kind_of_key_it_got(impl):
  def init(key, scale):
    for_next, for_weights = jax.random.split(key)
    nested = {'keys': jax.random.split(for_next, 3)}
    return scale * jax.random.normal(for_weights, (5,)), nested, for_next

  run = jax.jit(fast_init_rng.drawn_quickly(init))
  key = jax.random.key(7, impl=impl)
  weights, nested, after = run(key, 2.0)
  assert nested['keys'].shape == (3,)
  assert after.shape == ()
  assert {jax.random.key_impl(k) for k in (nested['keys'], after)} == {impl}
  # All of them differ, and the next seed's do.
  data = jax.random.key_data(jnp.append(nested['keys'], after))
  assert len({tuple(np.asarray(d).tolist()) for d in data}) == 4
  other = run(jax.random.key(8, impl=impl), 2.0)
  assert not np.isin(weights, other[0]).any()
  assert np.array_equal(weights, run(key, 2.0)[0])

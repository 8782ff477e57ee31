"""Both forms of each pooling are one function, with its derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import count
from nasjax.ops import pooling

CASES = [
  (kernel, stride, size, padding)
  for kernel, stride in ((2, 2), (3, 1), (3, 2), (5, 3))
  for size in (7, 10)
  for padding in (None, ((0, 1), (1, 0)))
]


def _images(size):
  """Few distinct values: windows with several largest ones."""
  rng = np.random.default_rng(0)
  shape = 2, size, size + 1, 3
  return jnp.asarray(rng.integers(-2, 3, shape), 'float32')


@pytest.mark.quick_every(6)
@pytest.mark.parametrize(('kernel', 'stride', 'size', 'padding'), CASES)
def test_taps_are_the_native_form(kernel, stride, size, padding):
  """Values and gradient, exactly, ties included: nothing is rounded."""
  x = _images(size)
  found = []
  for form in 'native', 'taps', 'auto':
    run = functools.partial(
      pooling.max_pool,
      kernel=kernel,
      stride=stride,
      padding=padding,
      form=form,
    )
    y, pull = jax.vjp(run, x)
    # Whole numbers, so that sums of them are exact in any order.
    way = jnp.arange(y.size, dtype=y.dtype).reshape(y.shape)
    found.append((y, *pull(way)))
  for other in found[1:]:
    for a, b in zip(found[0], other, strict=True):
      np.testing.assert_array_equal(a, b)


def test_padding_never_wins_and_what_is_no_number_does():
  x = _images(6) - 9
  assert (pooling.max_pool(x, 3, 1, form='taps') < 0).all()
  x = x.at[0, 2, 3, 1].set(jnp.nan)
  native, taps = (
    np.isnan(pooling.max_pool(x, 3, 2, form=form))
    for form in ('native', 'taps')
  )
  assert native.any()
  np.testing.assert_array_equal(native, taps)


def test_auto_is_the_form_of_the_platform():
  """As it is lowered, for a platform that this machine need not have."""
  lower = lambda form, platform: (  # noqa: E731
    jax.jit(functools.partial(pooling.max_pool, kernel=3, stride=2, form=form))
    .trace(_images(8))
    .lower(lowering_platforms=(platform,))
    .as_text()
  )
  windows = {
    platform: 'reduce_window' in lower('auto', platform)
    for platform in ('cpu', 'cuda', 'tpu')
  }
  assert windows == {'cpu': False, 'cuda': True, 'tpu': True}
  assert 'reduce_window' in lower('native', 'cpu')


def test_an_unknown_form_is_refused():
  with pytest.raises(ValueError, match="form='fast'"):
    pooling.max_pool(_images(4), 2, 2, form='fast')


def _mean_by_hand(x, kernel, stride):
  """The mean of the pixels of the image in each window."""
  x = np.asarray(x, np.float64)
  low = [
    max((-(-n // stride) - 1) * stride + kernel - n, 0) // 2
    for n in x.shape[1:3]
  ]
  rows = []
  for i in range(-(-x.shape[1] // stride)):
    top = i * stride - low[0]
    row = []
    for j in range(-(-x.shape[2] // stride)):
      left = j * stride - low[1]
      part = x[:, max(top, 0) : top + kernel, max(left, 0) : left + kernel]
      row.append(part.mean((1, 2)))
    rows.append(np.stack(row, 1))
  return np.stack(rows, 1)


@pytest.mark.parametrize('size', [1, 6, 7])
@pytest.mark.parametrize(('kernel', 'stride'), [(3, 1), (2, 2), (3, 2), (5, 1)])
def test_a_mean_counts_no_padding_in_every_form(kernel, stride, size):
  """Values and gradient; the gradient does not depend on the input."""
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(2, size, size + 1, 3)), 'float32')
  right = _mean_by_hand(x, kernel, stride)
  way = jnp.asarray(rng.normal(size=right.shape), 'float32')
  found = []
  for form in 'native', 'taps', 'auto':
    run = functools.partial(
      pooling.avg_pool, kernel=kernel, stride=stride, form=form
    )
    gradient = jax.grad(lambda x, run=run: (run(x) * way).sum())
    np.testing.assert_allclose(run(x), right, rtol=1e-5, atol=1e-6)
    g, slope = jax.jvp(gradient, (x,), (x,))
    np.testing.assert_array_equal(slope, 0)
    found.append(g)
    # A constant is its own mean, so that each output gives 1 in all.
    np.testing.assert_allclose(g.sum(), way.sum(), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(found[1], found[2])


def test_a_mean_has_no_macs_and_keeps_its_dtype():
  x = jnp.ones((1, 6, 6, 4), 'bfloat16')
  y = pooling.avg_pool(x, 3, 1, form='taps')
  assert y.dtype == x.dtype
  np.testing.assert_allclose(np.asarray(y, 'float32'), 1, rtol=0.01)
  mean = functools.partial(pooling.avg_pool, kernel=3, stride=1, form='native')
  assert count.macs(mean, x) == 0
  with pytest.raises(ValueError, match="form='fast'"):
    pooling.avg_pool(x, 3, 1, form='fast')

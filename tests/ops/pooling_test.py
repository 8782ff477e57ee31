"""Both forms of max pooling are one function, with its derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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

"""The largest eigenvalue, against the whole Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import guard

DIRECTIONS = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]


@pytest.mark.parametrize(
  'spectrum',
  [
    [3, 2, 1, 0.5, 0, -1],
    [-4, 2, 1, 0, 0, 0],
    [2, -2, 0, 0, 0, 0],
    [-4, -3, -2, -2, -2, -1],
    [1e-3] * 5 + [5e-3],
    [0] * 6,
  ],
)
def test_the_eigenvalue_is_that_of_the_whole_hessian(x64, spectrum):
  """Where negative ones are larger in magnitude, or as large, too."""
  H = DIRECTIONS @ np.diag(spectrum) @ DIRECTIONS.T

  def loss(alphas):
    flat = jnp.concatenate([alphas['a'], alphas['b'].ravel()])
    return flat @ H @ flat / 2 + flat.sum()

  alphas = {'a': jnp.ones(2), 'b': jnp.ones((2, 2))}
  found = guard.largest_eigenvalue(loss, alphas, jax.random.key(0), 200)
  wanted = np.linalg.eigvalsh(H).max()
  np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_the_eigenvalue_is_that_at_the_given_alphas(x64):
  """Of a loss through softmax, against the eigenvalues of `jax.hessian`."""
  target = jnp.array([0.7, 0.2, 0.1])

  def loss(alphas):
    return ((jax.nn.softmax(alphas['a']) - target) ** 2).sum()

  for start in ([0.0, 0.0, 0.0], [2.0, -1.0, 0.5], [-3.0, 3.0, 0.0]):
    a = jnp.array(start)
    H = jax.hessian(lambda a: loss({'a': a}))(a)
    wanted = np.linalg.eigvalsh(H).max()
    found = guard.largest_eigenvalue(loss, {'a': a}, jax.random.key(1), 200)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)


def test_few_products_find_most_of_the_eigenvalue():
  """Never beyond it, and in float32: as a search measures."""
  H = jnp.asarray(DIRECTIONS @ np.diag([3, 2, 1, 1, 0, 0]) @ DIRECTIONS.T)
  loss = lambda a: a['a'] @ H.astype(a['a'].dtype) @ a['a'] / 2  # noqa: E731
  keys = jax.random.split(jax.random.key(0), 20)
  alphas = {'a': jnp.ones(6)}
  measure = jax.vmap(lambda k: guard.largest_eigenvalue(loss, alphas, k))
  found = measure(keys)
  assert (found <= 3 * (1 + 1e-6)).all()
  assert (found > 0.99 * 3).all()

"""Sparsemax: the projection onto the simplex, and its Jacobian."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import relax


def _projected(z):
  """The closest point of the simplex: the best of all supports."""
  best, distance = None, np.inf
  for size in range(1, len(z) + 1):
    for support in itertools.combinations(range(len(z)), size):
      p = np.zeros(len(z))
      at = list(support)
      p[at] = z[at] - (z[at].sum() - 1) / size
      if (p >= 0).all() and ((p - z) ** 2).sum() < distance:
        best, distance = p, ((p - z) ** 2).sum()
  return best


@pytest.mark.parametrize('temperature', [0.3, 1.0, 5.0])
def test_sparsemax_is_the_projection_onto_the_simplex(x64, temperature):
  sizes = set()
  for z in np.random.default_rng(0).normal(size=(40, 5)):
    p = relax.sparsemax({'a': jnp.array(z)}, temperature)['a']
    np.testing.assert_allclose(p, _projected(z / temperature), atol=1e-12)
    sizes.add(int((p > 0).sum()))
  assert len(sizes) > 1


def test_the_jacobian_of_sparsemax_is_that_of_finite_differences(x64):
  h, f = 1e-6, lambda z: relax.sparsemax({'a': z}, 0.5)['a']
  for z in jnp.array(np.random.default_rng(1).normal(size=(10, 4))):
    rows = [(f(z + h * e) - f(z - h * e)) / (2 * h) for e in jnp.eye(4)]
    np.testing.assert_allclose(jax.jacobian(f)(z).T, rows, atol=1e-8)


def test_on_the_threshold_sparsemax_has_the_jacobian_of_its_support():
  f = lambda z: relax.sparsemax({'a': z})['a']  # noqa: E731
  z = jnp.array([1.0, 0.0, 1.0])  # The second would be at exactly 0.
  assert f(z).tolist() == [0.5, 0.0, 0.5]
  expected = [[0.5, 0, -0.5], [0, 0, 0], [-0.5, 0, 0.5]]
  np.testing.assert_array_equal(jax.jacobian(f)(z), expected)

"""Entropy: known distributions, slopes, and where it leads."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import guard, relax
from tests.guard.guard_cases import MOBILE, drawn_alphas


def test_entropy_is_that_of_known_distributions():
  probs = {
    'even': jnp.full((2, 4), 0.25),
    'decided': jnp.array([0.0, 1.0, 0.0]),
    'coin': jnp.array([0.9, 0.1]),
  }
  found = guard.entropy(probs)
  np.testing.assert_allclose(found['even'], [np.log(4)] * 2, rtol=1e-6)
  assert float(found['decided']) == 0
  coin = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
  np.testing.assert_allclose(found['coin'], coin, rtol=1e-6)
  total = guard.total_entropy(probs)
  np.testing.assert_allclose(total, 2 * np.log(4) + coin, rtol=1e-6)


def test_the_slope_of_entropy_in_alphas_is_its_closed_form(x64):
  """dH/dalpha_j = -p_j (log p_j + H)."""
  alphas = {'a': jnp.array([0.3, -1.0, 2.0])}
  slope = jax.grad(lambda a: guard.total_entropy(relax.softmax(a)))(alphas)
  p = jax.nn.softmax(alphas['a'])
  h = -(p * jnp.log(p)).sum()
  np.testing.assert_allclose(slope['a'], -p * (jnp.log(p) + h), rtol=1e-10)


def test_entropy_where_a_probability_is_0_has_a_finite_slope():
  far = {'a': jnp.array([0.0, -1000.0])}
  slope = jax.grad(lambda a: guard.total_entropy(relax.softmax(a)))(far)
  np.testing.assert_array_equal(slope['a'], [0, 0])


@pytest.mark.parametrize(('weight', 'decides'), [(1.0, True), (-1.0, False)])
def test_descending_the_entropy_decides_and_ascending_undecides(
  weight, decides
):
  start = alphas = drawn_alphas()
  slope = jax.jit(jax.grad(lambda a: guard.total_entropy(relax.softmax(a))))
  for _ in range(100):
    g = slope(alphas)
    alphas = jax.tree.map(lambda a, g: a - weight * g, alphas, g)
  before, after = (guard.entropy(relax.softmax(a)) for a in (start, alphas))
  for name in MOBILE.choices:
    assert (after[name] < before[name]) == decides
  if decides:  # And for the option that led.
    chex.assert_trees_all_equal(
      *(jax.tree.map(jnp.argmax, a) for a in (start, alphas))
    )

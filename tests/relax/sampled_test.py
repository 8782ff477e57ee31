"""Two gates and binary gates: which paths run, and what they learn."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import relax
from tests.relax.relax_cases import TEMPERATURE


def test_two_gates_need_two_ops():
  with pytest.raises(ValueError, match="two ops or more in slot 'only'"):
    relax.binary_gates({'only': jnp.zeros(1)}, 1.0, jax.random.key(0))


@pytest.mark.slow
def test_two_gates_leave_the_probability_of_the_others(x64):
  """To first order in a step along the gradient (Cai et al. 2019)."""
  alphas = {'a': jnp.array([0.3, -1.0, 0.9, 0.2, 0.5])}
  slopes = jnp.array([1.0, -2.0, 3.0, 0.5, -1.0])

  def loss(a, key):
    return slopes @ relax.binary_gates(a, TEMPERATURE, key).probs['a']

  distribution = lambda a: relax.softmax(a, TEMPERATURE)  # noqa: E731
  for key in jax.random.split(jax.random.key(5), 20):
    g = jax.grad(loss)(alphas, key)
    pair = relax.binary_gates(alphas, TEMPERATURE, key).index['a']
    _, moved = jax.jvp(distribution, (alphas,), (g,))
    np.testing.assert_allclose(jnp.delete(moved['a'], pair), 0, atol=1e-12)
    assert (moved['a'][pair] != 0).all()


def test_in_a_slot_of_two_ops_binary_gates_are_exact_for_the_law(x64):
  alphas = {'a': jnp.array([0.3, -1.0])}
  slopes = jnp.array([1.0, -2.0])
  distribution = lambda a: relax.softmax(a, TEMPERATURE)  # noqa: E731

  def f(a):
    drawn = relax.binary_gates(a, TEMPERATURE, jax.random.key(0))
    return slopes @ drawn.probs['a']

  true = jax.grad(lambda a: slopes @ distribution(a)['a'])(alphas)
  _, step = jax.jvp(distribution, (alphas,), (true,))
  _, own = jax.jvp(distribution, (alphas,), (jax.grad(f)(alphas),))
  chex.assert_trees_all_close(own, step, rtol=1e-12)

"""Relaxations: sums, limits, and the law of their samples."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import relax

ALPHAS = {'a': jnp.array([0.0, 1.0, -2.0]), 'b': jnp.array([[3.0, 0.5]] * 2)}
ALL = [relax.softmax, relax.probabilities, relax.gumbel_softmax]


@pytest.mark.parametrize('relaxation', ALL)
@pytest.mark.parametrize('temperature', [0.1, 1.0, 10.0])
def test_probs_sum_to_1_and_keep_the_structure(relaxation, temperature):
  probs = relaxation(ALPHAS, temperature, jax.random.key(0))
  chex.assert_trees_all_equal_shapes(probs, ALPHAS)
  sums = jax.tree.map(lambda p: p.sum(-1), probs)
  ones = jax.tree.map(jnp.ones_like, sums)
  chex.assert_trees_all_close(sums, ones, rtol=1e-6)


def test_softmax_is_argmax_when_cold_and_uniform_when_hot():
  cold, hot = relax.softmax(ALPHAS, 1e-3), relax.softmax(ALPHAS, 1e6)
  np.testing.assert_allclose(cold['a'], [0, 1, 0], atol=1e-6)
  np.testing.assert_allclose(hot['a'], [1 / 3] * 3, atol=1e-5)


@pytest.mark.parametrize('temperature', [0.05, 2.0])
def test_argmax_of_gumbel_softmax_has_the_law_softmax(temperature):
  """Binomial bound of 5 standard deviations over 20,000 draws."""
  n = 20_000
  keys = jax.random.split(jax.random.key(1), n)
  sample = jax.vmap(lambda k: relax.gumbel_softmax(ALPHAS, temperature, k))
  drawn = sample(keys)['a'].argmax(-1)
  law = relax.GUMBEL_SOFTMAX.law(ALPHAS, temperature, None)['a']
  share = jnp.bincount(drawn, length=3) / n
  bound = 5 * jnp.sqrt(law * (1 - law) / n)
  assert (jnp.abs(share - law) < bound).all(), (share, law)


def test_slots_are_drawn_independently():
  alphas = {'a': jnp.zeros(4), 'b': jnp.zeros(4)}
  keys = jax.random.split(jax.random.key(2), 4000)
  p = jax.vmap(lambda k: relax.gumbel_softmax(alphas, 1.0, k))(keys)
  correlation = np.corrcoef(p['a'][:, 0], p['b'][:, 0])[0, 1]
  assert abs(correlation) < 5 / np.sqrt(4000)


def test_noise_of_a_slot_does_not_depend_on_the_others():
  key = jax.random.key(3)
  both = relax.gumbel_softmax(ALPHAS, 1.0, key)['a']
  alone = relax.gumbel_softmax({'a': ALPHAS['a']}, 1.0, key)['a']
  chex.assert_trees_all_equal(both, alone)

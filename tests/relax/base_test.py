"""All relaxations: sums, limits, distributions, temperatures, keys."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint, cost, relax, spaces
from nasjax.relax import base as relax_base
from tests.relax.relax_cases import (
  ALL,
  ALPHAS,
  HARD,
  RELAXED,
  RUN,
  relaxed_probs,
  relaxed_samples,
  warm,
)

NOISY = (*HARD, 'gumbel_softmax', 'dirichlet')

every = pytest.mark.parametrize('name', ALL)


every_relaxed = pytest.mark.parametrize('name', RELAXED)
every_noisy = pytest.mark.parametrize('name', NOISY)


@pytest.mark.quick_every(3)
@every
@pytest.mark.parametrize('temperature', [0.1, 1.0, 10.0])
def test_probs_sum_to_1_and_keep_the_structure(name, temperature):
  probs = relaxed_probs(name, ALPHAS, temperature, jax.random.key(0))
  chex.assert_trees_all_equal_shapes_and_dtypes(probs, ALPHAS)
  for p in probs.values():
    np.testing.assert_allclose(p.sum(-1), 1, rtol=1e-6)
    assert (p >= 0).all()


@every
def test_the_index_says_where_probs_may_differ_from_0(name):
  alphas = {**ALPHAS, 'c': jnp.zeros((5, 4))}
  probs, index = relax.draw(ALL[name], alphas, 1.0, jax.random.key(3))
  if name not in RUN:
    assert index is None
    return
  for slot, p in probs.items():
    i = index[slot]
    assert i.shape == (*p.shape[:-1], RUN[name])
    assert i.dtype == jnp.int32
    assert (jnp.diff(jnp.sort(i, -1)) > 0).all()
    np.testing.assert_array_equal(jnp.take_along_axis(p, i, -1).sum(-1), 1)
    np.testing.assert_array_equal(jnp.take_along_axis(p, i[..., :1], -1), 1)


@pytest.mark.quick_every(3)
@warm
def test_when_cold_it_is_one_hot(name):
  cold = relaxed_samples(name, ALPHAS, 1e-6, 100)
  for p in cold.values():
    np.testing.assert_allclose(p.max(-1), 1, atol=1e-5)


@pytest.mark.parametrize('name', ['softmax', 'sparsemax'])
def test_without_noise_it_is_argmax_when_cold_and_uniform_when_hot(name):
  cold, hot = ALL[name](ALPHAS, 1e-3), ALL[name](ALPHAS, 1e6)
  np.testing.assert_allclose(cold['a'], [0, 1, 0], atol=1e-6)
  np.testing.assert_allclose(hot['a'], [1 / 3] * 3, atol=1e-5)


FAR = [[50, -50, 0], [-50, -50, -50], [-200, 200, 199], [50, 50, 49]]


@pytest.mark.quick_every(2)
@every
def test_far_out_values_and_gradients_are_finite(name):
  weights = jnp.array([1.0, -2.0, 3.0])

  def f(a, temperature, key):
    p = relaxed_probs(name, {'a': a}, temperature, key)['a']
    return weights @ p + (weights @ p) ** 2

  run = jax.value_and_grad(f)
  for axes in ((None, None, 0), (None, 0, None), (0, None, None)):
    run = jax.vmap(run, axes)
  keys = jax.random.split(jax.random.key(0), 200)
  both = jax.jit(run)(jnp.array(FAR, float), jnp.array([0.2, 1.0]), keys)
  assert all(jnp.isfinite(x).all() for x in both)


@pytest.mark.quick_every(3)
@every
def test_the_temperature_is_data(name):
  """One program for all temperatures, the same as with each as a number."""
  key, temperatures = jax.random.key(1), (0.3, 1.0, 4.0)
  run = jax.jit(jax.vmap(lambda t: ALL[name](ALPHAS, t, key)))
  together = run(jnp.array(temperatures))
  for i, t in enumerate(temperatures):
    own = jax.tree.map(lambda x, i=i: x[i], together)
    chex.assert_trees_all_close(own, ALL[name](ALPHAS, t, key), atol=1e-5)


@pytest.mark.quick_every(3)
@every_noisy
def test_the_key_decides(name):
  a, b = (relaxed_probs(name, ALPHAS, 1.0, jax.random.key(4)) for _ in range(2))
  chex.assert_trees_all_equal(a, b)
  samples = relaxed_samples(name, ALPHAS, 1.0, 50)['a']
  assert len(np.unique(samples, axis=0)) > 1


@pytest.mark.quick_every(3)
@every_noisy
def test_noise_of_a_slot_does_not_depend_on_the_others(name):
  alphas = {'a': ALPHAS['a']}
  both, alone = (
    relaxed_samples(name, x, 1.0, 50)['a'] for x in (ALPHAS, alphas)
  )
  chex.assert_trees_all_equal(both, alone)


@pytest.mark.quick_every(3)
@every_noisy
def test_slots_are_drawn_independently(name):
  alphas = {'a': jnp.zeros(4), 'b': jnp.zeros(4)}
  p = relaxed_samples(name, alphas, 1.0, 4000)
  correlation = np.corrcoef(p['a'][:, 0], p['b'][:, 0])[0, 1]
  assert abs(correlation) < 5 / np.sqrt(4000)


@warm
@pytest.mark.parametrize('temperature', [0, 0.0, -1.0, float('nan')])
def test_a_number_that_is_no_temperature_is_refused(name, temperature):
  with pytest.raises(ValueError, match='requires a positive temperature, got'):
    ALL[name](ALPHAS, temperature, jax.random.key(0))


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('temperature', [0.5, 2.0])
@pytest.mark.parametrize(
  'name', ['straight_through', 'reinmax', 'gdas', 'one_path', 'dirichlet']
)
def test_the_mean_of_the_samples_is_the_law(name, temperature):
  """Within 5 standard errors over 20,000 draws."""
  n = 20_000
  samples = relaxed_samples(name, ALPHAS, temperature, n, seed=1)
  relaxed = RELAXED['binary_gates' if name == 'one_path' else name]
  distribution = relaxed.distribution(ALPHAS, temperature, None)
  for slot in ('a', 'b'):
    error = samples[slot].std(0) / jnp.sqrt(n)
    assert (
      jnp.abs(samples[slot].mean(0) - distribution[slot]) < 5 * error
    ).all()


@every_relaxed
def test_the_law_and_its_logits_are_in_the_order_of_the_alphas(name):
  alphas = {'a': jnp.array([-50.0, 0.3, 40.0, -1.0, 0.3001, 41.0])}
  distribution = RELAXED[name].distribution(alphas, 0.7, None)['a']
  logits = relax.logits(RELAXED[name], alphas, 0.7)['a']
  order = jnp.argsort(alphas['a'])
  assert (jnp.diff(distribution[order]) >= 0).all()
  assert (jnp.diff(logits[order]) > 0).all()
  assert jnp.isfinite(logits).all()


@every_relaxed
def test_softmax_of_the_logits_is_the_law_at_temperature_1(name):
  distribution = RELAXED[name].distribution(ALPHAS, 1.0, None)
  logits = relax.logits(RELAXED[name], ALPHAS)
  chex.assert_trees_all_close(relax.softmax(logits), distribution, atol=1e-6)


@pytest.mark.quick_every(4)
@every_relaxed
def test_a_projection_keeps_a_limit_under_every_law(name):
  """With the cost's gradient through the distribution, whichever it is."""
  tiny = spaces.tiny()
  macs = cost.macs(tiny)
  low, high = macs.bounds()
  limit = low + 0.3 * (high - low)
  keep = constraint.project([macs], [limit])
  distribution = lambda a: RELAXED[name].distribution(a, 0.8, None)  # noqa: E731
  start = {k: 0.1 * jnp.arange(3.0) for k in tiny.choices}
  start = {k: a[: len(tiny.choices[k])] for k, a in start.items()}
  alphas, _ = jax.jit(lambda a: keep.update(a, distribution, keep.init()))(
    start
  )
  assert float(macs(distribution(start))) > 1.1 * limit
  assert 0.95 * limit < float(macs(distribution(alphas))) < (1 + 1e-4) * limit


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('name', ['softmax', 'gumbel_softmax', 'dirichlet'])
def test_one_temperature_is_taken_for_all_options(name):
  with pytest.raises(ValueError, match='one temperature'):
    jax.eval_shape(ALL[name], ALPHAS, jnp.ones(1), jax.random.key(0))
  hot = jax.vmap(ALL[name], (None, 0, None))
  probs = hot(ALPHAS, jnp.ones(2), jax.random.key(0))
  assert probs['a'].shape == (2, 3)


def test_a_slope_is_of_logits_of_the_same_shape():
  with pytest.raises(AssertionError, match='shape'):
    relax_base.slope(jnp.ones((2, 3)) / 3, jnp.zeros(3))

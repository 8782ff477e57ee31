"""Batch norm is Linen's, with less to remember."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.ops.norm import BatchNorm


def _both(train, dtype=None):
  linen = nn.BatchNorm(
    use_running_average=not train, momentum=0.9, epsilon=1e-3, dtype=dtype
  )
  return linen, BatchNorm(train, 0.9, 1e-3, dtype)


def _variables(channels, dtype='float32'):
  rng = np.random.default_rng(0)
  draw = lambda: jnp.asarray(rng.uniform(0.5, 2.0, channels), dtype)  # noqa: E731
  return {
    'params': {'scale': draw(), 'bias': draw()},
    'batch_stats': {'mean': draw(), 'var': draw()},
  }


@pytest.mark.parametrize('train', [True, False])
def test_it_is_linens_in_values_statistics_and_gradients(x64, train):
  x = jax.random.normal(jax.random.key(0), (4, 3, 5, 6), 'float64') * 2 + 1
  weigh = jax.random.normal(jax.random.key(1), x.shape, 'float64')
  variables = _variables(6, 'float64')

  def run(module, params, x):
    own = {'params': params, 'batch_stats': variables['batch_stats']}
    y, new = module.apply(own, x, mutable=['batch_stats'])
    return (y * weigh).sum(), (y, new)

  found = [
    jax.value_and_grad(lambda p, x, m=m: run(m, p, x), (0, 1), has_aux=True)(
      variables['params'], x
    )
    for m in _both(train)
  ]
  for a, b in zip(*map(jax.tree.leaves, found), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_it_starts_as_linens_does():
  starts = [m.init(jax.random.key(0), jnp.ones((2, 3))) for m in _both(True)]
  assert jax.tree.structure(starts[0]) == jax.tree.structure(starts[1])
  for a, b in zip(*map(jax.tree.leaves, starts), strict=True):
    np.testing.assert_array_equal(a, b)


def test_statistics_are_in_single_precision_where_values_are_not():
  x = jnp.ones((64, 300), 'bfloat16')  # A sum of 300 is none of its numbers.
  _, ours = _both(True, 'bfloat16')
  y, new = ours.apply(_variables(300), x, mutable=['batch_stats'])
  assert y.dtype == jnp.bfloat16
  assert {v.dtype for v in new['batch_stats'].values()} == {jnp.dtype('f4')}


def test_the_gradient_keeps_one_array_as_large_as_the_input():
  """And Linen's keeps two, or there would be no need for this one."""
  x, variables = jnp.ones((8, 5, 5, 4)), _variables(4)

  def kept(module):
    def run(params, x):
      own = {'params': params, 'batch_stats': variables['batch_stats']}
      return module.apply(own, x, mutable=['batch_stats'])[0]

    _, pull = jax.vjp(run, variables['params'], x)
    return sum(leaf.size == x.size for leaf in jax.tree.leaves(pull))

  linen, ours = map(kept, _both(True))
  assert (linen, ours) == (2, 1)


@pytest.mark.parametrize('train', [True, False])
def test_without_scale_and_bias_it_is_as_if_they_were_1_and_0(train):
  x = jax.random.normal(jax.random.key(0), (4, 3, 5, 6)) * 2 + 1
  stats = {'batch_stats': _variables(6)['batch_stats']}
  ones = {'params': {'scale': jnp.ones(6), 'bias': jnp.zeros(6)}}
  plain, full = (BatchNorm(train, affine=affine) for affine in (False, True))
  assert 'params' not in plain.init(jax.random.key(0), x)

  def run(module, variables):
    return module.apply(variables, x, mutable=['batch_stats'])

  found, right = run(plain, stats), run(full, {**stats, **ones})
  for a, b in zip(*map(jax.tree.leaves, (found, right)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)

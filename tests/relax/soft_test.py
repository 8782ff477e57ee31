"""Mixtures: gradients that are exact, values when hot."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import relax
from tests.relax.relax_cases import (
  ALL,
  ALPHAS,
  LOSSES,
  RELAXED,
  TEMPERATURE,
  TINY,
  loss_of,
  relaxed_samples,
)


def test_when_hot_dirichlet_is_its_mean():
  hot = relaxed_samples('dirichlet', ALPHAS, 1e8, 20)['a']
  mean = jnp.broadcast_to(relax.dirichlet_mean(ALPHAS)['a'], hot.shape)
  np.testing.assert_allclose(hot, mean, atol=1e-3)


@pytest.mark.parametrize('name', ['softmax', 'sparsemax'])
def test_the_gradient_of_a_mixture_is_exact_for_a_linear_loss(x64, name):
  """And for any, that of finite differences of the loss at the distribution."""
  alphas, h = jax.tree.map(jnp.array, TINY), 1e-6
  at = lambda a, loss: loss_of(loss, ALL[name](a, TEMPERATURE))  # noqa: E731

  def over_all(a):
    distribution = RELAXED[name].distribution(a, TEMPERATURE, None)
    return sum(
      distribution['a'][i]
      * distribution['b'][j]
      * loss_of(LOSSES['linear'], {'a': x, 'b': y})
      for i, x in enumerate(jnp.eye(3))
      for j, y in enumerate(jnp.eye(3))
    )

  linear = jax.grad(at)(alphas, LOSSES['linear'])
  chex.assert_trees_all_close(linear, jax.grad(over_all)(alphas), rtol=1e-12)
  g = jax.grad(at)(alphas, LOSSES['any'])
  for slot, e in itertools.product(alphas, jnp.eye(3)):
    moved = [{**alphas, slot: alphas[slot] + s * h * e} for s in (1, -1)]
    up, down = (at(a, LOSSES['any']) for a in moved)
    np.testing.assert_allclose(g[slot] @ e, (up - down) / (2 * h), atol=1e-8)


def _nearest(z):
  """The point of the simplex that is closest to z, of all supports."""
  best = None
  for places in itertools.product([False, True], repeat=len(z)):
    s = np.array(places)
    if not s.any():
      continue
    p = np.where(s, z - (z[s].sum() - 1) / s.sum(), 0)
    distance = np.square(p - z).sum()
    if (p >= 0).all() and (best is None or distance < best[0]):
      best = distance, p
  return best[1]


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('name', ['softmax', 'sparsemax'])
def test_the_gradient_of_a_mixture_is_of_the_loss_at_the_law(x64, name, loss):
  """By Jacobians in closed form; so its bias is that of f(E y) for E f(y)."""
  distribution, jacobian = {}, {}
  for slot, a in TINY.items():
    z = a / TEMPERATURE
    if name == 'softmax':
      p = np.exp(z) / np.exp(z).sum()
      slopes = np.diag(p) - np.outer(p, p)
    else:
      p = _nearest(z)
      s = (p > 0).astype(float)
      slopes = np.diag(s) - np.outer(s, s) / s.sum()
    distribution[slot], jacobian[slot] = p, slopes / TEMPERATURE
  slopes = jax.grad(lambda p: loss_of(LOSSES[loss], p))(distribution)
  wanted = {slot: jacobian[slot] @ slopes[slot] for slot in distribution}
  found = jax.grad(lambda a: loss_of(LOSSES[loss], ALL[name](a, TEMPERATURE)))(
    jax.tree.map(jnp.array, TINY)
  )
  chex.assert_trees_all_close(found, wanted, rtol=1e-9, atol=1e-12)
  # The gradient of the expectation, where one op at a time is chosen.
  drawn = {
    'a': jnp.array(
      [
        sum(
          distribution['b'][j] * loss_of(LOSSES[loss], {'a': x, 'b': y})
          for j, y in enumerate(jnp.eye(3))
        )
        for x in jnp.eye(3)
      ]
    )
  }
  gap = np.abs(jacobian['a'] @ drawn['a'] - wanted['a']).max()
  assert (gap < 1e-12) == (loss == 'linear')

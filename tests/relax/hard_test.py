"""One-hot samples: their law, and the mean of their gradients."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import relax
from tests.relax.relax_cases import (
  ALL,
  ALPHAS,
  HARD,
  LOSSES,
  TEMPERATURE,
  TINY,
  loss_of,
  relaxed_samples,
)


@pytest.mark.parametrize('name', HARD)
def test_hard_ones_are_one_hot_to_the_bit(name):
  probs = relaxed_samples(name, ALPHAS, 0.3, 500)
  for p in probs.values():
    assert ((p == 0) | (p == 1)).all()


@pytest.mark.parametrize('temperature', [0.05, 2.0])
def test_argmax_of_gumbel_softmax_has_the_law_softmax(temperature):
  """Binomial bound of 5 standard deviations over 20,000 draws."""
  n = 20_000
  drawn = relaxed_samples('gumbel_softmax', ALPHAS, temperature, n)['a'].argmax(
    -1
  )
  distribution = relax.GUMBEL_SOFTMAX.distribution(ALPHAS, temperature, None)[
    'a'
  ]
  share = jnp.bincount(drawn, length=3) / n
  bound = 5 * jnp.sqrt(distribution * (1 - distribution) / n)
  assert (jnp.abs(share - distribution) < bound).all(), (share, distribution)


class Mean(NamedTuple):
  """What is expected of one slot, for `u` and its alphas."""

  value: jax.Array  # f64[], of `u` at the probs
  gradient: jax.Array  # f64[3], of the estimator


def _law(a):
  return jax.nn.softmax(a / TEMPERATURE)


def _at_corners(u):
  """`u` and its gradient at the one-hots."""
  return jax.vmap(u)(jnp.eye(3)), jax.vmap(jax.grad(u))(jnp.eye(3))


def _differentiated(value):
  def mean(u, a):
    return Mean(value(u, a), jax.grad(lambda a: value(u, a))(a))

  return mean


@_differentiated
def enumerated(u, a):
  return _law(a) @ _at_corners(u)[0]


@_differentiated
def enumerated_dirichlet(u, a):
  beta = jnp.where(a > 0, a + 1, jnp.exp(a))
  return beta / beta.sum() @ _at_corners(u)[0]


@_differentiated
def moments_of_dirichlet(u, a):
  """Of a quadratic `u`, from its values: `E y_i y_j` in closed form."""
  beta = TEMPERATURE * jnp.where(a > 0, a + 1, jnp.exp(a))
  total = beta.sum()
  first = beta / total
  second = (jnp.outer(beta, beta) + jnp.diag(beta)) / (total * (total + 1))
  zero = jnp.zeros(3)
  return (
    u(zero)
    + jax.grad(u)(zero) @ first
    + (jax.hessian(u)(zero) * second).sum() / 2
  )


def _by_differences(order):
  """`sum_ij p_j (f(i) - f(j)) dp_i`, a difference from slopes at its ends."""

  def mean(u, a):
    p, dp = _law(a), jax.jacobian(_law)(a)
    values, slopes = _at_corners(u)
    gradient = jnp.zeros(3)
    for i, j in itertools.product(range(3), repeat=2):
      way = jnp.eye(3)[i] - jnp.eye(3)[j]
      at = slopes[j] if order == 1 else (slopes[i] + slopes[j]) / 2
      gradient += p[j] * (at @ way) * dp[i]
    return Mean(p @ values, gradient)

  return mean


def _density(z, a, k):
  """Of the noisy alphas but the k-th, less the k-th: `z` is `[..., 2]`."""
  others = jnp.delete(a, k, assume_unique_indices=True) - a[k]
  e = jnp.exp(-(z - others.reshape((1,) * (z.ndim - 1) + (2,))))
  return 2 * e.prod(-1) / (1 + e.sum(-1)) ** 3


def _grid(low, high, n):
  """Nodes `[n * n, 2]` and weights `[n * n]` of Gauss and Legendre."""
  x, w = np.polynomial.legendre.leggauss(n)
  x, w = (high - low) / 2 * x + (high + low) / 2, (high - low) / 2 * w
  nodes = np.stack(np.meshgrid(x, x), -1).reshape(-1, 2)
  return jnp.array(nodes), jnp.array(np.outer(w, w).ravel())


@_differentiated
def quadrature_of_gumbel(u, a):
  """The alphas are in the density alone: nothing is differentiated along."""
  z, w = _grid(-20, 20, 120)
  y = jax.nn.softmax(jnp.pad(z, ((0, 0), (0, 1))) / TEMPERATURE)
  return (w * _density(z, a, 2)) @ jax.vmap(u)(y)


def quadrature_of_gdas(u, a):
  """`sum_k du/dp_k(k) E[dh_k / da; k is the argmax]`."""
  values, slopes = _at_corners(u)
  gradient = jnp.zeros(3)
  z, w = _grid(-20, 0, 60)
  for k in range(3):
    z3 = jnp.insert(z, k, 0, axis=-1)
    h = jax.nn.softmax(z3 / TEMPERATURE)
    dh = h[:, k, None] * (jnp.eye(3)[k][None] - h) / TEMPERATURE
    gradient += slopes[k, k] * ((w * _density(z, a, k)) @ dh)
  return Mean(jax.nn.softmax(a) @ values, gradient)


def enumerated_gates(u, a):
  """Over pairs, drawn one after the other, and the gate that is open."""
  p, (values, slopes) = _law(a), _at_corners(u)
  value, gradient = 0.0, jnp.zeros(3)
  for i, j in itertools.permutations(range(3), 2):
    drawn = p[i] * p[j] / (1 - p[i])
    q = {k: p[k] / (p[i] + p[j]) for k in (i, j)}
    for opened in (i, j):
      chance = drawn * q[opened]
      g = slopes[opened]
      v = {  # Eq. 4 of the paper, over the two
        k: sum(g[m] * q[m] * ((k == m) - q[k]) for m in (i, j)) for k in (i, j)
      }
      shift = q[i] * v[i] + q[j] * v[j]
      for k in (i, j):
        gradient = gradient.at[k].add(chance * (v[k] - shift) / TEMPERATURE)
      value += chance * values[opened]
  return Mean(value, gradient)


ESTIMATES = {
  ('straight_through', 'linear'): enumerated,
  ('straight_through', 'any'): _by_differences(1),
  ('reinmax', 'quadratic'): enumerated,
  ('reinmax', 'any'): _by_differences(2),
  ('dirichlet', 'linear'): enumerated_dirichlet,
  ('dirichlet', 'quadratic'): moments_of_dirichlet,
  ('gumbel_softmax', 'any'): quadrature_of_gumbel,
  ('gdas', 'any'): quadrature_of_gdas,
  ('binary_gates', 'any'): enumerated_gates,
}


def _mean_gradient(loss, mean, alphas):
  """Put together from the slots, see above."""
  gradient = {'a': jnp.zeros(3), 'b': jnp.zeros(3)}
  for u, v in loss:
    a, b = mean(u, alphas['a']), mean(v, alphas['b'])
    gradient['a'] += a.gradient * b.value
    gradient['b'] += b.gradient * a.value
  return gradient


def _estimate(name, loss, n, temperature=TEMPERATURE):
  """Mean and standard error of an estimator's gradient."""

  def value(alphas, key):
    probs, index = relax.draw(ALL[name], alphas, temperature, key)
    if index is not None:
      # As in the network: what did not run has no gradient.
      ran = {k: jax.nn.one_hot(i, 3).sum(-2) for k, i in index.items()}
      probs = {k: p * ran[k] for k, p in probs.items()}
    return loss_of(loss, probs)

  keys = jax.random.split(jax.random.key(7), n)
  gradient = jax.vmap(jax.grad(value), (None, 0))
  g = jax.jit(gradient)(jax.tree.map(jnp.array, TINY), keys)
  return (
    jax.tree.map(lambda x: x.mean(0), g),
    jax.tree.map(lambda x: x.std(0) / np.sqrt(n), g),
  )


def _farthest(estimate, expected):
  """In standard errors."""
  mean, error = estimate
  return max(
    float((jnp.abs(mean[k] - expected[k]) / error[k]).max()) for k in mean
  )


@pytest.mark.drawn(3)
@pytest.mark.quick_every(9)
@pytest.mark.parametrize(('name', 'kind'), ESTIMATES)
def test_the_mean_gradient_is_the_one_that_is_stated(x64, name, kind):
  """Within 5 standard errors over 100,000 draws.

  What is biased is held to the other side, too: the gradient of `E f(one-hot)`
  is farther away than that, so a bias that is not there would be seen.
  """
  loss, mean = LOSSES[kind], ESTIMATES[name, kind]
  # The sampler of gamma variables is slow.
  estimate = _estimate(name, loss, 30_000 if name == 'dirichlet' else 100_000)
  alphas = jax.tree.map(jnp.array, TINY)
  assert _farthest(estimate, _mean_gradient(loss, mean, alphas)) < 5
  if mean not in (enumerated, enumerated_dirichlet):
    true = enumerated_dirichlet if name == 'dirichlet' else enumerated
    assert _farthest(estimate, _mean_gradient(loss, true, alphas)) > 10


@pytest.mark.slow
def test_a_colder_gumbel_softmax_has_less_bias_and_more_variance(x64):
  loss, alphas = LOSSES['any'], jax.tree.map(jnp.array, TINY)
  true = _mean_gradient(loss, enumerated, alphas)
  biases, errors = [], []
  for temperature in (2.0, 0.7, 0.2):
    mean, error = _estimate('gumbel_softmax', loss, 100_000, temperature)
    biases.append(max(float(jnp.abs(mean[k] - true[k]).max()) for k in true))
    errors.append(max(float(e.max()) for e in error.values()))
  for (warm, cold), error in zip(
    itertools.pairwise(biases), errors[1:], strict=True
  ):
    assert cold < warm - 5 * error
  assert errors == sorted(errors)

"""Relaxations: sums, limits, distributions, and what their gradients estimate.

Their gradients are held to what is computed here without them: enumeration of
the draws, closed moments, quadrature over the density of the noise.
"""

import itertools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint, cost, relax, spaces

ALPHAS = {'a': jnp.array([0.0, 1.0, -2.0]), 'b': jnp.array([[3.0, 0.5]] * 2)}
RELAXED = {
  'softmax': relax.SOFTMAX,
  'gumbel_softmax': relax.GUMBEL_SOFTMAX,
  'straight_through': relax.STRAIGHT_THROUGH,
  'gdas': relax.GDAS,
  'binary_gates': relax.BINARY_GATES,
  'dirichlet': relax.DIRICHLET,
  'reinmax': relax.REINMAX,
  'sparsemax': relax.SPARSEMAX,
}
ALL = {name: r.probs for name, r in RELAXED.items()}
ALL |= {'one_path': relax.one_path, 'probabilities': relax.probabilities}
ALL |= {'dirichlet_mean': relax.dirichlet_mean}
RUN = {'gdas': 1, 'one_path': 1, 'binary_gates': 2}
HARD = ('straight_through', 'reinmax', *RUN)
NOISY = (*HARD, 'gumbel_softmax', 'dirichlet')

every = pytest.mark.parametrize('name', ALL)
# Those that depend on the temperature.
warm = pytest.mark.parametrize(
  'name', sorted(set(ALL) - {'probabilities', 'dirichlet_mean'})
)
every_relaxed = pytest.mark.parametrize('name', RELAXED)
every_noisy = pytest.mark.parametrize('name', NOISY)


def _probs(name, alphas, temperature, key):
  return relax.draw(ALL[name], alphas, temperature, key).probs


def _samples(name, alphas, temperature, n, seed=0):
  keys = jax.random.split(jax.random.key(seed), n)
  return jax.jit(jax.vmap(lambda k: _probs(name, alphas, temperature, k)))(keys)


# --- Contract ----------------------------------------------------------------


@every
@pytest.mark.parametrize('temperature', [0.1, 1.0, 10.0])
def test_probs_sum_to_1_and_keep_the_structure(name, temperature):
  probs = _probs(name, ALPHAS, temperature, jax.random.key(0))
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


@pytest.mark.parametrize('name', HARD)
def test_hard_ones_are_one_hot_to_the_bit(name):
  probs = _samples(name, ALPHAS, 0.3, 500)
  for p in probs.values():
    assert ((p == 0) | (p == 1)).all()


@warm
def test_when_cold_it_is_one_hot(name):
  cold = _samples(name, ALPHAS, 1e-6, 100)
  for p in cold.values():
    np.testing.assert_allclose(p.max(-1), 1, atol=1e-5)


@pytest.mark.parametrize('name', ['softmax', 'sparsemax'])
def test_without_noise_it_is_argmax_when_cold_and_uniform_when_hot(name):
  cold, hot = ALL[name](ALPHAS, 1e-3), ALL[name](ALPHAS, 1e6)
  np.testing.assert_allclose(cold['a'], [0, 1, 0], atol=1e-6)
  np.testing.assert_allclose(hot['a'], [1 / 3] * 3, atol=1e-5)


def test_when_hot_dirichlet_is_its_mean():
  hot = _samples('dirichlet', ALPHAS, 1e8, 20)['a']
  mean = jnp.broadcast_to(relax.dirichlet_mean(ALPHAS)['a'], hot.shape)
  np.testing.assert_allclose(hot, mean, atol=1e-3)


FAR = [[50, -50, 0], [-50, -50, -50], [-200, 200, 199], [50, 50, 49]]


@every
def test_far_out_values_and_gradients_are_finite(name):
  weights = jnp.array([1.0, -2.0, 3.0])

  def f(a, temperature, key):
    p = _probs(name, {'a': a}, temperature, key)['a']
    return weights @ p + (weights @ p) ** 2

  run = jax.value_and_grad(f)
  for axes in ((None, None, 0), (None, 0, None), (0, None, None)):
    run = jax.vmap(run, axes)
  keys = jax.random.split(jax.random.key(0), 200)
  both = jax.jit(run)(jnp.array(FAR, float), jnp.array([0.2, 1.0]), keys)
  assert all(jnp.isfinite(x).all() for x in both)


@every
def test_the_temperature_is_data(name):
  """One program for all temperatures, the same as with each as a number."""
  key, temperatures = jax.random.key(1), (0.3, 1.0, 4.0)
  run = jax.jit(jax.vmap(lambda t: ALL[name](ALPHAS, t, key)))
  together = run(jnp.array(temperatures))
  for i, t in enumerate(temperatures):
    own = jax.tree.map(lambda x, i=i: x[i], together)
    chex.assert_trees_all_close(own, ALL[name](ALPHAS, t, key), atol=1e-5)


@every_noisy
def test_the_key_decides(name):
  a, b = (_probs(name, ALPHAS, 1.0, jax.random.key(4)) for _ in range(2))
  chex.assert_trees_all_equal(a, b)
  samples = _samples(name, ALPHAS, 1.0, 50)['a']
  assert len(np.unique(samples, axis=0)) > 1


@every_noisy
def test_noise_of_a_slot_does_not_depend_on_the_others(name):
  alphas = {'a': ALPHAS['a']}
  both, alone = (_samples(name, x, 1.0, 50)['a'] for x in (ALPHAS, alphas))
  chex.assert_trees_all_equal(both, alone)


@every_noisy
def test_slots_are_drawn_independently(name):
  alphas = {'a': jnp.zeros(4), 'b': jnp.zeros(4)}
  p = _samples(name, alphas, 1.0, 4000)
  correlation = np.corrcoef(p['a'][:, 0], p['b'][:, 0])[0, 1]
  assert abs(correlation) < 5 / np.sqrt(4000)


@warm
@pytest.mark.parametrize('temperature', [0, 0.0, -1.0, float('nan')])
def test_a_number_that_is_no_temperature_is_refused(name, temperature):
  with pytest.raises(ValueError, match='requires a positive temperature, got'):
    ALL[name](ALPHAS, temperature, jax.random.key(0))


def test_two_gates_need_two_ops():
  with pytest.raises(ValueError, match="two ops or more in slot 'only'"):
    relax.binary_gates({'only': jnp.zeros(1)}, 1.0, jax.random.key(0))


# --- Distribution
# ---------------------------------------------------------------------


@pytest.mark.parametrize('temperature', [0.5, 2.0])
@pytest.mark.parametrize(
  'name', ['straight_through', 'reinmax', 'gdas', 'one_path', 'dirichlet']
)
def test_the_mean_of_the_samples_is_the_law(name, temperature):
  """Within 5 standard errors over 20,000 draws."""
  n = 20_000
  samples = _samples(name, ALPHAS, temperature, n, seed=1)
  relaxed = RELAXED['binary_gates' if name == 'one_path' else name]
  distribution = relaxed.distribution(ALPHAS, temperature, None)
  for slot in ('a', 'b'):
    error = samples[slot].std(0) / jnp.sqrt(n)
    assert (
      jnp.abs(samples[slot].mean(0) - distribution[slot]) < 5 * error
    ).all()


@pytest.mark.parametrize('temperature', [0.05, 2.0])
def test_argmax_of_gumbel_softmax_has_the_law_softmax(temperature):
  """Binomial bound of 5 standard deviations over 20,000 draws."""
  n = 20_000
  drawn = _samples('gumbel_softmax', ALPHAS, temperature, n)['a'].argmax(-1)
  distribution = relax.GUMBEL_SOFTMAX.distribution(ALPHAS, temperature, None)[
    'a'
  ]
  share = jnp.bincount(drawn, length=3) / n
  bound = 5 * jnp.sqrt(distribution * (1 - distribution) / n)
  assert (jnp.abs(share - distribution) < bound).all(), (share, distribution)


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


# --- Sparsemax, by its definition --------------------------------------------


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


# --- What the gradients estimate ---------------------------------------------
#
# The loss is a sum of products `u(p_a) v(p_b)`, linear, quadratic or of any
# shape in each slot. Slots being drawn independently, the mean gradient in the
# alphas of slot a is the sum of `gradient[u] * value[v]`; so the expectations
# below are those of one slot.

TEMPERATURE = 0.7
TINY = {'a': np.array([0.4, -0.3, 0.8]), 'b': np.array([-0.5, 0.6, 0.1])}


def _linear(*c):
  return lambda p: (jnp.array(c) * p).sum()


def _quadratic(*c):
  q = jnp.array([[1.0, 0.5, -2.0], [0.5, -1.0, 0.3], [-2.0, 0.3, 2.0]])
  return lambda p: p @ q @ p + (jnp.array(c) * p).sum()


def _wave(*c):
  return lambda p: jnp.sin((jnp.array(c) * p).sum()) + jnp.exp(p[0] - p[2])


LOSSES = {
  'linear': [(_linear(1, -2, 3), _linear(2, 1, -1))],
  'quadratic': [
    (_quadratic(1, -2, 3), _linear(2, 1, -1)),
    (_linear(0, 1, 2), _quadratic(-1, 0, 1)),
  ],
  'any': [
    (_wave(2, -1, 0.5), _wave(1, 3, -1)),
    (_linear(1, 0, 2), _quadratic(1, 2, 3)),
  ],
}


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


def _loss_of(loss, probs):
  return sum(u(probs['a']) * v(probs['b']) for u, v in loss)


def _estimate(name, loss, n, temperature=TEMPERATURE):
  """Mean and standard error of an estimator's gradient."""

  def value(alphas, key):
    probs, index = relax.draw(ALL[name], alphas, temperature, key)
    if index is not None:
      # As in the network: what did not run has no gradient.
      ran = {k: jax.nn.one_hot(i, 3).sum(-2) for k, i in index.items()}
      probs = {k: p * ran[k] for k, p in probs.items()}
    return _loss_of(loss, probs)

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


@pytest.mark.parametrize('name', ['softmax', 'sparsemax'])
def test_the_gradient_of_a_mixture_is_exact_for_a_linear_loss(x64, name):
  """And for any, that of finite differences of the loss at the distribution."""
  alphas, h = jax.tree.map(jnp.array, TINY), 1e-6
  at = lambda a, loss: _loss_of(loss, ALL[name](a, TEMPERATURE))  # noqa: E731

  def over_all(a):
    distribution = RELAXED[name].distribution(a, TEMPERATURE, None)
    return sum(
      distribution['a'][i]
      * distribution['b'][j]
      * _loss_of(LOSSES['linear'], {'a': x, 'b': y})
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
  slopes = jax.grad(lambda p: _loss_of(LOSSES[loss], p))(distribution)
  wanted = {slot: jacobian[slot] @ slopes[slot] for slot in distribution}
  found = jax.grad(lambda a: _loss_of(LOSSES[loss], ALL[name](a, TEMPERATURE)))(
    jax.tree.map(jnp.array, TINY)
  )
  chex.assert_trees_all_close(found, wanted, rtol=1e-9, atol=1e-12)
  # The gradient of the expectation, where one op at a time is chosen.
  drawn = {
    'a': jnp.array(
      [
        sum(
          distribution['b'][j] * _loss_of(LOSSES[loss], {'a': x, 'b': y})
          for j, y in enumerate(jnp.eye(3))
        )
        for x in jnp.eye(3)
      ]
    )
  }
  gap = np.abs(jacobian['a'] @ drawn['a'] - wanted['a']).max()
  assert (gap < 1e-12) == (loss == 'linear')


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

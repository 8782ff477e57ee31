"""Relaxations, and alphas to relax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import relax

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


# Those that depend on the temperature.
warm = pytest.mark.parametrize(
  'name', sorted(set(ALL) - {'probabilities', 'dirichlet_mean'})
)


def relaxed_probs(name, alphas, temperature, key):
  return relax.draw(ALL[name], alphas, temperature, key).probs


def relaxed_samples(name, alphas, temperature, n, seed=0):
  keys = jax.random.split(jax.random.key(seed), n)
  return jax.jit(
    jax.vmap(lambda k: relaxed_probs(name, alphas, temperature, k))
  )(keys)


#
# The loss is a sum of products `u(p_a) v(p_b)`, linear, quadratic or of any
# shape in each slot. Slots being drawn independently, the mean gradient in the
# alphas of slot a is the sum of `gradient[u] * value[v]`; so the expectations
# below are those of one slot.
TEMPERATURE = 0.7
TINY = {'a': np.array([0.4, -0.3, 0.8]), 'b': np.array([-0.5, 0.6, 0.1])}


def make_linear(*c):
  return lambda p: (jnp.array(c) * p).sum()


def quadratic(*c):
  q = jnp.array([[1.0, 0.5, -2.0], [0.5, -1.0, 0.3], [-2.0, 0.3, 2.0]])
  return lambda p: p @ q @ p + (jnp.array(c) * p).sum()


def wave(*c):
  return lambda p: jnp.sin((jnp.array(c) * p).sum()) + jnp.exp(p[0] - p[2])


LOSSES = {
  'linear': [(make_linear(1, -2, 3), make_linear(2, 1, -1))],
  'quadratic': [
    (quadratic(1, -2, 3), make_linear(2, 1, -1)),
    (make_linear(0, 1, 2), quadratic(-1, 0, 1)),
  ],
  'any': [
    (wave(2, -1, 0.5), wave(1, 3, -1)),
    (make_linear(1, 0, 2), quadratic(1, 2, 3)),
  ],
}


def loss_of(loss, probs):
  return sum(u(probs['a']) * v(probs['b']) for u, v in loss)

"""Entropy of the choices, and a term of the alphas' loss."""

import functools
import operator

import jax
import jax.numpy as jnp

from nasjax.space import Alphas


def entropy(probs: Alphas) -> dict[str, jax.Array]:
  """`-sum_j p_j log p_j` of every choice, in nats.

  From 0, where one option has all probability, to `log(options)`, where all
  have the same.

  Args:
    probs: choice to `f32[..., options]`.

  Returns:
    Choice to `f32[...]`. The gradient is finite where a probability is 0.

  Example:
    >>> found = entropy({'a': jnp.array([[0.5, 0.5], [0.9, 0.1]])})
    >>> [round(h, 4) for h in found['a'].tolist()]
    [0.6931, 0.3251]
  """
  return {name: _entropy(p) for name, p in probs.items()}


def _entropy(p: jax.Array) -> jax.Array:
  return -(p * jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny))).sum(-1)


def total_entropy(probs: Alphas) -> jax.Array:
  """The sum over all choices, `f32[]`: that of the whole architecture.

  Times a positive weight in the alphas' loss it pushes every choice towards one
  option, so that deriving changes little (Tian et al. 2020, Discretization-
  aware architecture search, who let the weight grow over the search); times a
  negative one it keeps them open, as controllers that are trained by policy
  gradient are kept exploring (Williams and Peng 1991).

  Example:
    >>> decided = jax.grad(lambda a: total_entropy({'a': jax.nn.softmax(a)}))
    >>> (decided(jnp.array([1.0, 0.0])) < 0).tolist()  # Descent widens the gap.
    [True, False]
  """
  each = [h.sum() for h in entropy(probs).values()]
  return functools.reduce(operator.add, each, jnp.float32(0))

"""The largest eigenvalue of the validation loss's Hessian in the alphas."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from nasjax.space import Alphas


def largest_eigenvalue(
  loss: Callable[[Alphas], jax.Array],
  alphas: Alphas,
  key: jax.Array,
  iterations: int = 20,
) -> jax.Array:
  """The largest eigenvalue of the loss's Hessian.

  Where it is large, deriving, which is a long step in alphas, raises the loss
  by much; it grows while a search collapses (Zela et al. 2020, R-DARTS, section
  4, who call it dominant and compute the whole Hessian). Here it is found by
  power iteration, with products H v by differentiating the gradient along v:
  first with H, for the magnitude r of its eigenvalues, then with H + r, none of
  whose eigenvalues is negative, so that a large negative one does not win.

  Args:
    loss: alphas to `f32[]`.
    alphas: the point of the Hessian.
    key: PRNG key of the first direction, consumed.
    iterations: products in each of the two rounds, each as expensive as a
      gradient, about.

  Returns:
    `f32[]`, with its sign: `v^T H v` of the last direction v, so never above
    the eigenvalue, and behind it by a share of r that falls with the
    iterations. In logits the eigenvalue is not below 0: the loss does not
    change where all options of a choice are raised alike.

  Example:
    >>> alphas = {'a': jnp.array([1.0, 2.0]), 'b': jnp.array([0.5])}
    >>> bent = lambda t: t['a'] @ t['a'] / 2 - 3 * (t['b'] ** 2).sum()
    >>> print(f'{largest_eigenvalue(bent, alphas, jax.random.key(0)):.4f}')
    1.0000
  """
  flat, restore = ravel_pytree(alphas)
  slope = jax.grad(lambda flat: loss(restore(flat)))
  # The network's own part of each product is computed once for all of them.
  _, product = jax.linearize(slope, flat)

  def iterate(shift, v):
    def once(_, v):
      return _unit(product(v) + shift * v)

    return jax.lax.fori_loop(0, iterations, once, _unit(v))

  start = _unit(jax.random.normal(key, flat.shape, flat.dtype))
  v = iterate(0.0, start)
  # The length, unlike v^T H v, is right between eigenvalues 1 and -1, too.
  radius = _length(product(v))
  v = iterate(radius, v + start)
  return v @ product(v)


def _length(v: jax.Array) -> jax.Array:
  return jnp.sqrt((v * v).sum())


def _unit(v: jax.Array) -> jax.Array:
  length = _length(v)
  return v / jnp.where(length > 0, length, 1)

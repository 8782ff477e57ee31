"""How sharply the validation loss curves in the alphas."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from nasjax.space import Alphas


def dominant_eigenvalue(
  loss: Callable[[Alphas], jax.Array],
  alphas: Alphas,
  key: jax.Array,
  iterations: int = 20,
) -> jax.Array:
  """The eigenvalue of the loss's Hessian that is largest in magnitude.

  Where it is large, deriving, which is a long step in alphas, changes the loss
  a lot; it grows while a search collapses (Zela et al. 2020, R-DARTS, section
  4). They compute the whole Hessian; this is power iteration with products
  `H v`, the derivative of the gradient along v.

  Args:
    loss: alphas to `f32[]`.
    alphas: where.
    key: PRNG key of the first direction, consumed.
    iterations: products with the Hessian, each about as dear as a gradient.

  Returns:
    `f32[]`, with its sign: `v^T H v` of the last direction. It is never larger
    in magnitude than the eigenvalue, and arrives as fast as the others' share
    of it falls: `(second / first)^(2 iterations)`. Between two of nearly the
    same magnitude and different sign it is not settled.

  Example:
    >>> alphas = {'a': jnp.array([1.0, 2.0]), 'b': jnp.array([0.5])}
    >>> bent = lambda t: t['a'] @ t['a'] / 2 - 3 * (t['b'] ** 2).sum()
    >>> print(f'{dominant_eigenvalue(bent, alphas, jax.random.key(0)):.4f}')
    -6.0000
  """
  flat, restore = ravel_pytree(alphas)
  slope = jax.grad(lambda flat: loss(restore(flat)))
  # The network's own part of each product is computed once for all of them.
  _, product = jax.linearize(slope, flat)

  def unit(v):
    length = jnp.sqrt((v * v).sum())
    return v / jnp.where(length > 0, length, 1)

  start = unit(jax.random.normal(key, flat.shape, flat.dtype))
  v = jax.lax.fori_loop(0, iterations, lambda _, v: unit(product(v)), start)
  return v @ product(v)

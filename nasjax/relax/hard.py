"""Hard forward, soft backward: probs are one-hot, but all ops have to run."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax.relax.base import (
  Relaxed,
  Tree,
  fold,
  gumbel,
  heated,
  one_hot,
  slope,
)
from nasjax.relax.soft import softmax


def straight_through(
  alphas: Tree, temperature: ArrayLike, key: jax.Array
) -> dict[str, jax.Array]:
  """A one-hot sample `D` of `p = softmax(alphas / temperature)`.

  Forward `D`, backward `p`: `D + p - stop_gradient(p)` (Bengio et al. 2013; as
  algorithm 1 of Liu et al. 2023).

  The mean of its gradient is that of `E f(one-hot)` to first order: each
  difference `f(i) - f(j)` is replaced by `grad f(j) . (i - j)`, one slot at a
  time. So it is unbiased where `f` is linear in the probs of each slot;
  otherwise its bias comes from the terms of `f` beyond first order.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive; also that of the distribution, so that the bias above
      is the same at every temperature.
    key: PRNG key, consumed.

  Returns:
    Choice to `f32[..., options]`, one-hot on the last axis. All ops have to
    run: the gradient needs the output of each.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> alphas = {'slot': jnp.zeros(2)}
    >>> f = lambda a: straight_through(a, 1.0, jax.random.key(1))['slot']
    >>> f(alphas).tolist()
    [1.0, 0.0]
    >>> jax.grad(lambda a: f(a)[0])(alphas)['slot'].tolist()
    [0.25, -0.25]
  """

  def each(name, z):
    drawn, p = _draw(z, fold(key, name))
    return drawn + slope(p, z)

  return {n: each(n, z) for n, z in heated(alphas, temperature).items()}


def reinmax(
  alphas: Tree, temperature: ArrayLike, key: jax.Array
) -> dict[str, jax.Array]:
  """A one-hot sample `D` of `p = softmax(z)`, `z = alphas / temperature`.

  Forward `D`, backward twice the derivative of softmax at `(D + p) / 2` minus
  half the derivative at `p` (Liu et al. 2023, ReinMax, algorithm 2, with its
  own temperature at 1, for which it is second order).

  The mean of its gradient is that of `E f(one-hot)` to second order: each
  difference `f(i) - f(j)` is replaced by
  `(grad f(i) + grad f(j)) / 2 . (i - j)` (Heun's method), one slot at a time.
  So it is unbiased where `f` is quadratic in the probs of each slot; otherwise
  its bias comes from the terms of `f` beyond second order.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive; also that of the distribution, so that the bias above
      is the same at every temperature.
    key: PRNG key, consumed.

  Returns:
    Choice to `f32[..., options]`, one-hot on the last axis. All ops have to
    run: the gradient needs the output of each.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> alphas = {'slot': jnp.zeros(2)}
    >>> f = lambda a: reinmax(a, 1.0, jax.random.key(1))['slot']
    >>> f(alphas).tolist()
    [1.0, 0.0]
    >>> jax.grad(lambda a: f(a)[0])(alphas)['slot'].tolist()
    [0.25, -0.25]
  """

  def each(name, z):
    drawn, p = _draw(z, fold(key, name))
    return drawn + 2 * slope((drawn + p) / 2, z) - slope(p, z) / 2

  return {n: each(n, z) for n, z in heated(alphas, temperature).items()}


def _draw(z: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
  """A one-hot sample of `softmax(z)`, and `softmax(z)`."""
  return one_hot(jnp.argmax(z + gumbel(key, z), -1), z), jax.nn.softmax(z)


STRAIGHT_THROUGH = Relaxed(straight_through, softmax)
REINMAX = Relaxed(reinmax, softmax)

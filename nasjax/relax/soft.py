"""Softmax, with and without noise: all ops run and are mixed."""

import jax
from jax.typing import ArrayLike

from nasjax.relax.base import Relaxed, Tree, fold, gumbel, heated


def softmax(
  alphas: Tree, temperature: ArrayLike = 1.0, key: jax.Array | None = None
) -> dict[str, jax.Array]:
  """`softmax(alphas / temperature)` (Liu et al. 2019, DARTS, eq. 2).

  Its gradient is that of the loss of the mixture, `f(distribution)`, without
  noise. As an estimate for `E f(one-hot)` it is exact where `f` is linear in
  the probs of each slot; its bias is the gradient of `f(distribution) - E
  f(one-hot)`.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive.
    key: not used.

  Returns:
    Choice to `f32[..., options]`, summing to 1 on the last axis.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> import jax.numpy as jnp
    >>> probs = softmax({'slot': jnp.array([0.0, jnp.log(3.0)])})
    >>> [round(float(p), 4) for p in probs['slot']]
    [0.25, 0.75]
  """
  del key
  hot = heated(alphas, temperature)
  return {name: jax.nn.softmax(a) for name, a in hot.items()}


def probabilities(
  alphas: Tree, temperature: ArrayLike = 1.0, key: jax.Array | None = None
) -> dict[str, jax.Array]:
  """`softmax(alphas)`, the distribution of the samples at any temperature.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: ignored.
    key: ignored.

  Returns:
    Choice to `f32[..., options]`, summing to 1 on the last axis.

  Example:
    >>> import jax.numpy as jnp
    >>> probabilities({'slot': jnp.zeros(2)}, 0.1)['slot'].tolist()
    [0.5, 0.5]
  """
  del temperature, key
  return softmax(alphas)


def gumbel_softmax(
  alphas: Tree, temperature: ArrayLike, key: jax.Array
) -> dict[str, jax.Array]:
  """`softmax((alphas + Gumbel noise) / temperature)`.

  Jang et al. 2017, eq. 2, and Maddison et al. 2017; for architectures SNAS
  (Xie et al. 2019) and FBNet (Wu et al. 2019). Its argmax is distributed as
  `softmax(alphas)` at every temperature.

  Its gradient is that of the sample along its path: unbiased for `E f(y)` with
  `y` the relaxed sample. As an estimate for `E f(one-hot)` it is biased, by
  the gradient of `E f(y) - E f(one-hot)`; the bias goes to 0 with the
  temperature, while the variance grows.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive.
    key: PRNG key, consumed.

  Returns:
    Choice to `f32[..., options]`, summing to 1 on the last axis.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> import jax.numpy as jnp
    >>> alphas = {'slot': jnp.array([0.0, 1.0, -1.0])}
    >>> probs = gumbel_softmax(alphas, 0.5, jax.random.key(0))['slot']
    >>> round(float(probs.sum()), 6), bool((probs > 0).all())
    (1.0, True)
  """
  noisy = {n: a + gumbel(fold(key, n), a) for n, a in alphas.items()}
  return softmax(noisy, temperature)


SOFTMAX = Relaxed(softmax, softmax)
GUMBEL_SOFTMAX = Relaxed(gumbel_softmax, probabilities)

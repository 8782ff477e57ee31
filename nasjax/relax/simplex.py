"""Sparsemax and Dirichlet: relaxations other than softmax."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax.relax.base import Relaxed, Tree, check_temperature, fold, heated

# Less than any probability that float32 tells from 0 next to 1.
_LEAST = 1e-12
# Of a concentration. Below about 1e-38 float32 ends, and with it the sampler.
_THINNEST = 1e-20


def sparsemax(
  alphas: Tree, temperature: ArrayLike = 1.0, key: jax.Array | None = None
) -> dict[str, jax.Array]:
  """The point of the simplex that is closest to `alphas / temperature`.

  Martins and Astudillo 2016, alg. 1: `max(z - t, 0)` with the threshold `t` at
  which it sums to 1. Its Jacobian (their eq. 11) is `diag(s) - s s' / |s|`, `s`
  being 1 where the result is positive. So an op that has fallen out gets no
  gradient until the others come down to it.

  Its gradient is that of the loss of the mixture, `f(distribution)`, without
  noise, with the same bias as `softmax` has.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive; at `max - second largest` of the alphas and below,
      the result is one-hot.
    key: not used.

  Returns:
    Choice to `f32[..., options]`, summing to 1 on the last axis, with exact
    zeros.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> sparsemax({'slot': jnp.array([1.0, 0.5, -1.0])})['slot'].tolist()
    [0.75, 0.25, 0.0]
  """
  del key

  def each(z):
    above, support = _above(z)
    # Not by its sign: right on the threshold the derivative would be halved.
    return jnp.where(support, above, 0)

  return {name: each(z) for name, z in heated(alphas, temperature).items()}


def _above(z: jax.Array) -> tuple[jax.Array, jax.Array]:
  """`z - t`, with the threshold t of `sparsemax`, and where it is positive."""
  # Near 0, where floats are dense; the result does not depend on it.
  z = z - jax.lax.stop_gradient(z.max(-1, keepdims=True))
  order = jnp.argsort(-jax.lax.stop_gradient(z), axis=-1)
  falling = jnp.take_along_axis(jax.lax.stop_gradient(z), order, -1)
  size = jax.lax.broadcasted_iota(z.dtype, z.shape, z.ndim - 1) + 1
  # Those that stay above the threshold which they themselves define. Told by
  # their rank: a compiler may compute a value twice, and not to the same bit.
  stays = 1 + size * falling > jnp.cumsum(falling, -1)
  support = jnp.take_along_axis(stays, jnp.argsort(order, axis=-1), -1)
  # From the support alone, so that its derivative is the paper's Jacobian.
  total = jnp.where(support, z, 0).sum(-1, keepdims=True)
  return z - (total - 1) / support.sum(-1, keepdims=True), support


def _sparsemax_logits(
  alphas: Tree, temperature: ArrayLike
) -> dict[str, jax.Array]:
  """Logarithms of the distribution, going on downwards where it is 0."""

  def each(z):
    above, _ = _above(z)
    return jnp.log(jnp.maximum(above, _LEAST)) + jnp.minimum(above, 0)

  return {name: each(z) for name, z in heated(alphas, temperature).items()}


def dirichlet(
  alphas: Tree, temperature: ArrayLike, key: jax.Array
) -> dict[str, jax.Array]:
  """A sample of `Dirichlet(temperature * beta)`, `beta = elu(alphas) + 1`.

  Chen et al. 2021, DrNAS, section 2.2, where the temperature is 1. Its mean,
  `beta / sum(beta)`, does not depend on the temperature; when cold, samples lie
  in the corners of the simplex, when hot at their mean.

  Its gradient is that of the sample along its path (implicit differentiation,
  Figurnov et al. 2018): unbiased for `E f(y)`, `y` the sample. As an estimate
  for `E f(one-hot)` it is exact where `f` is linear in the probs of each slot;
  else its bias is the gradient of `E f(y) - E f(one-hot)`.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: positive.
    key: PRNG key, consumed.

  Returns:
    Choice to `f32[..., options]`, summing to 1 on the last axis.

  Raises:
    ValueError: the temperature is known, and not positive.

  Example:
    >>> alphas = {'slot': jnp.array([0.0, 1.0, -1.0])}
    >>> probs = dirichlet(alphas, 1.0, jax.random.key(0))['slot']
    >>> round(float(probs.sum()), 6), bool((probs > 0).all())
    (1.0, True)
  """
  check_temperature(temperature)
  found = {}
  for name, log_beta in _dirichlet_logits(alphas).items():
    thick = jnp.maximum(jnp.exp(log_beta) * temperature, _THINNEST)
    found[name] = jax.random.dirichlet(
      fold(key, name), thick, dtype=thick.dtype
    )
  return found


def dirichlet_mean(
  alphas: Tree, temperature: ArrayLike = 1.0, key: jax.Array | None = None
) -> dict[str, jax.Array]:
  """`beta / sum(beta)`, `beta = elu(alphas) + 1`: the mean of `dirichlet`.

  The probability of an op, if it is drawn with a sample's probs; ordered as the
  alphas.

  Args:
    alphas: choice to `f32[..., options]`.
    temperature: not used.
    key: not used.

  Returns:
    Choice to `f32[..., options]`, summing to 1 on the last axis.

  Example:
    >>> mean = dirichlet_mean({'slot': jnp.array([0.0, 2.0])})['slot']
    >>> mean.round(4).tolist()
    [0.25, 0.75]
  """
  del temperature, key
  return {n: jax.nn.softmax(b) for n, b in _dirichlet_logits(alphas).items()}


def _dirichlet_logits(
  alphas: Tree, temperature: ArrayLike = 1.0
) -> dict[str, jax.Array]:
  """`log(elu(alphas) + 1)`, without the sum that would round it to 0."""
  del temperature

  def each(a):
    return jnp.where(a > 0, jnp.log1p(jnp.maximum(a, 0)), jnp.minimum(a, 0))

  return {name: each(a) for name, a in alphas.items()}


SPARSEMAX = Relaxed(sparsemax, sparsemax, logits=_sparsemax_logits)
DIRICHLET = Relaxed(dirichlet, dirichlet_mean, logits=_dirichlet_logits)

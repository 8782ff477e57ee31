"""From alphas to probs: how a discrete choice is made differentiable.

A relaxation is a function `(alphas, temperature, key) -> probs`. Alphas and
probs are dicts from slot to `f32[..., ops]`; the last axis is the choice, and
probs sum to 1 along it. Lower temperatures are closer to one-hot.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import jax
from jax.typing import ArrayLike

Tree = Mapping[str, jax.Array]


class Relaxation(Protocol):
  """Alphas to probs; `key` is consumed, and None where nothing is drawn."""

  def __call__(
    self, alphas: Tree, temperature: ArrayLike, key: jax.Array | None
  ) -> dict[str, jax.Array]: ...


class Relaxed(NamedTuple):
  """A relaxation with the distribution that it stands for.

  Attributes:
    probs: what the network mixes its ops with.
    law: the probabilities of choosing each op, which costs take. Apart from
      `probs` because a sample is not its distribution: with the law the
      expected cost is exact whatever was drawn.
  """

  probs: Relaxation
  law: Relaxation


def softmax(
  alphas: Tree, temperature: ArrayLike = 1.0, key: jax.Array | None = None
) -> dict[str, jax.Array]:
  """`softmax(alphas / temperature)` (Liu et al. 2019, DARTS, eq. 2).

  Args:
    alphas: slot to `f32[..., ops]`.
    temperature: positive.
    key: not used.

  Returns:
    Slot to `f32[..., ops]`, summing to 1 on the last axis.

  Example:
    >>> import jax.numpy as jnp
    >>> probs = softmax({'slot': jnp.array([0.0, jnp.log(3.0)])})
    >>> [round(float(p), 4) for p in probs['slot']]
    [0.25, 0.75]
  """
  del key
  return {k: jax.nn.softmax(a / temperature) for k, a in alphas.items()}


def probabilities(
  alphas: Tree, temperature: ArrayLike = 1.0, key: jax.Array | None = None
) -> dict[str, jax.Array]:
  """`softmax(alphas)`, the law of the samples at any temperature."""
  del temperature, key
  return softmax(alphas)


def gumbel_softmax(
  alphas: Tree, temperature: ArrayLike, key: jax.Array
) -> dict[str, jax.Array]:
  """`softmax((alphas + Gumbel noise) / temperature)`.

  Jang et al. 2017, eq. 2, and Maddison et al. 2017; for architectures SNAS
  (Xie et al. 2019) and FBNet (Wu et al. 2019). Its argmax is distributed as
  `softmax(alphas)` at every temperature.

  Args:
    alphas: slot to `f32[..., ops]`.
    temperature: positive.
    key: PRNG key, consumed.

  Returns:
    Slot to `f32[..., ops]`, summing to 1 on the last axis.
  """
  noisy = {
    # By name, not by place: a slot's noise does not depend on the others.
    name: a + jax.random.gumbel(_fold(key, name), a.shape, a.dtype)
    for name, a in alphas.items()
  }
  return softmax(noisy, temperature)


def _fold(key: jax.Array, name: str) -> jax.Array:
  # `hash` of a str differs between processes; this does not.
  return jax.random.fold_in(key, int.from_bytes(name.encode()) % (2**31 - 1))


SOFTMAX = Relaxed(softmax, softmax)
GUMBEL_SOFTMAX = Relaxed(gumbel_softmax, probabilities)

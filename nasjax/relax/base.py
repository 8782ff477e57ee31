"""The contract of a relaxation, and helpers for writing one."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nasjax.space import Choice

Tree = Mapping[str, jax.Array]


class Sampled(NamedTuple):
  """Probs that are 0 except at a few ops; only these need to run.

  Attributes:
    probs: choice to `f32[..., options]`, summing to 1 on the last axis.
    index: slot to `i32[..., m]`, the ops that run, all different; None if all
      run. Gradients in the probs of other ops are not used.

  Example:
    >>> from nasjax import relax
    >>> alphas = {'slot': jnp.array([0.0, 99.0])}
    >>> probs, index = relax.GDAS.probs(alphas, 1.0, jax.random.key(0))
    >>> probs['slot'].tolist(), index['slot'].tolist()
    ([0.0, 1.0], [1])
  """

  probs: dict[str, jax.Array]
  index: dict[str, jax.Array] | None


class Relaxation(Protocol):
  """Alphas to probs; `key` is consumed.

  Example:
    >>> from nasjax import relax
    >>> relaxation = relax.softmax
    >>> alphas = {'slot': jnp.zeros(2)}
    >>> relaxation(alphas, 1.0, jax.random.key(0))['slot'].tolist()
    [0.5, 0.5]
  """

  def __call__(
    self, alphas: Tree, temperature: ArrayLike, key: jax.Array
  ) -> dict[str, jax.Array] | Sampled: ...


class Distribution(Protocol):
  """Alphas to probabilities; deterministic, `key` is ignored."""

  def __call__(
    self,
    alphas: Tree,
    temperature: ArrayLike,
    key: jax.Array | None = None,
  ) -> dict[str, jax.Array]: ...


class Relaxed(NamedTuple):
  """A relaxation with its distribution.

  Attributes:
    probs: the relaxation in alpha steps; the network mixes its ops by these
      probs.
    distribution: the probability of choosing each op, the argument of costs. It
      differs from `probs` where `probs` is a sample, so that the expected cost
      is exact for every sample. It is called without a key or with key None,
      and returns a dict.
    weight_probs: the relaxation in weight steps; None is `probs`. With the
      first-order hypergradient it needs no gradient, so it may run fewer ops.
    logits: `(alphas, temperature) -> logits` of the distribution, see `logits`;
      None if the distribution is `softmax(alphas / temperature)` or
      `softmax(alphas)`.

  Example:
    >>> from nasjax import relax
    >>> alphas = {'slot': jnp.zeros(2)}
    >>> relax.GDAS.distribution(alphas, 1.0)['slot'].tolist()
    [0.5, 0.5]
    >>> sample = relax.GDAS.probs(alphas, 1.0, jax.random.key(0))
    >>> sorted(sample.probs['slot'].tolist())
    [0.0, 1.0]
  """

  probs: Relaxation
  distribution: Distribution
  weight_probs: Relaxation | None = None
  logits: Callable[[Tree, ArrayLike], dict[str, jax.Array]] | None = None


def draw(
  relaxation: Relaxation,
  alphas: Tree,
  temperature: ArrayLike,
  key: jax.Array,
) -> Sampled:
  """Calls a relaxation; returns its probs and its index or None.

  Args:
    relaxation: what to call.
    alphas: choice to `f32[..., options]`.
    temperature: positive.
    key: PRNG key, consumed.

  Returns:
    Its probs, and its index or None.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax import relax
    >>> alphas = {'slot': jnp.zeros(2)}
    >>> probs, index = draw(relax.softmax, alphas, 1.0, jax.random.key(0))
    >>> probs['slot'].tolist(), index
    ([0.5, 0.5], None)
  """
  found = relaxation(alphas, temperature, key)
  return found if isinstance(found, Sampled) else Sampled(found, None)


def is_sampled(relaxed: Relaxed, choices: Mapping[str, Choice]) -> bool:
  """Whether a relaxation samples which ops run; nothing is computed.

  Args:
    relaxed: a relaxation with its distribution.
    choices: name to choice, as in a space.

  Returns:
    True if `relaxed.probs` returns an index.

  Example:
    >>> from nasjax import relax
    >>> from nasjax.space import Choice
    >>> slots = {'slot': Choice(('mbconv_k3_e3', 'skip'))}
    >>> [is_sampled(r, slots) for r in (relax.SOFTMAX, relax.GDAS)]
    [False, True]
  """
  alphas = {
    name: jax.ShapeDtypeStruct((*choice.shape, len(choice)), jnp.float32)
    for name, choice in choices.items()
  }
  key = jax.eval_shape(jax.random.key, 0)
  one = functools.partial(draw, relaxed.probs, temperature=1.0)
  found = jax.eval_shape(lambda a, k: one(alphas=a, key=k), alphas, key)
  return found.index is not None


def logits(
  relaxed: Relaxed, alphas: Tree, temperature: ArrayLike = 1.0
) -> dict[str, jax.Array]:
  """Logits of the distribution; `nasjax.derive` takes them as alphas.

  Where the distribution is a softmax of the alphas, the alphas are returned
  unchanged: a temperature does not change which architecture is the most
  probable. The logits are finite, and ordered as the alphas, even where the
  distribution is 0.

  Args:
    relaxed: a relaxation with its distribution.
    alphas: choice to `f32[..., options]`.
    temperature: positive.

  Returns:
    Choice to `f32[..., options]`.

  Raises:
    ValueError: `relaxed.logits` divides by the temperature, which is known and
      not positive.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax import relax
    >>> found = logits(relax.DIRICHLET, {'slot': jnp.array([0.0, 2.0])})
    >>> jax.nn.softmax(found['slot']).round(4).tolist()  # 1 to 3
    [0.25, 0.75]
  """
  if relaxed.logits is None:
    return dict(alphas)
  return relaxed.logits(alphas, temperature)


def heated(alphas: Tree, temperature: ArrayLike) -> dict[str, jax.Array]:
  """`alphas / temperature`.

  Raises:
    ValueError: the temperature has axes, or is known and not positive.
  """
  check_temperature(temperature)
  return {name: a / temperature for name, a in alphas.items()}


def check_temperature(temperature: ArrayLike) -> None:
  """Raises ValueError unless a temperature is one positive float32."""
  if np.ndim(temperature):
    raise ValueError(
      'a relaxation requires one temperature, got an array of shape '
      f'{np.shape(temperature)}.'
    )
  if isinstance(temperature, jax.core.Tracer):
    return  # Nothing can be said of its value.
  if not np.asarray(temperature, np.float32) > 0:
    raise ValueError(
      f'a relaxation requires a positive temperature, got {temperature}.'
    )


def fold(key: jax.Array, name: str) -> jax.Array:
  """The key of a slot, from its name: other slots do not change it."""
  # `hash` of a str differs between processes; this does not.
  return jax.random.fold_in(key, int.from_bytes(name.encode()) % (2**31 - 1))


def gumbel(key: jax.Array, like: jax.Array) -> jax.Array:
  """Gumbel noise; `argmax(logits + noise)` is drawn from `softmax(logits)`."""
  return jax.random.gumbel(key, like.shape, like.dtype)


def slope(probs: jax.Array, logits: jax.Array) -> jax.Array:
  """Zeros with the derivative of softmax at `probs`.

  Added to a one-hot sample it makes an estimator whose value stays exactly
  one-hot; `1 + p - stop_gradient(p)` rounds.

  Args:
    probs: `f32[..., ops]`, taken as constants.
    logits: `f32[..., ops]`, of which only the derivative is used.

  Returns:
    `f32[..., ops]` zeros; their derivative is `probs * (d - sum(probs * d))`.

  Raises:
    AssertionError: the two differ in shape.

  Example:
    >>> import jax.numpy as jnp
    >>> p = jnp.array([0.25, 0.75])
    >>> jax.grad(lambda a: slope(p, a)[1])(jnp.zeros(2)).tolist()
    [-0.1875, 0.1875]
  """
  chex.assert_equal_shape([probs, logits])
  p = jax.lax.stop_gradient(probs)
  d = logits - jax.lax.stop_gradient(logits)
  return p * (d - (p * d).sum(-1, keepdims=True))


def one_hot(index: jax.Array, like: jax.Array) -> jax.Array:
  """`[..., ops]`, 1 at the index and 0 elsewhere, of `like`'s dtype."""
  return jax.nn.one_hot(index, like.shape[-1], dtype=like.dtype)

"""Skips: which options they are, how many win, and how to drop them."""

import functools
import operator
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from nasjax.ops import per_channel
from nasjax.space import Alphas, Choice


def skips(choices: Mapping[str, Choice]) -> dict[str, int]:
  """The index of the skip, for every name whose options have one.

  Example:
    >>> from nasjax import spaces
    >>> skips(spaces.tiny().choices)
    {'stage2_2': 2}
  """
  return {n: c.skip for n, c in choices.items() if c.skip is not None}


def count_skips(probs: Alphas, choices: Mapping[str, Choice]) -> jax.Array:
  """In how many choices the skip is the most probable option, `i32[]`.

  Args:
    probs: name to `f32[*shape, options]`: probabilities, or anything in the
      same order, such as alphas.
    choices: name to choice.

  Example:
    >>> choices = {'edge': Choice(('conv', 'skip'), shape=(2,), skip=1)}
    >>> probs = {'edge': jnp.array([[0.4, 0.6], [0.7, 0.3]])}
    >>> int(count_skips(probs, choices))
    1
  """
  each = [
    (probs[name].argmax(-1) == skip).sum(dtype=jnp.int32)
    for name, skip in skips(choices).items()
  ]
  return functools.reduce(operator.add, each, jnp.int32(0))


def drop_skips(
  probs: Alphas,
  choices: Mapping[str, Choice],
  rate: ArrayLike,
  key: jax.Array,
) -> Alphas:
  """Drops the path through each skip at random, so that other ops are trained.

  The probability of a skip becomes 0 with probability `rate`, and otherwise
  grows by `1 / (1 - rate)`, so that the mean of the mixture stays (dropout of
  Srivastava et al. 2014, on whole paths). P-DARTS (Chen et al. 2019, search
  space regularization) drops the outputs of skips, and lets the rate fall.

  A skip with all the probability of its choice, as in a one-hot sample, is
  kept: otherwise nothing would reach the rest of the network.

  Args:
    probs: name to `f32[*shape, options]`.
    choices: name to choice.
    rate: from 0 to less than 1.
    key: PRNG key, consumed.

  Returns:
    Probs for the network; those of a choice with a skip no longer sum to 1.

  Example:
    >>> from nasjax import spaces
    >>> probs = {'stage2_2': jnp.array([0.25, 0.25, 0.5])}
    >>> keys = jax.random.split(jax.random.key(0), 4)
    >>> choices = spaces.tiny().choices
    >>> for k in keys:
    ...   print(drop_skips(probs, choices, 0.5, k)['stage2_2'].tolist())
    [0.25, 0.25, 1.0]
    [0.25, 0.25, 0.0]
    [0.25, 0.25, 1.0]
    [0.25, 0.25, 0.0]
  """
  dropped = dict(probs)
  for i, (name, skip) in enumerate(skips(choices).items()):
    p = probs[name]
    is_skip = jnp.arange(p.shape[-1]) == skip
    is_skip = per_channel(is_skip, p)
    alone = jnp.where(is_skip, 0, p).sum(-1, keepdims=True) < 1e-6
    own = jax.random.fold_in(key, i)
    kept = jax.random.bernoulli(own, 1 - rate, alone.shape)
    scale = jnp.where(alone, 1, kept / (1 - rate)).astype(p.dtype)
    dropped[name] = jnp.where(is_skip, p * scale, p)
  return dropped

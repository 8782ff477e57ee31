"""Skips: which options they are, how many win, and how to cut them off."""

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nasjax.ops import Skip
from nasjax.space import Alphas, Space


def skips(space: Space) -> dict[str, np.ndarray]:
  """Which options are skips: `bool[options]` of every choice that has one.

  Example:
    >>> from nasjax import spaces
    >>> {name: mask.tolist() for name, mask in skips(spaces.tiny()).items()}
    {'stage2_2': [False, False, True]}
  """
  masks = {
    slot.name: np.array([isinstance(op, Skip) for op in slot.ops])
    for slot in space.slots
    if len(slot.ops) > 1
  }
  return {name: mask for name, mask in masks.items() if mask.any()}


def count_skips(probs: Alphas, space: Space) -> jax.Array:
  """In how many choices a skip is the most probable option, `i32[]`.

  Args:
    probs: choice to `f32[..., options]`, or anything of the same order.
    space: the search space.

  Example:
    >>> from nasjax import spaces
    >>> probs = {'stage2_2': jnp.array([0.3, 0.3, 0.4])}
    >>> int(count_skips(probs, spaces.tiny()))
    1
  """
  each = [
    jnp.asarray(mask)[probs[name].argmax(-1)].sum(dtype=jnp.int32)
    for name, mask in skips(space).items()
  ]
  return functools.reduce(operator.add, each, jnp.int32(0))


def drop_skips(
  probs: Alphas, space: Space, rate: ArrayLike, key: jax.Array
) -> Alphas:
  """Cuts off the path through each skip, at random, and so trains the others.

  A skip's probability becomes 0 with probability `rate`, and otherwise grows
  by `1 / (1 - rate)`, so that the mixture's mean stays (dropout as Srivastava
  et al. 2014 have it, on whole paths). P-DARTS (Chen et al. 2019, search
  space regularization) drops what skips put out, and lets the rate fall.

  A skip that has all probability of its choice, as in a one-hot sample, is
  kept: without it nothing would reach the rest of the network.

  Args:
    probs: choice to `f32[..., options]`.
    space: the search space.
    rate: from 0 to less than 1.
    key: PRNG key, consumed.

  Returns:
    What the network mixes its ops with; where skips are, it no longer sums
    to 1.

  Example:
    >>> from nasjax import spaces
    >>> probs = {'stage2_2': jnp.array([0.25, 0.25, 0.5])}
    >>> keys = jax.random.split(jax.random.key(0), 4)
    >>> tiny = spaces.tiny()
    >>> for k in keys:
    ...   print(drop_skips(probs, tiny, 0.5, k)['stage2_2'].tolist())
    [0.25, 0.25, 1.0]
    [0.25, 0.25, 0.0]
    [0.25, 0.25, 1.0]
    [0.25, 0.25, 0.0]
  """
  dropped = dict(probs)
  for i, (name, mask) in enumerate(skips(space).items()):
    p, mask = probs[name], jnp.asarray(mask)
    at = (1,) * (p.ndim - 1) + (-1,)  # For who forbids rank promotion.
    mask = mask.reshape(at)
    alone = jnp.where(mask, 0, p).sum(-1, keepdims=True) < 1e-6
    own = jax.random.fold_in(key, i)
    kept = jax.random.bernoulli(own, 1 - rate, alone.shape)
    scale = jnp.where(alone, 1, kept / (1 - rate)).astype(p.dtype)
    dropped[name] = jnp.where(mask, p * scale, p)
  return dropped

"""The gradient of the expected loss, by a regression on sampled networks.

With independent choices the expected loss is multilinear in the probs, so its
derivative in the probability of an option is the mean loss of the networks that
have this option, `dE[loss] / dp_j = E[loss | option j]`. A regression of the
losses of sampled networks on their options estimates all of these means at
once, and takes the noise of the other choices out. At uniform probs these are
the contributions of Nayman et al. 2022 (BINAS), who measure them one by one.

The losses are those of single networks with the weights of the supernet, so
there is no bias from a mixture that no network is.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nasjax.space import Alphas, Choice

# Relative weight of a network that was drawn from much older probs.
_HEAVIEST = 10.0


class Sampling(NamedTuple):
  """How many networks are judged, and on what.

  Attributes:
    per_step: networks that each alpha step draws and judges.
    memory: networks that are remembered; the oldest ones are forgotten.
    images: the first images of the alpha half, on which all are judged.
    floor: smallest probability of an option while drawing.
    ridge: weight of the ridge penalty, in networks.

  Example:
    >>> Sampling(per_step=16).memory
    800
  """

  per_step: int = 8
  memory: int = 800
  images: int = 2000
  floor: float = 0.05
  ridge: float = 1.0


class Judged(NamedTuple):
  """Networks and their losses: a ring buffer.

  Attributes:
    options: name of a choice to `i32[memory, *shape]`.
    losses: `f32[memory]`.
    log_probs: `f32[memory]`, log of the probability of drawing each.
    count: `i32[]`, networks judged so far.
  """

  options: dict[str, jax.Array]
  losses: jax.Array
  log_probs: jax.Array
  count: jax.Array


class Effects(NamedTuple):
  """What a regression says of the options.

  Attributes:
    gradient: name of a choice to `f32[*shape, options]`: the mean loss of the
      networks with this option, less that of all. The mean over the options of
      a choice, under the probs, is 0.
    mean: `f32[]`, mean loss of all networks under the probs.
    deviation: `f32[]`, standard deviation of the losses.
    shrinkage: `f32[]`, in `[0, 1]`: by which part the ridge shrinks the best
      determined effect.
  """

  gradient: Alphas
  mean: jax.Array
  deviation: jax.Array
  shrinkage: jax.Array


def empty(choices: Mapping[str, Choice], memory: int) -> Judged:
  """A buffer without networks.

  Example:
    >>> empty({'edge': Choice(('a', 'b'), (3,))}, 8).options['edge'].shape
    (8, 3)
  """
  options = {
    name: jnp.zeros((memory, *choice.shape), jnp.int32)
    for name, choice in choices.items()
  }
  zeros = jnp.zeros(memory)
  return Judged(options, zeros, zeros, jnp.int32(0))


def floored(probs: Alphas, floor: float) -> Alphas:
  """Mixes probs with equal ones, so that every option keeps `floor`.

  A choice of n options keeps at most `1 / n`.

  Example:
    >>> floored({'op': jnp.array([1.0, 0.0])}, 0.25)['op'].tolist()
    [0.75, 0.25]
  """

  def mixed(p):
    n = p.shape[-1]
    share = min(1.0, floor * n)
    return (1 - share) * p + share / n

  return {name: mixed(p) for name, p in probs.items()}


def draw(
  key: jax.Array, probs: Alphas, number: int
) -> tuple[dict[str, jax.Array], jax.Array]:
  """Draws networks, every choice independently.

  Args:
    key: PRNG key, consumed.
    probs: name to `f32[*shape, options]`.
    number: how many networks.

  Returns:
    Options, name to `i32[number, *shape]`, and the log of the probability of
    each network, `f32[number]`.

  Example:
    >>> options, log_probs = draw(
    ...   jax.random.key(0), {'op': jnp.array([0.0, 1.0])}, 2)
    >>> options['op'].tolist(), log_probs.tolist()
    ([1, 1], [0.0, 0.0])
  """
  options = {}
  for i, (name, p) in enumerate(probs.items()):
    own = jax.random.fold_in(key, i)
    shape = (number, *p.shape[:-1])
    options[name] = jax.random.categorical(own, jnp.log(p), shape=shape)
  return options, log_prob(probs, options)


def log_prob(probs: Alphas, options: Mapping[str, jax.Array]) -> jax.Array:
  """Log of the probability of each network, `f32[number]`.

  Args:
    probs: name to `f32[*shape, options]`.
    options: name to `i32[number, *shape]`.

  Example:
    >>> probs = {'a': jnp.array([0.25, 0.75]), 'b': jnp.array([0.5, 0.5])}
    >>> networks = {'a': jnp.array([0, 1]), 'b': jnp.array([1, 1])}
    >>> jnp.exp(log_prob(probs, networks)).tolist()
    [0.125, 0.375]
  """
  total = jnp.float32(0)
  for name, index in options.items():
    p = jnp.broadcast_to(probs[name], (*index.shape, probs[name].shape[-1]))
    chosen = jnp.take_along_axis(p, index[..., None], -1)
    total = total + jnp.log(chosen).reshape(len(index), -1).sum(-1)
  return total


def add(
  judged: Judged,
  options: Mapping[str, jax.Array],
  losses: jax.Array,
  log_probs: jax.Array,
) -> Judged:
  """The buffer with further networks, in place of the oldest ones.

  Args:
    judged: the buffer.
    options: name to `i32[number, *shape]`; at most as many as it holds.
    losses: `f32[number]`.
    log_probs: `f32[number]`, as `draw` returns them.
  """
  places = (judged.count + jnp.arange(len(losses))) % len(judged.losses)
  return Judged(
    {n: judged.options[n].at[places].set(o) for n, o in options.items()},
    judged.losses.at[places].set(losses),
    judged.log_probs.at[places].set(log_probs),
    judged.count + len(losses),
  )


def effects(judged: Judged, probs: Alphas, ridge: float = 1.0) -> Effects:
  """Estimates the gradient of the expected loss in the probs.

  A ridge regression on one-hot options. Networks that were drawn from other
  probs are weighted by importance, `p(network) / q(network)`, at most 10 times
  the mean. The ridge keeps the equations solvable, since the one-hots of a
  choice sum to 1; its bias is at most `shrinkage`.

  Args:
    judged: at least one network.
    probs: name to `f32[*shape, options]`, at which the gradient is wanted.
    ridge: positive, in networks.

  Example:
    >>> probs = {'a': jnp.ones(2) / 2, 'b': jnp.ones(2) / 2}
    >>> networks = {'a': jnp.array([0, 0, 1, 1]), 'b': jnp.array([0, 1, 0, 1])}
    >>> losses = jnp.array([1.0, 2.0, 4.0, 5.0])  # a adds 3, b adds 1.
    >>> choices = {name: Choice(('x', 'y')) for name in probs}
    >>> judged = add(
    ...   empty(choices, 4), networks, losses, log_prob(probs, networks))
    >>> g = effects(judged, probs, ridge=1e-4).gradient
    >>> g['a'].round(2).tolist(), g['b'].round(2).tolist()
    ([-1.5, 1.5], [-0.5, 0.5])
  """
  there = jnp.arange(len(judged.losses)) < judged.count
  ratio = log_prob(probs, judged.options) - judged.log_probs
  ratio = jnp.where(there, ratio, -jnp.inf)
  weights = jnp.exp(ratio - ratio.max())
  total = jnp.maximum(there.sum(), 1)
  weights = weights * total / weights.sum()
  weights = jnp.minimum(weights, _HEAVIEST)
  share = weights / weights.sum()
  mean = share @ judged.losses
  deviation = jnp.sqrt(share @ jnp.square(judged.losses - mean))

  columns = []
  for name, index in judged.options.items():
    p = probs[name]
    one_hot = jax.nn.one_hot(index, p.shape[-1], dtype=p.dtype)
    columns.append((one_hot - p[None]).reshape(len(index), -1))
  x = jnp.concatenate(columns, 1)
  # The intercept is free: centred columns and losses need none.
  x = x - (share @ x)[None]
  weighted = x * weights[:, None]
  with_ridge = weighted.T @ x + ridge * jnp.eye(x.shape[1])
  solve = functools.partial(jnp.linalg.solve, with_ridge)
  found = solve(weighted.T @ (judged.losses - mean))
  strongest = jnp.diagonal(weighted.T @ x).max()
  gradient, start = {}, 0
  for name, p in probs.items():
    own = found[start : start + p.size].reshape(p.shape)
    gradient[name] = own - (p * own).sum(-1, keepdims=True)
    start += p.size
  return Effects(gradient, mean, deviation, ridge / (ridge + strongest))


def scores(judged: Judged, probs: Alphas, sampling: Sampling) -> Alphas:
  """Scores of the options, to derive from: higher is better.

  They say nothing of costs, so `nasjax.derive` finds from them the best network
  within any limits near those of the search.

  Args:
    judged: networks and their losses.
    probs: name to `f32[*shape, options]`, at the end of the search.
    sampling: of the search.

  Returns:
    Name to `f32[*shape, options]`: by how much an option lowers the mean loss,
    in standard deviations of the losses.

  Example:
    >>> probs, networks = {'a': jnp.ones(2) / 2}, {'a': jnp.array([0, 1])}
    >>> judged = add(
    ...   empty({'a': Choice(('x', 'y'))}, 2), networks, jnp.array([1.0, 3.0]),
    ...   log_prob(probs, networks))
    >>> scores(judged, probs, Sampling(ridge=1e-4))['a'].round(2).tolist()
    [1.0, -1.0]
  """
  found = effects(judged, floored(probs, sampling.floor), sampling.ridge)
  scale = jnp.maximum(found.deviation, 1e-6)
  return {name: -g / scale for name, g in found.gradient.items()}

"""Weights of a supernet by the sandwich rule, with distillation in place.

Each step trains the largest network on the labels, and a few of the budget on
what the largest says of the same images (Yu and Huang 2019, Universally
Slimmable Networks, sections 3.2 and 3.3; there the smallest is one of them,
here all that are to be compared use the budget). A pattern takes its turn in
each step, as outputs of several cannot be had from one pass. Searches do not
train so: `benchmarks.ranks` shows what it is worth.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from nasjax import data, derive, space
from nasjax.cost import Cost, macs
from nasjax.space import Architecture, Space
from nasjax.supernet import Entangled
from nasjax.train import cross_entropy, distill

_FILL = 0.9  # Of the budget, that drawn networks use at least.
_POOL = 1000  # Networks of each pattern that are drawn from.


def largest(cost: Cost) -> Architecture:
  """What costs most, where a choice that costs more does so beside any others.

  Example:
    >>> from nasjax import spaces
    >>> found = largest(macs(spaces.tiny()))
    >>> macs(spaces.tiny()).exact(found) == macs(spaces.tiny()).bounds()[1]
    True
  """
  sizes = [len(options) for options in cost.space.choices.values()]
  index = [0] * len(sizes)
  for place, size in enumerate(sizes):
    each = [(*index[:place], i, *index[place + 1 :]) for i in range(size)]
    prices = [
      cost.exact(Architecture.from_indices(cost.space, one)) for one in each
    ]
    index[place] = int(np.argmax(prices))
  return Architecture.from_indices(cost.space, tuple(index))


class _State(NamedTuple):
  params: Any
  opt_state: optax.OptState
  position: data.Sampler


def train(
  whole: Space,
  budget: float,
  train_images: data.Arrays,
  batches: data.Batches,
  tx: optax.GradientTransformation,
  *,
  numerics: Any,
  steps: int,
  networks: int,
  seed: int,
) -> Any:
  """An entangled supernet's parameters.

  Args:
    whole: the space, with patterns or without.
    budget: most MACs of what is drawn beside the largest.
    train_images: of the weights.
    batches: how they are drawn.
    tx: of the weights.
    numerics: how the supernet is computed.
    steps: of all patterns together.
    networks: in each step, the largest among them; at least 2.
    seed: of all that is drawn.
  """
  spaces = [space.at_pattern(whole, i) for i in range(len(whole.patterns))]
  spaces = spaces or [whole]
  nets = [Entangled(s, numerics) for s in spaces]
  rng = np.random.default_rng(seed)
  pools = [
    derive.sample_within(s, {macs(s): budget}, _POOL, rng, fill=_FILL)
    for s in spaces
  ]
  tops = [largest(macs(s)) for s in spaces]
  state = _begin(nets[0], train_images, batches, tx, seed)
  each = [_step(net, batches, tx) for net in nets]
  for i in range(steps):
    turn = i % len(nets)
    drawn = rng.integers(_POOL, size=networks - 1)
    chosen = [tops[turn], *(pools[turn][j] for j in drawn)]
    probs = jax.tree.map(
      lambda *rows: jnp.stack(rows), *(space.one_hot(a) for a in chosen)
    )
    key = jax.random.fold_in(jax.random.key(seed), i)
    state = each[turn](state, train_images, probs, key)
  return state.params


def _begin(net: Entangled, images, batches, tx, seed) -> _State:
  s = net.space
  shape = (1, s.image_size, s.image_size, s.channels)
  probs = space.one_hot(largest(macs(s)))
  init = jax.jit(
    lambda key: net.init(key, jnp.zeros(shape), probs, train=False)
  )
  for_net, for_batches = jax.random.split(jax.random.key(seed))
  params = init(for_net)['params']
  return _State(params, tx.init(params), batches.begin(for_batches, images))


def _step(net: Entangled, batches, tx) -> Callable[..., _State]:
  def logits(params, images, probs, key):
    out, _ = net.apply(
      {'params': params},
      images,
      probs,
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    return out

  def loss(params, images, labels, probs, key):
    rows = next(iter(probs.values())).shape[0]
    own = [jax.tree.map(lambda x, i=i: x[i], probs) for i in range(rows)]
    taught = logits(params, images, own[0], key)
    losses = [cross_entropy(taught, labels)]
    for one in own[1:]:
      losses.append(distill.loss(logits(params, images, one, key), taught))
    return jnp.stack(losses).mean()

  @functools.partial(jax.jit, donate_argnums=0)
  def step(state, train_images, probs, key):
    for_batch, for_net = jax.random.split(key)
    images, labels, position = batches(state.position, train_images, for_batch)
    gradient = jax.grad(loss)(state.params, images, labels, probs, for_net)
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return _State(params, opt_state, position)

  return step

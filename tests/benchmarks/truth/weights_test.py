"""Weight steps of several networks, and of networks weighed by cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.truth import weights
from nasjax import cost, data, relax, search, spaces
from nasjax.train import cross_entropy, distill

pytestmark = pytest.mark.slow

SPACE = spaces.nasbench_macro(image_size=8, width=0.1)
SIZES = {name: len(choice) for name, choice in SPACE.choices.items()}
BATCHES = data.Batches(8, (0.5,) * 3, (0.2,) * 3)


@functools.cache
def _begun():
  tx = optax.sgd(0.1)
  parts = search.make(
    SPACE.search_network(),
    SPACE.choices,
    BATCHES,
    [],
    alpha_tx=optax.sgd(0.0),
    relaxation=relax.PATHS,
    weight_tx=tx,
  )
  rng = np.random.default_rng(0)
  images = data.Arrays(
    jnp.asarray(rng.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8)),
    jnp.asarray(rng.integers(0, 10, 32).astype(np.int32)),
  )
  state = jax.jit(parts.init)(jax.random.key(0), images, images)
  return tx, parts, state, images


def _one_hot(options):
  return {n: jax.nn.one_hot(options[n], size) for n, size in SIZES.items()}


def _logits(parts, state, params, pixels, options):
  """Of one network, with weights as the network made them."""
  logits, _ = SPACE.search_network().apply(
    {'params': parts.params(state._replace(params=params), pixels)},
    pixels,
    _one_hot(options),
    train=True,
    mutable=['batch_stats'],
  )
  return logits


def _is_step(gradient, before, after, rate):
  for own, new, old in zip(
    jax.tree.leaves(gradient),
    jax.tree.leaves(after.params),
    jax.tree.leaves(before.params),
    strict=True,
  ):
    np.testing.assert_allclose(new - old, -rate * own, atol=1e-5, rtol=1e-3)


def _change(before, after):
  """By how much the weights of each option of a slot moved."""
  found = {}
  for name, choice in SPACE.choices.items():
    leaves = zip(
      jax.tree.leaves(before.params.get(name, {})),
      jax.tree.leaves(after.params.get(name, {})),
      strict=True,
    )
    moved = np.zeros(len(choice))
    for old, new in leaves:
      axes = tuple(range(1, old.ndim))
      moved += np.asarray(jnp.abs(new - old).sum(axes))
    found[name] = moved
  return found


def test_a_sandwich_descends_the_mean_of_its_losses(monkeypatch):
  monkeypatch.setattr(weights, 'NETWORKS', 3)  # They compile faster.
  tx, parts, state, images = _begun()
  after, _ = jax.jit(weights.sandwich(SPACE, BATCHES, tx))(state, images)
  assert all(moved[-1] > 0 for moved in _change(state, after).values())
  # The same draws as in the step.
  _, for_batch, for_options, _ = jax.random.split(state.key, 4)
  pixels, labels, _ = BATCHES(state.train, images, for_batch)
  networks = [
    {name: len(choice) - 1 for name, choice in SPACE.choices.items()},
    dict.fromkeys(SPACE.choices, 0),
    weights._uniform(jax.random.fold_in(for_options, 0), SIZES),
  ]

  def loss(params):
    taught, *others = (
      _logits(parts, state, params, pixels, options) for options in networks
    )
    rest = [distill.loss(logits, taught) for logits in others]
    return (cross_entropy(taught, labels) + sum(rest)) / 3

  _is_step(jax.jit(jax.grad(loss))(state.params), state, after, 0.1)


def test_a_costly_network_moves_by_its_share_of_macs():
  """The step by cost is the step of the search times MACs / mean MACs."""
  tx, parts, state, images = _begun()
  by_cost = jax.jit(weights.weighed_by_cost(SPACE, BATCHES, tx))
  after, _ = by_cost(state, images)
  _, for_batch, for_options, _ = jax.random.split(state.key, 4)
  options = weights._uniform(for_options, SIZES)
  pixels, labels, _ = BATCHES(state.train, images, for_batch)

  def loss(params):
    return cross_entropy(_logits(parts, state, params, pixels, options), labels)

  macs = cost.macs(SPACE)
  mean = float(macs({n: jnp.full(s, 1 / s) for n, s in SIZES.items()}))
  weight = float(macs(_one_hot(options))) / mean
  assert abs(weight - 1) > 0.02
  _is_step(jax.jit(jax.grad(loss))(state.params), state, after, 0.1 * weight)

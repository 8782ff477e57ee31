"""Steps that would not stay finite change nothing but position and key."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, search, spaces, train
from nasjax.guard import finite
from nasjax.space import argmax, fix, init_alphas
from tests.conftest import images


class _State(NamedTuple):
  step: Any
  key: Any
  x: Any
  count: Any
  skipped: Any


def _step(state, by):
  key, _ = jax.random.split(state.key)
  moved = state._replace(
    step=state.step + 1, key=key, x=state.x + by, count=state.count + 1
  )
  return moved, {'train_loss': jnp.float32(0.0), 'by': by}


def _start():
  zero = jnp.int32(0)
  key = jax.random.key(0)
  return _State(zero, key, jnp.ones(3), zero, {'weights': zero})


@pytest.mark.parametrize('bad', [jnp.nan, jnp.inf, -jnp.inf])
def test_a_step_that_is_not_finite_leaves_all_but_position_and_key(bad):
  step = jax.jit(finite.skipping(_step, 'weights'))
  before = _start()
  after, metrics = step(before, bad)
  assert int(after.step) == 1
  np.testing.assert_array_equal(after.x, before.x)
  assert int(after.count) == 0  # Of integers, too: an optimizer's own count.
  assert (
    jax.random.key_data(after.key) != jax.random.key_data(before.key)
  ).any()
  assert int(metrics['weights_skipped']) == 1
  again, metrics = step(after, bad)
  assert int(metrics['weights_skipped']) == 2
  fine, metrics = step(again, 1.0)
  assert int(metrics['weights_skipped']) == 0
  np.testing.assert_array_equal(fine.x, 2 * jnp.ones(3))


def test_a_loss_that_is_not_finite_counts_though_the_state_is():
  def step(state, loss):
    moved, _ = _step(state, 1.0)
    return moved, {'train_loss': loss}

  after, metrics = finite.skipping(step, 'weights')(_start(), jnp.nan)
  assert int(metrics['weights_skipped']) == 1
  np.testing.assert_array_equal(after.x, jnp.ones(3))


def _arrays(n=40):
  return data.Arrays(jnp.asarray(images(n)), jnp.arange(n) % 10)


def _same(a, b):
  chex.assert_trees_all_equal(*(jax.tree.map(_plain, t) for t in (a, b)))


def _plain(x):
  is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
  return jax.random.key_data(x) if is_key else x


@pytest.mark.slow
def test_a_finite_training_is_the_same_with_and_without():
  space = spaces.tiny()
  network = fix(space, argmax(space, init_alphas(space)))
  batches, arrays = data.Batches(10, (0.5,), (0.3,)), _arrays()
  ends = []
  for skip in (False, True):
    parts = train.make(
      network.network(),
      batches,
      tx=optax.sgd(0.1, momentum=0.9),
      skip_nonfinite=skip,
    )
    state = parts.init(jax.random.key(0), arrays)
    step = jax.jit(parts.step)
    for _ in range(3):
      state, _ = step(state, arrays)
    ends.append(state)
  # A program of its own may round differently in the last digit.
  first, second = (jax.tree.map(_plain, s) for s in ends)
  chex.assert_trees_all_close(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_weights_and_statistics_of_a_search_survive_a_rate_that_is_too_large():
  space, arrays = spaces.tiny(), _arrays()
  macs = cost.macs(space)

  def rate(step):  # The third weight step overflows.
    return jnp.where(step == 2, jnp.float32(3e38), 0.1)

  parts = search.make(
    space.search_network(),
    space.choices,
    data.Batches(10, (0.5,), (0.3,)),
    [(macs, constraint.lagrangian(limit=8000, rate=0.1))],
    weight_tx=optax.chain(optax.scale(1e6), optax.sgd(rate)),
    alpha_tx=optax.adam(0.01),
    skip_nonfinite=True,
  )
  state = parts.init(jax.random.key(0), arrays, arrays)
  weight_step = jax.jit(parts.weight_step)
  for _ in range(2):
    state, metrics = weight_step(state, arrays)
  # The optimizer's count stays where it is, and with it the rate.
  for i in range(1, 4):
    after, metrics = weight_step(state, arrays)
    assert int(metrics['weights_skipped']) == i
    _same(after.params, state.params)
    _same(after.batch_stats, state.batch_stats)
    _same(after.opt_state, state.opt_state)
    assert int(after.step) == int(state.step) + 1
    assert int(after.skipped['alphas']) == 0
    state = after

"""Steps in which only some ops ran: what moves, and what does not."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import optimize, sampled, spaces
from nasjax.supernet import Supernet

SPACE = spaces.tiny()
OPTIMIZERS = {
  'momentum and decay': optax.chain(
    optax.add_decayed_weights(0.1), optax.sgd(0.05, momentum=0.9)
  ),
  'adam': optax.adam(optax.cosine_decay_schedule(0.1, 10)),
  'adamw, clipped': optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(0.1, weight_decay=0.1)
  ),
  'of training': optimize.sgd(optimize.cosine(0.05, 20)),
  'rmsprop, clipped': optimize.rmsprop(0.05, clip_norm=1.0),
}


@functools.cache
def _params():
  images = jnp.zeros((1, 8, 8, 1))
  probs = {name: jnp.ones(len(ops)) for name, ops in SPACE.choices.items()}
  init = functools.partial(Supernet(SPACE).init, train=False)
  return jax.jit(init)(jax.random.key(0), images, probs)['params']


def _gradient(seed, mask):
  """Of any size where an op ran, and 0 elsewhere, as the supernet's is."""
  rng = np.random.default_rng(seed)

  def one(p, m):
    return jnp.where(m, jnp.array(rng.normal(size=p.shape), p.dtype), 0)

  return jax.tree.map(one, _params(), mask)


def _index(*ops):
  return {s: jnp.array([i]) for s, i in zip(SPACE.choices, ops, strict=True)}


def _ops(tree):
  """What is kept of each op, by slot and op."""
  for slot in SPACE.choices:
    names = {s.name: s.op_names for s in SPACE.slots}[slot]
    for i, op in enumerate(names):
      if op in tree[slot]:
        yield slot, i, tree[slot][op]


def test_the_mask_is_true_for_the_ops_in_the_index():
  index = {**_index(0, 1, 1), 'stage2_1': jnp.array([1, 0])}
  mask = sampled.ran(SPACE, _params(), index)
  chex.assert_trees_all_equal_structs(mask, _params())
  found = {(s, i): set(map(bool, jax.tree.leaves(t))) for s, i, t in _ops(mask)}
  assert found == {
    ('stage1_1', 0): {True},
    ('stage1_1', 1): {False},
    ('stage2_1', 0): {True},
    ('stage2_1', 1): {True},
    ('stage2_2', 0): {False},
    ('stage2_2', 1): {True},
  }
  for slot in ('stem', 'head', 'classifier'):
    assert all(jax.tree.leaves(mask[slot]))


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_what_did_not_run_stays_and_what_ran_moves_as_ever(name):
  """After a step in which other ops ran, so that momentum is not 0."""
  tx, params = OPTIMIZERS[name], _params()
  step = jax.jit(functools.partial(sampled.update, tx))
  state = tx.init(params)
  for seed, index in enumerate([_index(0, 0, 0), _index(1, 1, 1)]):
    mask = sampled.ran(SPACE, params, index)
    params, state = step(_gradient(seed, mask), state, params, mask)
  index = _index(0, 1, 2)
  mask = sampled.ran(SPACE, params, index)
  gradient = _gradient(9, mask)
  after, after_state = step(gradient, state, params, mask)
  updates, plain_state = jax.jit(tx.update)(gradient, state, params)
  plain = optax.apply_updates(params, updates)

  def trees(*states):
    """Parameters, and what the optimizer keeps of each of them."""
    kept = [s for s in jax.tree.leaves(states[0], is_leaf=_like_params)]
    others = [jax.tree.leaves(s, is_leaf=_like_params) for s in states[1:]]
    return [z for z in zip(kept, *others, strict=True) if _like_params(z[0])]

  looked = [(params, after, plain), *trees(state, after_state, plain_state)]
  moments = {'adam': 2, 'adamw, clipped': 2, 'rmsprop, clipped': 2}
  assert len(looked) == 1 + moments.get(name, 1)
  for before, now, usual in looked:
    for part in zip(*map(_ops, (before, now, usual)), strict=True):
      (slot, i, old), (_, _, new), (_, _, expected) = part
      if i in index[slot]:
        chex.assert_trees_all_close(new, expected, rtol=1e-6, atol=1e-7)
        assert _differ(new, old)
      else:
        chex.assert_trees_all_equal(new, old)
        assert _differ(expected, old)  # An optimizer alone would move it.
    chex.assert_trees_all_close(
      now['stem'], usual['stem'], rtol=1e-6, atol=1e-7
    )


def _like_params(tree):
  return isinstance(tree, dict) and set(tree) == set(_params())


def _differ(a, b):
  return any(
    (x != y).any()
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def test_counts_go_on():
  tx = OPTIMIZERS['adam']
  params = _params()
  mask = sampled.ran(SPACE, params, _index(0, 0, 0))
  _, state = sampled.update(
    tx, _gradient(0, mask), tx.init(params), params, mask
  )
  assert int(optax.tree.get(state, 'count', filtering=_of_adam)) == 1


def _of_adam(path, _):
  return 'ScaleByAdamState' in str(path[-1])

"""Steps in which only some ops ran: what moves, and what does not."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax.search import sparse_update
from nasjax.supernet import stacked
from nasjax.train import optimizers
from tests.search.sparse_cases import CHOICES, SPACE, index_of, init_variables

OPTIMIZERS = {
  'momentum and decay': optax.chain(
    optax.add_decayed_weights(0.1), optax.sgd(0.05, momentum=0.9)
  ),
  'adam': optax.adam(optax.cosine_decay_schedule(0.1, 10)),
  'adamw, clipped': optax.chain(
    optax.clip_by_global_norm(1.0), optax.adamw(0.1, weight_decay=0.1)
  ),
  'of training': optimizers.sgd(optimizers.cosine(0.05, 20)),
  'rmsprop, clipped': optimizers.rmsprop(0.05, clip_norm=1.0),
}


def _drawn(seed, tree):
  """The structure of a tree, of any values."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda p: jnp.array(rng.normal(size=p.shape)), tree)


def _kept(tx, state, params):
  """Parameters, and what the optimizer keeps of each, as they were."""
  like = lambda x: isinstance(x, dict) and set(x) == set(params)  # noqa: E731
  trees = [t for t in jax.tree.leaves(state, is_leaf=like) if like(t)]
  whole = init_variables()['params']
  return [stacked.unstack(CHOICES, t, whole) for t in (params, *trees)]


@pytest.mark.drawn(2)
@pytest.mark.slow
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_what_did_not_run_stays_and_what_ran_moves_as_ever(name):
  """After steps in which other ops ran, so that momentum is not 0.

  What ran moves as it does where there is nothing else but what always runs.
  """
  tx, params = (
    OPTIMIZERS[name],
    stacked.stack(CHOICES, init_variables()['params']),
  )
  state = sparse_update.init(tx, CHOICES, params)
  step = jax.jit(functools.partial(sparse_update.update, tx, CHOICES))

  def gradient(seed, index):
    taken = stacked.take(CHOICES, params, index)
    # No gradient reaches what is only there to fill an array up.
    return jax.tree.map(lambda g, p: g * (p != 0), _drawn(seed, taken), taken)

  for seed, index in enumerate([index_of(0, 0, 0), index_of(1, 1, 1)]):
    params, state = step(gradient(seed, index), state, params, index)
  index = index_of(0, 1, 2)
  g = gradient(9, index)
  after, after_state = step(g, state, params, index)

  # The same by hand: on what was taken, by the optimizer alone.
  own = stacked.take(CHOICES, params, index)
  like = lambda x: isinstance(x, dict) and set(x) == set(params)  # noqa: E731
  own_state = jax.tree.map(
    lambda x: stacked.take(CHOICES, x, index) if like(x) else x,
    state,
    is_leaf=like,
  )
  updates, _ = tx.update(g, own_state, own)
  expected = optax.apply_updates(own, updates)
  chex.assert_trees_all_close(
    stacked.take(CHOICES, after, index), expected, rtol=1e-5, atol=1e-6
  )

  before, now = (_kept(tx, *z) for z in ((state, params), (after_state, after)))
  moments = {'adam': 2, 'adamw, clipped': 2, 'rmsprop, clipped': 2}
  assert len(before) == 1 + moments.get(name, 1)
  for old, new in zip(before, now, strict=True):
    for slot in (s for s in SPACE.slots if len(s.ops) > 1):
      for i, op in enumerate(slot.op_names):
        if op not in old[slot.name]:
          continue  # A skip.
        own = old[slot.name][op], new[slot.name][op]
        if i in index[slot.name]:
          assert _differ(*own)
        else:
          chex.assert_trees_all_equal(*own)
    assert _differ(old['stem'], new['stem'])


def _differ(a, b):
  return any(
    (x != y).any()
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  )


def test_an_op_moves_by_the_optimizers_rule():
  """Momentum of 1/2 and decay, of one number of an op, over three steps."""
  slot = next(s for s in SPACE.slots if len(s.ops) > 1)
  tree = {slot.name: {n: {'x': jnp.ones((1, 1))} for n in slot.op_names}}
  tx = optax.chain(
    optax.add_decayed_weights(0.5, mask=optimizers.kernels),
    optax.sgd(0.1, momentum=0.5),
  )
  params = stacked.stack(CHOICES, tree)
  state = sparse_update.init(tx, CHOICES, params)
  expected, velocity = [1.0] * len(slot.ops), [0.0] * len(slot.ops)
  for i in (0, 1, 0):
    index = {slot.name: jnp.array([i])}
    g = jax.tree.map(jnp.ones_like, stacked.take(CHOICES, params, index))
    params, state = sparse_update.update(tx, CHOICES, g, state, params, index)
    velocity[i] = 0.5 * velocity[i] + 1 + 0.5 * expected[i]
    expected[i] -= 0.1 * velocity[i]
  found = params[slot.name]['2d']['x'].ravel().tolist()
  assert found == pytest.approx(expected, rel=1e-6)


def test_counts_go_on():
  tx = OPTIMIZERS['adam']
  params = stacked.stack(CHOICES, init_variables()['params'])
  index = index_of(0, 0, 0)
  g = stacked.take(CHOICES, params, index)
  state = sparse_update.init(tx, CHOICES, params)
  _, state = sparse_update.update(tx, CHOICES, g, state, params, index)
  assert int(optax.tree.get(state, 'count', filtering=_of_adam)) == 1


def _of_adam(path, _):
  return 'ScaleByAdamState' in str(path[-1])

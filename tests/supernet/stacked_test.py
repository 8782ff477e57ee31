"""Stacked weights: all of them, and those of one op."""

import chex
import jax
import jax.numpy as jnp
import pytest

from nasjax.supernet import stacked
from tests.search.sparse_cases import CHOICES, SPACE, index_of, init_variables


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('collection', ['params', 'batch_stats'])
def test_stacked_variables_are_all_there(collection):
  tree = init_variables()[collection]
  rows = stacked.stack(CHOICES, tree)
  chex.assert_trees_all_equal(stacked.unstack(CHOICES, rows, tree), tree)
  for slot in (s for s in SPACE.slots if len(s.ops) > 1):
    for leaf in jax.tree.leaves(rows[slot.name]):
      assert leaf.shape[0] == len(slot.ops)


def test_what_is_taken_is_the_ops_own_and_zeros():
  params = init_variables()['params']
  slot = next(s for s in SPACE.slots if s.name == 'stage2_1')
  index = {**index_of(0, 0, 0), 'stage2_1': jnp.array([1, 0])}
  taken = stacked.take(CHOICES, stacked.stack(CHOICES, params), index)
  for k, i in enumerate([1, 0]):
    own = params['stage2_1'].get(slot.op_names[i], {})
    drawn = taken['stage2_1'][stacked.DRAWN.format(k)]
    chex.assert_trees_all_equal(stacked.cut(drawn, own), own)
    total = sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(drawn))
    of_op = sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(own))
    assert total == pytest.approx(of_op, rel=1e-6)
  for slot in ('stem', 'head', 'classifier'):
    assert taken[slot] is params[slot]


def test_leaves_of_one_place_and_two_ranks_are_kept_apart():
  each = [
    {'mix': {'kernel': jnp.ones((2, 3))}},
    {'mix': {'kernel': jnp.ones(4)}},
  ]
  rows = stacked.stack_ops(each)
  for i, own in enumerate(each):
    found = stacked.cut(stacked.at(rows, i), own)
    chex.assert_trees_all_equal(found, own)

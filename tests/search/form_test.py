"""Forms of the weights: a step moves all of them, or what was sampled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import space, spaces
from nasjax.ops import Numerics
from nasjax.search import form
from tests.supernet.cell_cases import OPS, images, tiny, variables

SPACE = spaces.tiny(image_size=8)
NET = SPACE.search_network(Numerics())
TX = optax.sgd(0.1)


def _variables():
  images = jnp.zeros((1, 8, 8, 1))
  probs = {n: jnp.ones(len(c)) / len(c) for n, c in SPACE.choices.items()}
  init = functools.partial(NET.init, train=False)
  return jax.jit(init)(jax.random.key(0), images, probs)


def _sum(params):
  """An objective whose gradient is 1 everywhere."""
  return sum(x.sum() for x in jax.tree.leaves(params)), None


def test_a_whole_step_moves_every_weight():
  own = form.whole(NET, SPACE.choices, TX)
  params, _, opt_state = own.init(_variables())
  step = jax.jit(lambda *state: own.update(_sum, *state, None))
  _, moved, _ = step(params, opt_state)
  for before, after in zip(
    jax.tree.leaves(params), jax.tree.leaves(moved), strict=True
  ):
    np.testing.assert_allclose(after, before - 0.1, rtol=1e-5, atol=1e-6)


def test_whole_params_are_those_of_the_network():
  own = form.whole(NET, SPACE.choices, TX)
  variables = _variables()
  params, stats, _ = own.init(variables)
  assert params is variables['params']
  assert stats == variables.get('batch_stats', {})
  assert own.params(params, None) is params


def test_a_step_of_edges_moves_the_ops_that_each_edge_sampled():
  s = tiny()
  given = variables(s)
  tx = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.1, momentum=0.9))
  own = form.sampled(s.network(), s.choices, tx)
  params, _, opt_state = own.init(given)
  index = {'edges': jnp.array([[3], [1], [2]])}
  step = jax.jit(lambda p, o: own.update(_sum, p, o, index)[1:])
  moved, opt_state = step(params, opt_state)
  moved, _ = step(moved, opt_state)  # Momentum is there now.
  found = own.params(moved, images())
  before = given['params']
  for i, op in ((0, 2), (0, 3), (1, 2), (1, 3), (2, 2), (2, 3)):
    edge, name = f'edges[{i}]', OPS[op].name
    pairs = zip(
      *(jax.tree.leaves(t[edge][name]) for t in (before, found)), strict=True
    )
    for old, new in pairs:
      assert (old == new).all() == (op != index['edges'][i, 0])
  stem = [
    t['stem']['conv_k3_identity']['conv']['kernel'] for t in (before, found)
  ]
  assert (stem[0] != stem[1]).all()
  unmoved = own.params(params, images())
  for a, b in zip(*map(jax.tree.leaves, (unmoved, before)), strict=True):
    np.testing.assert_array_equal(a, b)


def test_a_name_of_several_choices_cannot_be_sampled():
  several = {'edges': space.Choice(('a', 'b'), (3,))}
  with pytest.raises(ValueError, match='one choice per name'):
    form.sampled(NET, several, TX)

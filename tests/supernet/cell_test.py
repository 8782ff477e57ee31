"""The network of cells: mixed, sampled and derived, it is one function."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import ops, space, spaces
from nasjax.supernet import CellNetwork, stacked
from nasjax.supernet import cell as cell_lib
from tests.supernet.cell_cases import (
  OPS,
  images,
  part,
  probs_of,
  tiny,
  variables,
)

NATIVE = ops.Numerics(lowering='native')
TINY = tiny()


def _architecture(*indices, s=TINY):
  return space.Architecture.from_indices(s, indices)


def _logits(s, given, probs, train=False):
  net = s.network()
  run = jax.jit(
    functools.partial(net.apply, train=train, mutable=['batch_stats'])
  )
  return run(given, images(), probs)


def _derived(a, given):
  """Variables of the derived network, which are a part of the supernet's."""
  net = a.space.fix(a).network()
  init = functools.partial(net.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), images(), {})
  return part(given, shapes)


@pytest.mark.slow
@pytest.mark.parametrize('train', [False, True])
def test_at_one_hot_it_is_the_derived_network(train):
  given = variables(TINY)
  net = TINY.network()
  run = jax.jit(
    functools.partial(net.apply, train=train, mutable=['batch_stats'])
  )
  for indices in ((3, 0, 2), (1, 4, 3), (0, 0, 0), (0, 2, 4)):
    a = _architecture(*indices)
    own = _derived(a, given)
    assert sorted(own['params']) == sorted(
      name
      for name in given['params']
      if not name.startswith('edges')
      or indices[int(name[len('edges[')])] in (2, 3)
    )
    alone, new = _logits(TINY.fix(a), own, {}, train)
    mixed, stats = run(given, images(), space.one_hot(a))
    np.testing.assert_allclose(mixed, alone, rtol=1e-4, atol=1e-5)
    if train:
      same = part(stats['batch_stats'], new['batch_stats'])
      chex.assert_trees_all_close(same, new['batch_stats'], rtol=1e-4)


def test_without_any_edge_it_sees_nothing_and_still_runs():
  a = _architecture(0, 0, 0)
  own = _derived(a, variables(TINY))
  logits, new = _logits(TINY.fix(a), own, {}, train=True)
  np.testing.assert_array_equal(logits[0], logits[1])
  assert np.isfinite(jax.tree.leaves((logits, new))[0]).all()
  # The zeros of the last node are what its batch norm sees.
  old = own['batch_stats']['norm']['norm_relu']['bn']['mean']
  moved = new['batch_stats']['norm']['norm_relu']['bn']['mean']
  np.testing.assert_allclose(moved, 0.9 * old, rtol=1e-6)


@pytest.mark.slow
def test_the_gradient_in_probs_is_that_of_finite_differences(x64):
  s = tiny(layers=1)
  given, probs = variables(s, 'float64'), probs_of(s, 'float64')
  net = s.network(ops.Numerics(dtype='float64'))

  @jax.jit
  @jax.value_and_grad
  def loss(p):
    x = images(dtype='float64')
    logits, _ = net.apply(
      given, x, {'edges': p}, train=True, mutable=['batch_stats']
    )
    return (jnp.sin(logits) * jnp.arange(1.0, 4.0)[None]).sum()

  p, rng, step = probs['edges'], np.random.default_rng(0), 1e-6
  _, g = loss(p)
  for _ in range(4):
    way = jnp.asarray(rng.normal(size=p.shape))
    slope = (loss(p + step * way)[0] - loss(p - step * way)[0]) / (2 * step)
    np.testing.assert_allclose(slope, (g * way).sum(), rtol=1e-6)
  # Only `none` adds nothing, wherever it stands.
  np.testing.assert_array_equal(g[:, 0], 0)
  assert (np.abs(g[:, 1:]) > 1e-9).all()


def _with_index(s, given, probs, index):
  """Value, statistics and gradients, of weights that are taken."""
  net = s.network()
  options = {
    space.label(axis): names for axis, names in space.axes(s.choices).items()
  }
  rows = {space.label(a): i for a, i in space.rows(index).items()}
  params = stacked.stack(options, given['params'])
  stats = stacked.stack(options, given['batch_stats'])

  def loss(params, probs):
    logits, new = net.apply(
      {'params': params, 'batch_stats': stats},
      images(),
      probs,
      train=True,
      index=index,
      mutable=['batch_stats'],
    )
    return jnp.sin(logits).sum(), new['batch_stats']

  taken = stacked.take(options, params, rows)
  run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
  (value, new), (g, g_probs) = run(taken, probs)
  zeros = jax.tree.map(jnp.zeros_like, params)
  g = stacked.unstack(
    options, stacked.put(options, zeros, g, rows), given['params']
  )
  whole, _ = jax.jit(loss)(params, probs)
  return (
    value,
    whole,
    stacked.unstack(options, new, given['batch_stats']),
    (
      g,
      g_probs,
    ),
  )


@pytest.mark.slow
@pytest.mark.parametrize('m', [1, 2])
def test_with_an_index_it_is_the_mixture_of_the_ops_in_it(x64, m):
  """The other ops have no gradient, and their statistics stay to the bit."""
  s = tiny()
  given = variables(s, 'float64')
  index = jnp.array([[3, 1], [0, 2], [4, 3]])[:, :m]
  weight = jax.nn.one_hot(index, 5, dtype='float64')
  probs = {'edges': (weight * jnp.array([0.75, 0.25])[None, :m, None]).sum(1)}

  def loss(params, probs):
    logits, new = s.network().apply(
      {**given, 'params': params},
      images(),
      probs,
      train=True,
      mutable=['batch_stats'],
    )
    return jnp.sin(logits).sum(), new['batch_stats']

  run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
  (full, all_stats), (g_all, p_all) = run(given['params'], probs)
  value, whole, stats, (g, p) = _with_index(s, given, probs, {'edges': index})
  np.testing.assert_allclose([value, whole], full, rtol=1e-10)
  chex.assert_trees_all_close(g, g_all, rtol=1e-8, atol=1e-12)
  ran = weight.sum(1) > 0
  np.testing.assert_allclose(
    p['edges'], jnp.where(ran, p_all['edges'], 0), rtol=1e-8, atol=1e-12
  )
  for i, op in ((0, 2), (0, 3), (1, 3), (2, 3)):
    own = [tree[f'edges[{i}]'][OPS[op].name] for tree in (stats, all_stats)]
    before = given['batch_stats'][f'edges[{i}]'][OPS[op].name]
    right = own[1] if op in index[i] else before
    chex.assert_trees_all_close(own[0], right, rtol=1e-10)
    if op not in index[i]:
      chex.assert_trees_all_equal(own[0], before)


@pytest.mark.slow
def test_computed_again_it_is_the_same():
  given, probs = variables(TINY), probs_of(TINY)
  found = []
  for remat in (False, True):
    net = TINY.network(ops.Numerics(remat=remat))

    def loss(params, net=net):
      logits, new = net.apply(
        {**given, 'params': params},
        images(),
        probs,
        train=True,
        mutable=['batch_stats'],
      )
      return jnp.sin(logits).sum(), new

    found.append(
      jax.jit(jax.value_and_grad(loss, has_aux=True))(given['params'])
    )
  chex.assert_trees_all_close(*found, rtol=1e-4, atol=1e-5)


def test_what_edges_begin_with_is_computed_once_a_node():
  s = tiny(nodes=4, layers=1)
  net, given = s.network(NATIVE), variables(s)

  def program(probs):
    return net.apply(given, images(), probs, train=False)

  text = str(jax.make_jaxpr(program)(probs_of(s)))
  # Six edges leave three nodes; there is a ReLU before the classifier.
  assert text.count('reduce_window_sum[') == 3
  assert text.count('= custom_jvp_call[') == 3 + 1


def test_a_network_without_scales_has_no_parameters_but_kernels_on_edges():
  s = tiny(affine=False)
  params = variables(s)['params']
  for i in range(3):
    leaves = jax.tree_util.tree_leaves_with_path(params[f'edges[{i}]'])
    assert {path[-1].key for path, _ in leaves} == {'kernel'}
  assert 'scale' in params['norm']['norm_relu']['bn']
  with_scales = variables(tiny())['params']['edges[0]']['nor_conv_1x1']
  assert sorted(with_scales['cell0']['bn']) == ['bias', 'scale']


def test_probs_that_lack_the_choice_are_refused():
  with pytest.raises(ValueError, match='probs lacks the choices edges'):
    TINY.network().init(jax.random.key(0), images(), {}, train=False)


def test_a_node_has_each_beginning_once():
  @dataclasses.dataclass(frozen=True)
  class Plain:  # As an op of the user's own, without a beginning.
    name = 'plain'

  x = jnp.array([-1.0, 2.0]).reshape(1, 1, 2, 1)
  found = cell_lib.node(x, (*OPS, Plain(), *OPS), NATIVE)
  assert list(found) == ['', 'relu', 'avg_pool_3x3']
  assert found['avg_pool_3x3'].ravel().tolist() == [0.5, 0.5]
  assert isinstance(spaces.nasbench201().network(), CellNetwork)


def test_a_node_is_the_sum_of_the_edges_that_end_in_it():
  """By hand, in the order of NAS-Bench-201: targets and sources."""
  indices, rng = (2, 4, 1, 1, 2, 4), np.random.default_rng(2)
  s = tiny(nodes=4)
  (cell,) = s.fix(_architecture(*indices, s=s)).cells
  module = cell_lib.OneCell(cell, 2, NATIVE)
  x = jnp.asarray(rng.normal(size=(1, 4, 4, 2)), 'float32')
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))
  given = jax.tree.map(lambda v: 1 + rng.uniform(size=v.shape), shapes)
  nodes = {0: x, 1: 0.0, 2: 0.0, 3: 0.0}
  pairs = (1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)
  for i, (target, source) in enumerate(pairs):
    op = OPS[indices[i]]
    own = {
      name: tree.get(f'edges[{i}]', {}).get(op.name, {}).get('cell', {})
      for name, tree in given.items()
    }
    y = op.module(2, 1, NATIVE).apply(own, nodes[source], False)
    nodes[target] = nodes[target] + y
  y = module.apply(given, x, False)
  np.testing.assert_allclose(y, nodes[3], rtol=1e-5)

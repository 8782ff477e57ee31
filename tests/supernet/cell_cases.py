"""Small spaces of cells, and variables for them that nothing has to compile."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import ops, space

OPS = (
  ops.Zero(),
  ops.SkipConnect(),
  ops.ReluConv(1),
  ops.ReluConv(3),
  ops.AvgPool(3),
)


def tiny(nodes=3, layers=2, affine=True, among=OPS):
  """A stem, a few cells, a classifier of three classes."""
  cell = space.Cell('edges', space.complete(among, nodes), affine)
  inside = [space.CellLayer(f'cell{i}', 'edges', 2) for i in range(layers)]
  all_layers = (
    space.Slot('stem', (ops.Conv(3, 'identity'),), 2),
    *inside,
    space.Slot('norm', (ops.Norm(),), 2),
    space.Slot('classifier', (ops.Classifier(),), 3),
  )
  return space.CellSpace('tiny_cells', 4, 1, (cell,), all_layers)


def images(number=4, dtype='float32'):
  rng = np.random.default_rng(3)
  return jnp.asarray(rng.normal(size=(number, 4, 4, 1)), dtype)


def variables(s, dtype='float32', seed=1):
  """Of its network; no two weights are alike, and statistics are used ones."""
  rng = np.random.default_rng(seed)
  net, probs = s.network(), space.init_alphas(s)
  init = functools.partial(net.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), images(), probs)

  def value(path, shape):
    drawn = rng.normal(size=shape.shape) / 2
    positive = path[-1].key in ('scale', 'var')
    return jnp.asarray(1 + np.abs(drawn) if positive else drawn, dtype)

  return jax.tree_util.tree_map_with_path(value, shapes)


def part(whole, shapes):
  """The part of a tree that has the keys of another one."""
  if not isinstance(shapes, dict):
    return whole
  return {name: part(whole[name], own) for name, own in shapes.items()}


def probs_of(s, dtype='float32', seed=5):
  rng = np.random.default_rng(seed)
  return {
    name: jnp.asarray(rng.dirichlet(np.ones(len(c)), c.shape), dtype)
    for name, c in s.choices.items()
  }

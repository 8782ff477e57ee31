"""The network of a space of cells: mixed, sampled or derived.

Parameters of slots are at `slot / op / ...`, those of edges at `edge / op /
layer / ...`, where `edge` is the single choice, such as `edges[2]`. So all
weights of an option are at `params[choice][option]`, and those of a derived
network are a part of the supernet's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from nasjax.ops import Numerics, Op, Zero
from nasjax.space import Cell, CellLayer, CellSpace, Slot, label
from nasjax.supernet import stacked, switch
from nasjax.supernet.mixed import Mixed

# A node, and what ops begin with there, by name; the node itself is at ''.
Node = Mapping[str, jax.Array]


def node(x: jax.Array, ops: Sequence[Op], numerics: Numerics) -> Node:
  """A node with the beginnings of the ops that leave it, each computed once.

  Args:
    x: `[N, H, W, C]`, the node.
    ops: of all edges that leave it; equal beginnings have equal names, see
      `nasjax.ops.cell`.
    numerics: how they are computed.

  Example:
    >>> from nasjax.ops import ReluConv, Zero
    >>> found = node(jnp.array([-1.0, 2.0]), (ReluConv(1), ReluConv(3), Zero()),
    ...   Numerics())
    >>> {name: x.tolist() for name, x in found.items()}
    {'': [-1.0, 2.0], 'relu': [0.0, 2.0]}
  """
  begun = {'': x}
  for op in ops:
    name = _beginning(op)
    if name and name not in begun:
      begun[name] = op.begin(x, numerics)  # pyrefly: ignore[missing-attribute]
  return begun


def _beginning(op: Op) -> str:
  return getattr(op, 'beginning', '')


class InLayers(nn.Module):
  """One op of an edge; its variables are at `layer / ...`."""

  op: Op
  numerics: Numerics

  @nn.compact
  def __call__(self, x: Node, train: bool, layer: CellLayer) -> jax.Array:
    name = _beginning(self.op)
    more = {'begun': True} if name in x and name else {}
    module = self.op.module(layer.features, 1, self.numerics, **more)
    own = module.clone(name=layer.name, parent=self)
    return own(x[name if more else ''], train)


class EdgeOps(nn.Module):
  """The ops of one edge, in all layers that hold its cell.

  Attributes:
    ops: candidates; with one op `probs` is ignored.
    numerics: how they are computed.
  """

  ops: tuple[Op, ...]
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(
    self,
    x: Node,
    probs: jax.Array | None,
    train: bool,
    layer: CellLayer,
    index: jax.Array | None = None,
  ) -> jax.Array | None:
    """Sum over the ops of prob times output; None where that is no array.

    Args:
      x: the node that the edge reads.
      probs: `f32[ops]`.
      train: whether a batch is normalised by its own statistics.
      layer: the layer in which the edge is.
      index: `i32[m]`, the ops to run; None runs all.
    """
    # At the start every op makes its parameters.
    if index is not None and len(self.ops) > 1:
      if not self.is_initializing():
        return self._drawn(x[''], probs, train, layer, index)
    terms = []
    for i, op in enumerate(self.ops):
      if isinstance(op, Zero):
        continue
      y = InLayers(op, self.numerics, name=op.name)(x, train, layer)
      if len(self.ops) > 1:
        assert probs is not None  # See `CellNetwork`.
        y = probs[i].astype(y.dtype) * y
      terms.append(y)
    return _total(terms)

  def _drawn(self, x, probs, train, layer, index):
    """The ops at an index, of variables that are stacked, taken or neither."""
    key = self.make_rng('dropout') if self.has_rng('dropout') else None
    params, stats = self._of_layer('params', layer), None
    run = switch.one_of(
      Slot(layer.name, self.ops, layer.features), self.numerics, train
    )
    terms = []
    for k, i in enumerate(index):
      stats = self._of_layer('batch_stats', layer) if stats is None else stats
      if stacked.is_taken(params):
        drawn = params[stacked.DRAWN.format(k)]
      else:
        drawn = stacked.at(params, i)
      own = key if key is None else jax.random.fold_in(key, k)
      y, new = run(drawn, x, i, stacked.at(stats, i), own)
      stats = stacked.set_at(stats, new, i)
      terms.append(probs[i].astype(y.dtype) * y)
    if train:
      self._keep(stats, layer)
    return _total(terms)

  def _of_layer(self, collection: str, layer: CellLayer) -> Any:
    """The variables of one layer, stacked, or gathered if they are."""
    whole = self.variables.get(collection, {})
    if self._is_plain(whole):
      each = [whole.get(op.name, {}).get(layer.name, {}) for op in self.ops]
      return stacked.stack_ops(each)
    if stacked.is_taken(whole):
      return {k: _in_layer(part, layer) for k, part in whole.items()}
    return _in_layer(whole, layer)

  def _is_plain(self, whole: Mapping[str, Any]) -> bool:
    return any(op.name in whole for op in self.ops)

  def _keep(self, stats: Any, layer: CellLayer) -> None:
    """Puts a layer's statistics where they are, in the form they have there."""
    whole = self.variables.get('batch_stats', {})
    names = [op.name for op in self.ops]
    for name, before in whole.items():
      if layer.name not in before:
        continue
      new = stats.get(name)
      if new is None:
        row = stacked.at(stats, names.index(name))
        new = stacked.cut(row, before[layer.name])
      self.put_variable('batch_stats', name, {**before, layer.name: new})


def _in_layer(kinds: Mapping[str, Any], layer: CellLayer) -> dict[str, Any]:
  return {k: t[layer.name] for k, t in kinds.items() if layer.name in t}


def _total(terms: Sequence[jax.Array]) -> jax.Array | None:
  return jnp.asarray(sum(terms)) if terms else None


def run_cell(
  cell: Cell,
  edges: Sequence[nn.Module],
  x: jax.Array,
  probs: jax.Array | None,
  train: bool,
  layer: CellLayer,
  index: jax.Array | None = None,
  numerics: Numerics = Numerics(),  # noqa: B008 (frozen)
) -> jax.Array:
  """One cell: the last node, from the first.

  Args:
    cell: the graph.
    edges: an `EdgeOps` for each of its edges.
    x: `[N, H, W, C]`, the first node.
    probs: `f32[edges, ops]`; None where nothing is open.
    train: whether a batch is normalised by its own statistics.
    layer: the layer in which the cell is.
    index: `i32[edges, m]`, the ops that run; None runs all.
    numerics: how it is computed.
  """
  inside = list(zip(cell.edges, edges, strict=True))
  last: jax.Array = x
  nodes: list[Node] = []
  for place in range(cell.nodes):
    if place:
      terms = [
        module(
          nodes[edge.source],
          None if probs is None else probs[i],
          train,
          layer,
          None if index is None else index[i],
        )
        for i, (edge, module) in enumerate(inside)
        if edge.target == place
      ]
      total = _total([y for y in terms if y is not None])
      last = jnp.zeros_like(x) if total is None else total
    # Ops that run alone, or are computed again, begin by themselves.
    alone = index is not None or numerics.remat
    leaving = [] if alone else [e for e in cell.edges if e.source == place]
    ops = [op for edge in leaving for op in edge.ops]
    nodes.append(node(last, ops, numerics))
  return last


class OneCell(nn.Module):
  """A cell by itself, with one op on every edge.

  Example:
    >>> from nasjax.ops import ReluConv, Zero
    >>> from nasjax.space import Edge
    >>> cell = Cell('edges', (Edge(0, 1, (ReluConv(1),)),))
    >>> x = jnp.ones((1, 4, 4, 2))
    >>> y, _ = OneCell(cell, 2).init_with_output(jax.random.key(0), x, False)
    >>> y.shape
    (1, 4, 4, 2)
  """

  cell: Cell
  features: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    edges = edge_modules(self.cell, self.numerics)
    layer = CellLayer('cell', self.cell.name, self.features)
    return run_cell(self.cell, edges, x, None, train, layer)


def edge_modules(cell: Cell, numerics: Numerics) -> list[nn.Module]:
  """An `EdgeOps` for each edge of a cell; called inside a module."""
  make, numerics = EdgeOps, cell.numerics(numerics)
  if numerics.remat:
    train, layer = 3, 4  # The module itself is the first argument.
    make = nn.remat(EdgeOps, static_argnums=(train, layer))
  return [
    make(edge.ops, numerics, name=label(axis))
    for edge, axis in zip(cell.edges, cell.axes, strict=True)
  ]


class CellNetwork(nn.Module):
  """The network of a space of cells, from images to logits.

  With all ops, an edge is the sum of prob times output (Liu et al. 2019, DARTS,
  eq. 2). A node is the sum of its edges.

  Attributes:
    space: what the network holds; with one op on every edge it is an ordinary
      network, and `probs` is `{}`.
    numerics: how it is computed.

  Example:
    >>> from nasjax import relax, space, spaces
    >>> cells = spaces.nasbench201(image_size=8, width=2, cells=1)
    >>> net = CellNetwork(cells)
    >>> images, probs = jnp.zeros((2, 8, 8, 3)), relax.softmax(
    ...   space.init_alphas(cells))
    >>> run = lambda key: net.init_with_output(key, images, probs, train=False)
    >>> logits, variables = jax.eval_shape(run, jax.random.key(0))
    >>> logits.shape, sorted(variables['params']['edges[0]'])
    ((2, 10), ['nor_conv_1x1', 'nor_conv_3x3'])
  """

  space: CellSpace
  numerics: Numerics = Numerics()

  # Ops are sampled for each single choice of a name, see
  # `nasjax.search.form.sampled`.
  samples_each = True

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    probs: Mapping[str, jax.Array],
    *,
    train: bool,
    index: Mapping[str, jax.Array] | None = None,
  ) -> jax.Array:
    """Computes logits.

    Args:
      images: `f32[N, H, W, C]`, normalised.
      probs: cell to `f32[edges, ops]`, for all of `space.choices`.
      train: batch statistics (and `batch_stats` updated) instead of the
        running ones, dropout on.
      index: cell to `i32[edges, m]`, the ops that run on each edge, all
        different. None, or a cell that it lacks, runs all. Ops that do not run
        have no part in the output, whatever their probs, and their
        `batch_stats` stay.

    Returns:
      `f32[N, num_classes]`.

    Raises:
      ValueError: `probs` lacks a choice.
    """
    space = self.space
    missing = [name for name in space.choices if name not in probs]
    if missing:
      raise ValueError(
        f'probs lacks the choices {", ".join(missing)} of {space.name}; give '
        'their probabilities, or derive a network first (nasjax.space.fix).'
      )
    edges = {c.name: edge_modules(c, self.numerics) for c in space.cells}
    x = images
    if self.numerics.dtype is not None:
      x = x.astype(self.numerics.dtype)
    for layer in space.layers:
      if isinstance(layer, Slot):
        x = Mixed(layer, self.numerics, name=layer.name)(x, None, train)
        continue
      cell = space.cell_of(layer)
      x = run_cell(
        cell,
        edges[cell.name],
        x,
        probs[cell.name] if cell.is_open else None,
        train,
        layer,
        (index or {}).get(cell.name) if cell.is_open else None,
        self.numerics,
      )
    return x

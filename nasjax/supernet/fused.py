"""Inverted bottlenecks of one slot, computed as one wide op.

Ops that see the same input are fused up to their projections: one matrix
product, one batch norm and one depthwise convolution over the channels of all
of them. The results are the same, because these layers treat every channel by
itself. A step takes the same time and compiles in two thirds of it, because its
program is shorter.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nasjax.ops import (
  ACTIVATIONS,
  Depthwise,
  MBConv,
  Numerics,
  Op,
  Pointwise,
  SqueezeExcite,
  batch_norm,
)

Tree = Any


def groups(ops: Sequence[Op]) -> list[list[int]]:
  """The places of ops that are computed together, at least two in each group.

  They are of one kernel, activation and bias.

  Args:
    ops: of a slot.

  Example:
    >>> from nasjax.ops import Skip
    >>> groups([MBConv(3, 1), MBConv(5, 6), Skip(), MBConv(3, 6)])
    [[0, 3]]
  """
  together = {}
  for place, op in enumerate(ops):
    # What inherits may have another module; groups of channels are shuffled by
    # each op, and the images that lose their path are drawn by each.
    if type(op) is MBConv and op.groups == 1 and not op.drop_path:
      key = op.kernel, op.activation, op.bias
      together.setdefault(key, []).append(place)
  return [places for places in together.values() if len(places) > 1]


def outputs(
  ops: Sequence[MBConv],
  features: int,
  stride: int,
  numerics: Numerics,
  variables: Mapping[str, Tree],
  x: jax.Array,
  train: bool,
) -> tuple[list[jax.Array], dict[str, Tree]]:
  """What each of some ops computes.

  Args:
    ops: one of the `groups` of a slot.
    features: of the slot.
    stride: of the slot.
    numerics: how they are computed.
    variables: collection to name of an op to what its own module has.
    x: `[N, H, W, C]`, the input of all.
    train: as in `nasjax.supernet.Supernet`.

  Returns:
    `[N, H', W', features]` for each op, and name of an op to its new
    `batch_stats`, which are the old ones unless `train`.

  Example:
    >>> from nasjax.space import Slot
    >>> from nasjax.supernet import Mixed
    >>> ops = MBConv(3, 1), MBConv(3, 2)
    >>> x, probs = jnp.ones((1, 4, 4, 2)), jnp.ones(2) / 2
    >>> init = jax.jit(Mixed(Slot('a', ops, 6)).init, static_argnums=3)
    >>> variables = init(jax.random.key(0), x, probs, False)
    >>> ys, stats = outputs(ops, 6, 1, Numerics(), variables, x, False)
    >>> [y.shape for y in ys], list(stats)
    ([(1, 4, 4, 6), (1, 4, 4, 6)], ['mbconv_k3_e1', 'mbconv_k3_e2'])
  """
  inputs, bias = x.shape[-1], ops[0].bias
  act = ACTIVATIONS[ops[0].activation]
  norm = batch_norm(numerics, train, parent=None)
  # Those that do not expand come first: they have the input itself.
  ordered = sorted(ops, key=lambda op: op.expanded(inputs) != inputs)
  mids = [op.expanded(inputs) for op in ordered]
  wide = [op for op, mid in zip(ordered, mids, strict=True) if mid != inputs]
  plain = len(ops) - len(wide)
  stats = {op.name: {} for op in ops}

  def run(layer, name, some, widths, y):
    """A layer with the channels of some ops, one op behind the other."""
    own = [_of(variables, op, name) for op in some]
    whole = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, -1), *own)
    y, new = layer.apply(whole, y, mutable=['batch_stats'])
    for leaf, value in new.get('batch_stats', {}).items():
      for op, part in zip(some, _split(value, widths), strict=True):
        stats[op.name].setdefault(name, {})[leaf] = part
    return y

  h = [x] * plain
  if wide:
    widths = mids[plain:]
    layer = Pointwise(sum(widths), numerics, bias, parent=None)
    y = run(layer, 'expand', wide, widths, x)
    h.append(act(run(norm, 'expand_bn', wide, widths, y)))
  layer = Depthwise(ops[0].kernel, stride, numerics, bias, parent=None)
  y = run(layer, 'dw', ordered, mids, jnp.concatenate(h, -1))
  y = act(run(norm, 'dw_bn', ordered, mids, y))
  layer = Pointwise(features, numerics, bias, parent=None)
  found = []
  for op, h in zip(ordered, _split(y, mids), strict=True):
    if op.se:
      gate = SqueezeExcite(
        op.squeezed(inputs), op.se_activation, op.se_gate, numerics, parent=None
      )
      h = run(gate, 'se', [op], [h.shape[-1]], h)
    found.append(run(layer, 'project', [op], [features], h))
  widths = [features] * len(ops)
  y = run(norm, 'project_bn', ordered, widths, jnp.concatenate(found, -1))
  adds = stride == 1 and inputs == features
  by_name = {
    op.name: part + x if op.residual and adds else part
    for op, part in zip(ordered, _split(y, widths), strict=True)
  }
  return [by_name[op.name] for op in ops], stats


def _split(y, widths):
  return jnp.split(y, np.cumsum(widths)[:-1], -1)


def _of(variables, op, layer):
  """What a layer of an op has in each collection."""
  return {
    name: tree[op.name][layer]
    for name, tree in variables.items()
    if layer in tree.get(op.name, {})
  }

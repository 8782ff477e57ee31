"""A weight step in which only some ops ran: the others stay as they are.

An op that did not run has a gradient of 0. For an optimizer that is a gradient
like any other: momentum moves the op on, weight decay shrinks it, and moments
fall. Here none of that happens to it.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nasjax.space import Space

Tree = Any


def ran(space: Space, params: Tree, index: Mapping[str, jax.Array]) -> Tree:
  """Which parameters belong to ops that ran.

  Args:
    space: what the supernet holds.
    params: of that supernet, `slot / op / ...`.
    index: slot to `i32[m]`, as the supernet took it.

  Returns:
    The structure of `params`, of `bool[]`. Of a slot with one op all ran.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> slot = tiny.slots[1]
    >>> params = {slot.name: {op.name: {'x': jnp.zeros(3)} for op in slot.ops}}
    >>> mask = ran(tiny, params, {slot.name: jnp.array([1])})[slot.name]
    >>> [bool(mask[op.name]['x']) for op in slot.ops]
    [False, True]
  """
  slots = {slot.name: slot for slot in space.slots}

  def one(path, _):
    slot, op = slots[path[0].key], path[1].key
    if len(slot.ops) == 1:
      return jnp.bool_(True)
    return (index[slot.name] == slot.op_names.index(op)).any()

  return jax.tree_util.tree_map_with_path(one, params)


def update(
  tx: optax.GradientTransformation,
  gradient: Tree,
  opt_state: optax.OptState,
  params: Tree,
  mask: Tree,
) -> tuple[Tree, optax.OptState]:
  """One step of an optimizer, for the parameters in a mask alone.

  What the optimizer keeps of the others (momentum, moments) stays, too. What it
  keeps of no single parameter, as the number of steps, goes on: so a schedule
  and Adam's correction of its start count steps of the search, not of an op.

  Args:
    tx: the optimizer.
    gradient: of the loss, in `params`.
    opt_state: before the step.
    params: before the step.
    mask: the structure of `params`, of `bool[]`.

  Returns:
    Parameters and optimizer state after the step; outside of the mask both are
    the same to the bit.

  Example:
    >>> params = {'a': jnp.ones(1), 'b': jnp.ones(1)}
    >>> tx = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(1.0))
    >>> mask = {'a': jnp.bool_(True), 'b': jnp.bool_(False)}
    >>> zero = jax.tree.map(jnp.zeros_like, params)
    >>> after, _ = update(tx, zero, tx.init(params), params, mask)
    >>> after['a'].tolist(), after['b'].tolist()
    ([0.5], [1.0])
  """
  updates, after = tx.update(gradient, opt_state, params)
  moved = optax.apply_updates(params, updates)
  # A mask of the state: that of a parameter for whatever is kept of it.
  kept = optax.tree.map_params(
    tx,
    lambda _, m: m,
    after,
    mask,
    transform_non_params=lambda x: jax.tree.map(lambda _: True, x),
  )
  return _chosen(mask, moved, params), _chosen(kept, after, opt_state)


def _chosen(mask: Tree, new: Tree, old: Tree) -> Tree:
  return jax.tree.map(
    lambda m, a, b: a if m is True else jnp.where(m, a, b), mask, new, old
  )

"""Optimizer steps of only those weights whose op ran.

For an optimizer a gradient of 0 is one like any other: momentum moves the op
on, weight decay shrinks it, and moments fall. Here neither happens: the weights
that ran are gathered from stacked ones, moved and scattered back
(`nasjax.supernet.stacked`).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nasjax.space import Space
from nasjax.supernet import stacked
from nasjax.supernet.stacked import Index, Tree


def init(
  tx: optax.GradientTransformation, space: Space, params: Tree
) -> optax.OptState:
  """An optimizer's state of stacked parameters.

  What it keeps of each parameter is stacked as they are; what it keeps of all
  of them together, as the number of steps, is there once.

  Args:
    tx: the optimizer. It sees taken parameters, whose ranks are those of the
      ops' own.
    space: what the supernet holds.
    params: its parameters, stacked.

  Example:
    >>> from nasjax import spaces
    >>> slot = spaces.tiny().slots[1]
    >>> rows = {slot.name: {'1d': {'x': jnp.ones((2, 3))}}}
    >>> state = init(optax.sgd(1.0, momentum=0.9), spaces.tiny(), rows)
    >>> state[0].trace[slot.name]['1d']['x'].shape
    (2, 3)
  """
  slots = stacked.several(space)
  most = max((len(slot.ops) for slot in slots.values()), default=1)
  each = []
  for i in range(most):
    index = {n: jnp.array([i % len(s.ops)]) for n, s in slots.items()}
    each.append(tx.init(stacked.take(space, params, index)))

  def joined(*nodes):
    if not _is_like(nodes[0], params):
      return nodes[0]
    return {
      name: jax.tree.map(
        lambda *rows: jnp.stack(rows),
        *(
          n[name][stacked.DRAWN.format(0)]
          for n in nodes[: len(slots[name].ops)]
        ),
      )
      if name in slots
      else part
      for name, part in nodes[0].items()
    }

  like = functools.partial(_is_like, params=params)
  return jax.tree.map(joined, *each, is_leaf=like)


def update(
  tx: optax.GradientTransformation,
  space: Space,
  gradient: Tree,
  opt_state: optax.OptState,
  params: Tree,
  index: Index,
) -> tuple[Tree, optax.OptState]:
  """One step of an optimizer, for the ops that ran alone.

  What the optimizer keeps of the others (momentum, moments) stays, too. What it
  keeps of no single parameter, as the number of steps, goes on: so a schedule
  and Adam's correction of its start count steps of the search, not of an op.

  Args:
    tx: the optimizer.
    space: what the supernet holds.
    gradient: of the loss, in what was taken of `params`.
    opt_state: before the step, as `init` has it.
    params: before the step, stacked.
    index: slot to `i32[m]`, the ops that ran.

  Returns:
    Parameters and optimizer state after the step; of ops that did not run both
    are the same to the bit.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> slot = tiny.slots[1]
    >>> tree = {slot.name: {op.name: {'x': jnp.ones(1)} for op in slot.ops}}
    >>> params = stacked.stack(tiny, tree)
    >>> index = {slot.name: jnp.array([1])}
    >>> tx = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(1.0))
    >>> own, state = stacked.take(tiny, params, index), init(tx, tiny, params)
    >>> zero = jax.tree.map(jnp.zeros_like, own)
    >>> after, _ = update(tx, tiny, zero, state, params, index)
    >>> after[slot.name]['1d']['x'].tolist()
    [[1.0], [0.5]]
  """
  own = stacked.take(space, params, index)
  like = functools.partial(_is_like, params=params)
  own_state = jax.tree.map(
    lambda node: stacked.take(space, node, index) if like(node) else node,
    opt_state,
    is_leaf=like,
  )
  # A wall. The compiler would read old weights again where it writes momentum,
  # and old momentum where it writes weights, and so keep copies of all of them.
  # That an index is not negative is nothing it knows.
  moved, own_state = jax.lax.cond(
    jax.tree.leaves(index)[0][0] >= 0,
    functools.partial(_moved, tx),
    lambda gradient, own_state, own: (own, own_state),
    gradient,
    own_state,
    own,
  )
  after = jax.tree.map(
    lambda node, new: (
      stacked.put(space, node, new, index) if like(node) else new
    ),
    opt_state,
    own_state,
    is_leaf=like,
  )
  return stacked.put(space, params, moved, index), after


def _moved(tx, gradient, opt_state, params):
  updates, opt_state = tx.update(gradient, opt_state, params)
  return optax.apply_updates(params, updates), opt_state


def _is_like(node: Any, params: Tree) -> bool:
  """Whether an optimizer keeps this of every slot."""
  return isinstance(node, Mapping) and set(node) == set(params)

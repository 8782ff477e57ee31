"""Optimizer steps of the weights whose op ran.

An optimizer treats a gradient of 0 like any other: momentum moves the op on,
weight decay shrinks it, and moments decay. So a step gathers the weights of the
ops that ran, updates those, and scatters them back
(`nasjax.supernet.stacked`).
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nasjax.supernet import stacked
from nasjax.supernet.stacked import Index, Options, Tree


def init(
  tx: optax.GradientTransformation, choices: Options, params: Tree
) -> optax.OptState:
  """The state of an optimizer of stacked parameters.

  State that belongs to a parameter is stacked like the parameter. State that
  belongs to all of them, such as the number of steps, exists once.

  Args:
    tx: the optimizer. It sees gathered parameters, which have the ranks of the
      ops' own.
    choices: slot to the names of its ops, as `stacked.stack` had them.
    params: stacked parameters.

  Example:
    >>> rows = {'slot': {'1d': {'x': jnp.ones((2, 3))}}}
    >>> state = init(optax.sgd(1.0, momentum=0.9), {'slot': ('a', 'b')}, rows)
    >>> state[0].trace['slot']['1d']['x'].shape
    (2, 3)
  """
  sizes = {n: len(tuple(ops)) for n, ops in choices.items() if n in params}
  each = []
  for i in range(max(sizes.values(), default=1)):
    index = {name: jnp.array([i % size]) for name, size in sizes.items()}
    each.append(tx.init(stacked.take(choices, params, index)))

  def joined(*nodes):
    if not _is_like(nodes[0], params):
      return nodes[0]
    return {
      name: jax.tree.map(
        lambda *rows: jnp.stack(rows),
        *(n[name][stacked.DRAWN.format(0)] for n in nodes[: sizes[name]]),
      )
      if name in sizes
      else part
      for name, part in nodes[0].items()
    }

  like = functools.partial(_is_like, params=params)
  return jax.tree.map(joined, *each, is_leaf=like)


def update(
  tx: optax.GradientTransformation,
  choices: Options,
  gradient: Tree,
  opt_state: optax.OptState,
  params: Tree,
  index: Index,
) -> tuple[Tree, optax.OptState]:
  """One optimizer step of the ops that ran.

  The optimizer's state of all other ops (momentum, moments) stays. State that
  belongs to all parameters, such as the number of steps, advances: a schedule,
  or Adam's bias correction, counts the steps of the search, not of an op.

  Args:
    tx: the optimizer.
    choices: slot to the names of its ops, as `stacked.stack` had them.
    gradient: of the loss, in the gathered `params`.
    opt_state: before the step, as `init` returns it.
    params: before the step, stacked.
    index: slot to `i32[m]`, the ops that ran.

  Returns:
    Parameters and optimizer state after the step; those of ops that did not run
    are the same to the bit.

  Example:
    >>> choices = {'slot': ('a', 'b')}
    >>> params = stacked.stack(
    ...   choices, {'slot': {op: {'x': jnp.ones(1)} for op in 'ab'}})
    >>> index = {'slot': jnp.array([1])}
    >>> tx = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(1.0))
    >>> own, state = stacked.take(choices, params, index), init(
    ...   tx, choices, params)
    >>> zero = jax.tree.map(jnp.zeros_like, own)
    >>> after, _ = update(tx, choices, zero, state, params, index)
    >>> after['slot']['1d']['x'].tolist()
    [[1.0], [0.5]]
  """
  own = stacked.take(choices, params, index)
  like = functools.partial(_is_like, params=params)
  own_state = jax.tree.map(
    lambda node: stacked.take(choices, node, index) if like(node) else node,
    opt_state,
    is_leaf=like,
  )
  # Without this conditional, XLA would read old weights again where it writes
  # momentum, and old momentum where it writes weights, and so copy all of them.
  # XLA does not know that an index is never negative.
  moved, own_state = jax.lax.cond(
    jnp.ravel(jax.tree.leaves(index)[0])[0] >= 0,
    functools.partial(_moved, tx),
    lambda gradient, own_state, own: (own, own_state),
    gradient,
    own_state,
    own,
  )
  after = jax.tree.map(
    lambda node, new: (
      stacked.put(choices, node, new, index) if like(node) else new
    ),
    opt_state,
    own_state,
    is_leaf=like,
  )
  return stacked.put(choices, params, moved, index), after


def _moved(tx, gradient, opt_state, params):
  updates, opt_state = tx.update(gradient, opt_state, params)
  return optax.apply_updates(params, updates), opt_state


def _is_like(node: Any, params: Tree) -> bool:
  """Whether a node of an optimizer's state has an entry per slot."""
  return isinstance(node, Mapping) and set(node) == set(params)

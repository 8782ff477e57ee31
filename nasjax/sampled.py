"""Weights of which a step needs some: those of the ops that were drawn.

A supernet that runs one op of a slot has weights of all. A gradient of all of
them is zeros but for one op, and costs more the more candidates there are; and
for an optimizer a gradient of 0 is one like any other: momentum moves the op
on, weight decay shrinks it, and moments fall. Here neither happens. A tree of
variables, `slot / op / ...`, takes two other forms:

- stacked, `slot / kind / ...`: leaves of the same place and rank are one array
  with a leading axis of ops, each filled with zeros up to the largest.
- taken, `slot / drawn_0 / kind / ...`: what is at an index of that axis. This
  is what a gradient is of, and what an optimizer moves.

Slots with one op have the same form in all three. In place of an array stands
whatever an optimizer keeps of it.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import traverse_util

from nasjax.space import Slot, Space

Tree = Any
Index = Mapping[str, jax.Array]
DRAWN = 'drawn_{}'


def stack_ops(each: Sequence[Tree]) -> Tree:
  """The stacked form of the variables of a slot's ops.

  Args:
    each: nested dicts, one of each op.

  Returns:
    `kind / ...`, of arrays `[ops, ...]`; 0 where an op has no such leaf.

  Example:
    >>> a, b = {'dw': jnp.ones((3, 3))}, {'dw': jnp.ones((5, 5)), 'pw': 7.0}
    >>> both = stack_ops([a, b])
    >>> both['2d']['dw'].shape, both['0d']['pw'].tolist()
    ((2, 5, 5), [0.0, 7.0])
  """
  places = {}
  for i, tree in enumerate(each):
    for path, leaf in _kinds(tree).items():
      places.setdefault(path, {})[i] = jnp.asarray(leaf)
  out = {}
  for path, found in places.items():
    leaves = list(found.values())
    shape = [
      max(sizes) for sizes in zip(*(x.shape for x in leaves), strict=True)
    ]
    zeros = jnp.zeros(shape, jnp.result_type(*leaves))
    rows = (found.get(i, zeros) for i in range(len(each)))
    out[path] = jnp.stack([_padded(x, shape) for x in rows])
  return traverse_util.unflatten_dict(out)


def cut(taken: Tree, shapes: Tree) -> Tree:
  """The variables of one op, of what was taken at its place.

  Args:
    taken: `kind / ...`.
    shapes: arrays or shapes of the op, in its own form.

  Returns:
    The structure of `shapes`, of the first elements of every axis.
  """
  flat = traverse_util.flatten_dict(taken)
  own = {
    path[1:]: flat[path][tuple(map(slice, shape.shape))]
    for path, shape in _kinds(shapes).items()
  }
  return traverse_util.unflatten_dict(own)


def fill(taken: Tree, own: Tree) -> Tree:
  """`taken` with the variables of one op at the beginning of every axis."""
  flat = traverse_util.flatten_dict(taken)
  for path, leaf in _kinds(own).items():
    corner = tuple(map(slice, leaf.shape))
    flat[path] = flat[path].at[corner].set(leaf)
  return traverse_util.unflatten_dict(flat)


def at(stacked: Tree, i: int | jax.Array) -> Tree:
  """What is kept of one op of a slot, of the stacked form of the slot."""
  one = functools.partial(
    jax.lax.dynamic_index_in_dim, index=i, axis=0, keepdims=False
  )
  return jax.tree.map(one, stacked)


def set_at(stacked: Tree, new: Tree, i: int | jax.Array) -> Tree:
  """`stacked` with `new` in the place of one op; `at` reads it there."""

  def one(whole, x):
    return jax.lax.dynamic_update_index_in_dim(
      whole, x.astype(whole.dtype), i, 0
    )

  return jax.tree.map(one, stacked, new)


def is_taken(slot: Tree) -> bool:
  """Whether a slot's variables are those of the ops that were drawn."""
  return DRAWN.format(0) in slot


def stack(space: Space, tree: Tree) -> Tree:
  """The stacked form of a supernet's variables.

  Args:
    space: what the supernet holds.
    tree: params or `batch_stats`, `slot / op / ...`.
  """
  several = _several(space)

  def own(name):
    return stack_ops([tree[name].get(op, {}) for op in several[name].op_names])

  return {n: own(n) if n in several else part for n, part in tree.items()}


def unstack(space: Space, stacked: Tree, shapes: Tree) -> Tree:
  """What `stack` was given.

  Args:
    space: what the supernet holds.
    stacked: what `stack` returned.
    shapes: of what it was given.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> ops = {op.name: {'x': jnp.ones(3)} for op in tiny.slots[1].ops}
    >>> tree = {tiny.slots[1].name: ops}
    >>> again = unstack(tiny, stack(tiny, tree), tree)
    >>> again[tiny.slots[1].name]['mbconv_k3_e1']['x'].tolist()
    [1.0, 1.0, 1.0]
  """
  several = _several(space)

  def own(name):
    names = several[name].op_names
    return {
      op: cut(at(stacked[name], names.index(op)), shape)
      for op, shape in shapes[name].items()
    }

  return {n: own(n) if n in several else part for n, part in stacked.items()}


def take(space: Space, stacked: Tree, index: Index) -> Tree:
  """What is kept of the ops that run.

  Args:
    space: what the supernet holds.
    stacked: variables, or anything of the same structure.
    index: slot to `i32[m]`, all different.

  Returns:
    The taken form; its cost does not depend on the number of ops.
  """
  several = _several(space)

  def own(name):
    return {
      DRAWN.format(k): at(stacked[name], i) for k, i in enumerate(index[name])
    }

  return {n: own(n) if n in several else part for n, part in stacked.items()}


def put(space: Space, stacked: Tree, taken: Tree, index: Index) -> Tree:
  """`stacked`, in which what was taken is what it has become; in place.

  Args:
    space: what the supernet holds.
    stacked: as `take` had it.
    taken: what it returned, changed.
    index: as `take` had it.
  """
  several = _several(space)

  def own(name):
    whole = stacked[name]
    for k, i in enumerate(index[name]):
      whole = set_at(whole, taken[name][DRAWN.format(k)], i)
    return whole

  return {n: own(n) if n in several else part for n, part in taken.items()}


def init(
  tx: optax.GradientTransformation, space: Space, stacked: Tree
) -> optax.OptState:
  """An optimizer's state of stacked parameters.

  What it keeps of each parameter is stacked as they are; what it keeps of all
  of them together, as the number of steps, is there once.

  Args:
    tx: the optimizer. It sees taken parameters, whose ranks are those of the
      ops' own.
    space: what the supernet holds.
    stacked: its parameters.
  """
  several = _several(space)
  most = max((len(slot.ops) for slot in several.values()), default=1)
  each = []
  for i in range(most):
    index = {n: jnp.array([i % len(s.ops)]) for n, s in several.items()}
    each.append(tx.init(take(space, stacked, index)))

  def joined(*nodes):
    if not _is_like(nodes[0], stacked):
      return nodes[0]
    return {
      name: jax.tree.map(
        lambda *rows: jnp.stack(rows),
        *(n[name][DRAWN.format(0)] for n in nodes[: len(several[name].ops)]),
      )
      if name in several
      else part
      for name, part in nodes[0].items()
    }

  like = functools.partial(_is_like, params=stacked)
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
    >>> params, index = stack(tiny, tree), {slot.name: jnp.array([1])}
    >>> tx = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(1.0))
    >>> own, state = take(tiny, params, index), init(tx, tiny, params)
    >>> zero = jax.tree.map(jnp.zeros_like, own)
    >>> after, _ = update(tx, tiny, zero, state, params, index)
    >>> after[slot.name]['1d']['x'].tolist()
    [[1.0], [0.5]]
  """
  own = take(space, params, index)
  like = functools.partial(_is_like, params=params)
  own_state = jax.tree.map(
    lambda node: take(space, node, index) if like(node) else node,
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
    lambda node, new: put(space, node, new, index) if like(node) else new,
    opt_state,
    own_state,
    is_leaf=like,
  )
  return put(space, params, moved, index), after


def _moved(tx, gradient, opt_state, params):
  updates, opt_state = tx.update(gradient, opt_state, params)
  return optax.apply_updates(params, updates), opt_state


def _several(space: Space) -> dict[str, Slot]:
  return {slot.name: slot for slot in space.slots if len(slot.ops) > 1}


def _kinds(tree: Tree) -> dict[tuple[str, ...], jax.Array]:
  """Leaves by their place, below what they can be stacked with."""
  flat = traverse_util.flatten_dict(tree)
  return {(f'{jnp.ndim(x)}d', *path): x for path, x in flat.items()}


def _padded(x: jax.Array, shape: Sequence[int]) -> jax.Array:
  behind = [(0, n - m) for m, n in zip(x.shape, shape, strict=True)]
  return jnp.pad(x, behind) if behind else x


def _is_like(node: Any, params: Tree) -> bool:
  """Whether an optimizer keeps this of every slot."""
  return isinstance(node, Mapping) and set(node) == set(params)

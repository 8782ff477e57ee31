"""Per-op weights, stacked along a leading op axis.

A step gathers only the ops that it sampled, and scatters them back. Besides
the module's form, `slot / op / ...`, the variables of a supernet have two
forms:

- stacked, `slot / kind / ...`: leaves with the same path and rank form one
  array `[ops, ...]`, padded with zeros to the largest; `kind` is the rank, such
  as `4d`;
- gathered, `slot / drawn_0 / kind / ...`: the rows of the sampled ops.
  Gradients and optimizer updates have this form.

A slot with a single op has the same variables in all three. The state of an
optimizer is stacked like its weights. `nasjax.supernet.switch` runs the
gathered op.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

Tree = Any
# Slot to the names of its ops, or to a `nasjax.space.Choice` of them.
Options = Mapping[str, Iterable[str]]
Index = Mapping[str, jax.Array]
DRAWN = 'drawn_{}'


def stack_ops(each: Sequence[Tree]) -> Tree:
  """The stacked form of the variables of a slot's ops.

  Args:
    each: the variables of each op, nested dicts.

  Returns:
    `kind / ...`, with arrays `[ops, ...]`; zeros where an op has no such leaf.

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
  """The variables of one op in the module's form, without the padding.

  Args:
    taken: the row of the op, `kind / ...`, as `at` returns it.
    shapes: arrays or shapes of the op, in the module's form.

  Returns:
    The structure of `shapes`, with the first elements of every axis.

  Example:
    >>> own = {'dw': jnp.ones((1, 2))}
    >>> taken = at(stack_ops([own, {'dw': jnp.zeros((3, 3))}]), 0)
    >>> cut(taken, own)['dw'].tolist()
    [[1.0, 1.0]]
  """
  flat = _flat(taken)
  own = {
    path[1:]: flat[path][tuple(map(slice, shape.shape))]
    for path, shape in _kinds(shapes).items()
  }
  return traverse_util.unflatten_dict(own)


def fill(taken: Tree, own: Tree) -> Tree:
  """`taken` with the variables of one op at the beginning of every axis.

  Args:
    taken: the row of the op, `kind / ...`.
    own: arrays of the op, in the module's form.

  Returns:
    The structure of `taken`; `cut` returns `own` from it.
  """
  flat = _flat(taken)
  for path, leaf in _kinds(own).items():
    corner = tuple(map(slice, leaf.shape))
    flat[path] = flat[path].at[corner].set(leaf)
  return traverse_util.unflatten_dict(flat)


def at(stacked: Tree, i: int | jax.Array) -> Tree:
  """The row of one op.

  Args:
    stacked: stacked variables of a slot, arrays `[ops, ...]`.
    i: `i32[]`, index of the op.

  Returns:
    Arrays `[...]`, without the axis of ops.
  """

  def one(whole):
    return jax.lax.dynamic_index_in_dim(whole, i, 0, keepdims=False)

  return jax.tree.map(one, stacked)


def set_at(stacked: Tree, new: Tree, i: int | jax.Array) -> Tree:
  """`stacked` with a new row for one op.

  Args:
    stacked: stacked variables of a slot, arrays `[ops, ...]`.
    new: the new row, arrays `[...]`.
    i: `i32[]`, index of the op.

  Returns:
    Arrays `[ops, ...]`.
  """

  def one(whole, x):
    return jax.lax.dynamic_update_index_in_dim(
      whole, x.astype(whole.dtype), i, 0
    )

  return jax.tree.map(one, stacked, new)


def is_taken(slot: Tree) -> bool:
  """Whether the variables of a slot are in the gathered form."""
  return DRAWN.format(0) in slot


def stack(choices: Options, tree: Tree) -> Tree:
  """The stacked form of a supernet's variables.

  Args:
    choices: slot to the names of its ops, in order. Names that are no key of
      `tree` are ignored, so all choices of a space can be given.
    tree: params or `batch_stats`, `slot / op / ...`.

  Returns:
    `slot / kind / ...`, with arrays `[ops, ...]`; other slots are unchanged.
  """

  def own(name):
    return stack_ops([tree[name].get(op, {}) for op in choices[name]])

  return {n: own(n) if n in choices else part for n, part in tree.items()}


def unstack(choices: Options, stacked: Tree, shapes: Tree) -> Tree:
  """Inverts `stack`.

  Args:
    choices: those given to `stack`.
    stacked: the result of `stack`.
    shapes: arrays or shapes of the tree given to `stack`.

  Returns:
    `slot / op / ...`, the module's form.

  Example:
    >>> ops = {'slot': ('a', 'b')}
    >>> tree = {'slot': {'a': {'x': jnp.ones(3)}, 'b': {'x': jnp.ones(2)}}}
    >>> unstack(ops, stack(ops, tree), tree)['slot']['b']['x'].tolist()
    [1.0, 1.0]
  """

  def own(name):
    names = list(choices[name])
    return {
      op: cut(at(stacked[name], names.index(op)), shape)
      for op, shape in shapes[name].items()
    }

  return {n: own(n) if n in choices else part for n, part in stacked.items()}


def take(choices: Options, stacked: Tree, index: Index) -> Tree:
  """Gathers the ops that run.

  Args:
    choices: those given to `stack`.
    stacked: stacked variables, or a tree of the same structure.
    index: slot to `i32[m]`, all different.

  Returns:
    The gathered form; its cost does not depend on the number of ops.

  Example:
    >>> rows = {'slot': {'1d': {'x': jnp.array([[1.0], [2.0]])}}}
    >>> taken = take({'slot': ('a', 'b')}, rows, {'slot': jnp.array([1])})
    >>> taken['slot']['drawn_0']['1d']['x'].tolist()
    [2.0]
  """

  def own(name):
    return {
      DRAWN.format(k): at(stacked[name], i) for k, i in enumerate(index[name])
    }

  return {n: own(n) if n in choices else part for n, part in stacked.items()}


def put(choices: Options, stacked: Tree, taken: Tree, index: Index) -> Tree:
  """Scatters gathered ops back into `stacked`; in place under `jit`.

  Args:
    choices: those given to `stack`.
    stacked: the tree given to `take`.
    taken: gathered variables, of the structure that `take` returns.
    index: the index given to `take`.

  Returns:
    The stacked form, with new rows for the gathered ops.

  Example:
    >>> rows = {'slot': {'1d': {'x': jnp.array([[1.0], [2.0]])}}}
    >>> taken = {'slot': {'drawn_0': {'1d': {'x': jnp.array([5.0])}}}}
    >>> index = {'slot': jnp.array([1])}
    >>> after = put({'slot': ('a', 'b')}, rows, taken, index)
    >>> after['slot']['1d']['x'].tolist()
    [[1.0], [5.0]]
  """

  def own(name):
    whole = stacked[name]
    for k, i in enumerate(index[name]):
      whole = set_at(whole, taken[name][DRAWN.format(k)], i)
    return whole

  return {n: own(n) if n in choices else part for n, part in taken.items()}


def _kinds(tree: Tree) -> dict[tuple[str, ...], jax.Array]:
  """Leaves by their path, below their rank."""
  return {(f'{jnp.ndim(x)}d', *path): x for path, x in _flat(tree).items()}


def _flat(tree: Tree) -> dict[tuple[str, ...], jax.Array]:
  """Leaves by their path."""
  flat = traverse_util.flatten_dict(tree)
  return flat  # pyrefly: ignore[bad-return] # flax: no empty nodes here


def _padded(x: jax.Array, shape: Sequence[int]) -> jax.Array:
  behind = [(0, n - m) for m, n in zip(x.shape, shape, strict=True)]
  return jnp.pad(x, behind) if behind else x

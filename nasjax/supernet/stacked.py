"""Per-op weights, stacked along a leading op axis.

A step gathers only the ops that it sampled, and scatters them back. Variables
of a supernet (`slot / op / ...`) take two other forms:

- stacked, `slot / kind / ...`: leaves of the same place and rank are one array
  `[ops, ...]`, padded with zeros to the largest;
- gathered, `slot / drawn_0 / kind / ...`: the rows of the sampled ops.
  Gradients and optimizer updates have this form.

A slot that is no choice has the same form in all three. An optimizer's state is
stacked like the weights that it belongs to. `nasjax.supernet.switch` runs the
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
    taken: `kind / ...`.
    own: arrays of the op, in its own form; `cut` gives them back.
  """
  flat = _flat(taken)
  for path, leaf in _kinds(own).items():
    corner = tuple(map(slice, leaf.shape))
    flat[path] = flat[path].at[corner].set(leaf)
  return traverse_util.unflatten_dict(flat)


def at(stacked: Tree, i: int | jax.Array) -> Tree:
  """What is kept of one op of a slot.

  Args:
    stacked: of the slot, arrays `[ops, ...]`.
    i: `i32[]`, the op's place.
  """

  def one(whole):
    return jax.lax.dynamic_index_in_dim(whole, i, 0, keepdims=False)

  return jax.tree.map(one, stacked)


def set_at(stacked: Tree, new: Tree, i: int | jax.Array) -> Tree:
  """`stacked` with `new` in the place of one op.

  Args:
    stacked: of a slot, arrays `[ops, ...]`.
    new: arrays `[...]`, as `at` returns them.
    i: `i32[]`, the op's place.
  """

  def one(whole, x):
    return jax.lax.dynamic_update_index_in_dim(
      whole, x.astype(whole.dtype), i, 0
    )

  return jax.tree.map(one, stacked, new)


def is_taken(slot: Tree) -> bool:
  """Whether a slot's variables are those of the ops that were drawn."""
  return DRAWN.format(0) in slot


def stack(choices: Options, tree: Tree) -> Tree:
  """The stacked form of a supernet's variables.

  Args:
    choices: slot to the names of its ops, in order. Names that are no key of
      `tree` are ignored, so all choices of a space can be given.
    tree: params or `batch_stats`, `slot / op / ...`.

  Returns:
    `slot / kind / ...`, of arrays `[ops, ...]`; other slots as they are.
  """

  def own(name):
    return stack_ops([tree[name].get(op, {}) for op in choices[name]])

  return {n: own(n) if n in choices else part for n, part in tree.items()}


def unstack(choices: Options, stacked: Tree, shapes: Tree) -> Tree:
  """Inverts `stack`.

  Args:
    choices: as `stack` had them.
    stacked: what `stack` returned.
    shapes: arrays or shapes of the tree that `stack` was given.

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
    choices: as `stack` had them.
    stacked: variables, or anything of the same structure.
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
    choices: as `stack` had them.
    stacked: as `take` had it.
    taken: what `take` returned, changed.
    index: as `take` had it.

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
  """Leaves by their place, below what they can be stacked with."""
  return {(f'{jnp.ndim(x)}d', *path): x for path, x in _flat(tree).items()}


def _flat(tree: Tree) -> dict[tuple[str, ...], jax.Array]:
  """Leaves by their place."""
  flat = traverse_util.flatten_dict(tree)
  return flat  # pyrefly: ignore[bad-return] # flax: no empty nodes here


def _padded(x: jax.Array, shape: Sequence[int]) -> jax.Array:
  behind = [(0, n - m) for m, n in zip(x.shape, shape, strict=True)]
  return jnp.pad(x, behind) if behind else x

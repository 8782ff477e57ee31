"""Per-op weights, stacked along a leading op axis.

A step gathers only the ops that it sampled, and scatters them back. Variables
of a supernet (`slot / op / ...`) take two other forms:

- stacked, `slot / kind / ...`: leaves of the same place and rank are one array
  `[ops, ...]`, padded with zeros to the largest;
- gathered, `slot / drawn_0 / kind / ...`: the rows of the sampled ops.
  Gradients and optimizer updates have this form.

A slot with one op has the same form in all three. An optimizer's state is
stacked like the weights that it belongs to. `nasjax.supernet.switch` runs the
gathered op.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
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

  Example:
    >>> own = {'dw': jnp.ones((1, 2))}
    >>> taken = at(stack_ops([own, {'dw': jnp.zeros((3, 3))}]), 0)
    >>> cut(taken, own)['dw'].tolist()
    [[1.0, 1.0]]
  """
  flat = traverse_util.flatten_dict(taken)
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
  flat = traverse_util.flatten_dict(taken)
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


def stack(space: Space, tree: Tree) -> Tree:
  """The stacked form of a supernet's variables.

  Args:
    space: what the supernet holds.
    tree: params or `batch_stats`, `slot / op / ...`.

  Returns:
    `slot / kind / ...`, of arrays `[ops, ...]`; slots with one op as they are.
  """
  slots = several(space)

  def own(name):
    return stack_ops([tree[name].get(op, {}) for op in slots[name].op_names])

  return {n: own(n) if n in slots else part for n, part in tree.items()}


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
  slots = several(space)

  def own(name):
    names = slots[name].op_names
    return {
      op: cut(at(stacked[name], names.index(op)), shape)
      for op, shape in shapes[name].items()
    }

  return {n: own(n) if n in slots else part for n, part in stacked.items()}


def take(space: Space, stacked: Tree, index: Index) -> Tree:
  """What is kept of the ops that run.

  Args:
    space: what the supernet holds.
    stacked: variables, or anything of the same structure.
    index: slot to `i32[m]`, all different.

  Returns:
    The taken form; its cost does not depend on the number of ops.

  Example:
    >>> from nasjax import spaces
    >>> slot = spaces.tiny().slots[1]
    >>> rows = {slot.name: {'1d': {'x': jnp.array([[1.0], [2.0]])}}}
    >>> index = {slot.name: jnp.array([1])}
    >>> taken = take(spaces.tiny(), rows, index)
    >>> taken[slot.name]['drawn_0']['1d']['x'].tolist()
    [2.0]
  """
  slots = several(space)

  def own(name):
    return {
      DRAWN.format(k): at(stacked[name], i) for k, i in enumerate(index[name])
    }

  return {n: own(n) if n in slots else part for n, part in stacked.items()}


def put(space: Space, stacked: Tree, taken: Tree, index: Index) -> Tree:
  """`stacked`, in which what was taken is what it has become; in place.

  Args:
    space: what the supernet holds.
    stacked: as `take` had it.
    taken: what it returned, changed.
    index: as `take` had it.

  Example:
    >>> from nasjax import spaces
    >>> slot = spaces.tiny().slots[1]
    >>> rows = {slot.name: {'1d': {'x': jnp.array([[1.0], [2.0]])}}}
    >>> index = {slot.name: jnp.array([1])}
    >>> taken = {slot.name: {'drawn_0': {'1d': {'x': jnp.array([5.0])}}}}
    >>> after = put(spaces.tiny(), rows, taken, index)
    >>> after[slot.name]['1d']['x'].tolist()
    [[1.0], [5.0]]
  """
  slots = several(space)

  def own(name):
    whole = stacked[name]
    for k, i in enumerate(index[name]):
      whole = set_at(whole, taken[name][DRAWN.format(k)], i)
    return whole

  return {n: own(n) if n in slots else part for n, part in taken.items()}


def several(space: Space) -> dict[str, Slot]:
  """The slots with more than one op, by name."""
  return {slot.name: slot for slot in space.slots if len(slot.ops) > 1}


def _kinds(tree: Tree) -> dict[tuple[str, ...], jax.Array]:
  """Leaves by their place, below what they can be stacked with."""
  flat = traverse_util.flatten_dict(tree)
  return {(f'{jnp.ndim(x)}d', *path): x for path, x in flat.items()}


def _padded(x: jax.Array, shape: Sequence[int]) -> jax.Array:
  behind = [(0, n - m) for m, n in zip(x.shape, shape, strict=True)]
  return jnp.pad(x, behind) if behind else x

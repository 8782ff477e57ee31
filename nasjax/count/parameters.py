"""Which leaves of a pytree are trainable parameters.

An `nnx.Param` is one, and no other `nnx.Variable` is. Of Linen variables, the
collection `params` holds them, wherever in the tree it is; nothing next to that
collection does (statistics, or the step and the optimizer of a train state).
Collections that Flax names otherwise hold none either. A tree without any of
these is taken for parameters as a whole.
"""

import numbers
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nasjax.count.jaxpr import bind, size

# Collections of Linen modules, and of their users, that nobody trains.
_STATE = frozenset(
  'batch_stats cache constants intermediates losses perturbations '
  '_overwrite_with_gradient'.split()
)

_Path = tuple[str, ...]


class Leaf(NamedTuple):
  """A leaf of a pytree, as far as it is a parameter.

  Attributes:
    path: keys on the way to it, apart from `params`; `()` of what is no
      parameter.
    size: its elements; 0 of what is no parameter.
    first: index of the leaf at which it counts, which is another one where an
      array is shared; None of what is no parameter.
  """

  path: _Path = ()
  size: int = 0
  first: int | None = None

  @property
  def module(self) -> str:
    """Path of the module that it is a parameter of."""
    return '/'.join(self.path[:-1] or self.path)


def leaves(tree: Any) -> list[Leaf]:
  """The leaves of a pytree, in the order of `jax.tree.leaves`.

  Args:
    tree: pytree of arrays or `jax.ShapeDtypeStruct`s.

  Returns:
    One for every leaf. An array, or an `nnx.Param`, that is the same object in
    several places counts at the first of them; shapes are never the same.

  Raises:
    TypeError: a leaf among parameters is no number and no array of numbers.
    ValueError: a leaf is neither a parameter nor known to be none.

  Example:
    >>> leaves({'params': {'w': np.ones(3)}, 'batch_stats': {'m': np.ones(3)}})
    [Leaf(path=(), size=0, first=None), Leaf(path=('w',), size=3, first=1)]
  """
  items, found, seen = _items(tree), [], {}
  for (path, item), name in zip(items, _names(items), strict=True):
    for i, leaf in enumerate(jax.tree.leaves(item)):
      if not name:
        found.append(Leaf())
        continue
      _check_number(leaf, path)
      place = len(found)
      shared = _is_variable(item) or isinstance(leaf, (jax.Array, np.ndarray))
      owner = item if _is_variable(item) else leaf
      first = seen.setdefault((id(owner), i) if shared else place, place)
      found.append(Leaf(name, size(jnp.shape(leaf)), first))
  return found


def total(found: Sequence[Leaf]) -> int:
  """Elements of all parameters, each counted once."""
  return sum(leaf.size for i, leaf in enumerate(found) if leaf.first == i)


def module_shapes(module: nn.Module, *inputs: Any, **kwargs: Any) -> Any:
  """The variables of a Flax module as shapes; none of them is allocated.

  Args:
    module: the module.
    *inputs: arguments of its `__call__`: pytrees of arrays or shapes.
    **kwargs: arrays are traced; any other value (`train=False`) is static.

  Returns:
    Variables as `init` returns them, of `jax.ShapeDtypeStruct`s. The collection
    `params` is always there, so that `params` counts 0 where it is empty.

  Example:
    >>> import jax.numpy as jnp
    >>> shapes = module_shapes(nn.Dense(10), jnp.zeros((1, 4)))
    >>> shapes['params']['kernel'].shape
    (4, 10)
  """
  init, arrays = bind(module.init, kwargs)
  key = jax.eval_shape(lambda: jax.random.key(0))
  return with_params(jax.eval_shape(init, key, *inputs, arrays=arrays))


def with_params(variables: Mapping[str, Any]) -> Mapping[str, Any]:
  """Linen variables with the collection `params`, empty if they had none.

  Example:
    >>> with_params({'my_state': {'x': 1}})
    {'params': {}, 'my_state': {'x': 1}}
  """
  if not isinstance(variables, Mapping) or 'params' in variables:
    return variables
  return {'params': {}, **variables}


def _items(tree: Any) -> list[tuple[_Path, Any]]:
  """Leaves, `nnx` variables, and what is empty, with their paths."""

  def is_item(x):
    is_empty = x is None or (isinstance(x, Mapping | Sequence) and not x)
    return is_empty or _is_variable(x)

  return [
    (tuple(jax.tree_util.keystr((key,), simple=True) for key in keys), item)
    for keys, item in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_item)
  ]


def _is_variable(x: Any, kind: str = 'Variable') -> bool:
  # Importing nnx takes time, and whoever has a variable has imported it.
  nnx = sys.modules.get('flax.nnx')
  return nnx is not None and isinstance(x, getattr(nnx, kind))


def _names(items: Sequence[tuple[_Path, Any]]) -> list[_Path]:
  """For each item its path as a parameter, or `()`."""
  # Where collections are: the paths up to `params`.
  holders = {
    path[: path.index('params')] for path, _ in items if 'params' in path
  }
  is_flax = bool(holders) or any(_is_variable(item) for _, item in items)
  # Bare parameters may be of a submodule that is named so, further down.
  deep = None if is_flax else 1
  is_state = [bool({*path[:-1][:deep]} & _STATE) for path, _ in items]
  is_bare = not is_flax and not any(is_state)

  def name(path, item, is_state):
    depth = next((i for i in range(len(path)) if path[:i] in holders), None)
    inside = depth is not None and path[depth] == 'params'
    short = path[:depth] + path[depth + 1 :] if inside else path
    short = short or path or ('variables',)
    if _is_variable(item):
      return short if _is_variable(item, 'Param') else ()
    if inside or is_bare:
      return short
    if depth is None and not is_state and jax.tree.leaves(item):
      raise ValueError(
        f'{"/".join(path)!r} is neither known as a parameter nor as anything '
        'else: it is no nnx.Param and in no collection of Flax, as other '
        'leaves are; give the parameters alone, or as {"params": parameters}.'
      )
    return ()

  return [
    name(*item, state) for item, state in zip(items, is_state, strict=True)
  ]


def _check_number(leaf: Any, path: _Path) -> None:
  if isinstance(leaf, numbers.Number) and not isinstance(leaf, bool):
    return
  dtype = getattr(leaf, 'dtype', None) if hasattr(leaf, 'shape') else None
  # Keys have a dtype of JAX's own.
  if isinstance(dtype, np.dtype) and jnp.issubdtype(dtype, np.number):
    return
  kind = type(leaf).__name__ if dtype is None else f'an array of {dtype}'
  at = f' at {"/".join(path)!r}' if path else ''
  raise TypeError(
    f'count.params requires arrays of numbers, got {kind}{at}; of a module '
    'give it module_shapes(module, *inputs).'
  )

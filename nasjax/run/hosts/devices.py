"""All devices of a run, in one step.

A batch is split over them and everything else is on each; the compiler does the
rest, so that a step computes what it computes on one device.
"""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from nasjax.errors import InputError

_AXIS = 'batch'


def split(batch_size: int) -> NamedSharding | None:
  """How a batch is split; None where there is one device.

  Raises:
    InputError: the batch cannot be split evenly.
  """
  found = jax.devices()
  if len(found) == 1:
    return None
  if batch_size % len(found):
    raise InputError(
      f'batch_size is {batch_size}; to be split over {len(found)} devices it '
      f'must be a multiple of {len(found)}'
    )
  mesh = Mesh(np.array(found), (_AXIS,))
  return NamedSharding(mesh, PartitionSpec(_AXIS))


def everywhere(tree: Any, sharding: NamedSharding | None) -> Any:
  """Puts arrays on every device over which batches are split.

  Where these belong to several processes, each has the same arrays.
  """
  if sharding is None:
    return jax.device_put(tree)
  where = _copied(sharding)
  if where.is_fully_addressable:
    return jax.device_put(tree, where)
  return jax.tree.map(lambda leaf: _global(leaf, where), tree)


def joined(tree: Any, sharding: NamedSharding | None) -> Any:
  """A batch, split over all devices, of the share that each process has."""
  if sharding is None:
    return tree
  return jax.tree.map(lambda leaf: _global(leaf, sharding), tree)


def own(tree: Any) -> Any:
  """What every device has, for this process alone."""
  return tree if jax.process_count() == 1 else jax.device_get(tree)


def _global(leaf: Any, sharding: NamedSharding) -> jax.Array:
  if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(
    leaf.dtype, jax.dtypes.prng_key
  ):
    data = _global(jax.random.key_data(leaf), sharding)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
  found = np.asarray(leaf)
  return jax.make_array_from_process_local_data(sharding, found)


def shapes_everywhere(tree: Any, sharding: NamedSharding | None) -> Any:
  """Shapes of what `everywhere` gives for arrays of the shapes in `tree`."""
  where = None if sharding is None else _copied(sharding)
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree
  )


def _copied(sharding: NamedSharding) -> NamedSharding:
  return NamedSharding(sharding.mesh, PartitionSpec())

"""All devices of this machine, in one step.

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
  found = jax.local_devices()
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
  """Puts arrays on every device over which batches are split."""
  if sharding is None:
    return jax.device_put(tree)
  return jax.device_put(tree, _copied(sharding))


def shapes_everywhere(tree: Any, sharding: NamedSharding | None) -> Any:
  """Shapes of what `everywhere` gives for arrays of the shapes in `tree`."""
  where = None if sharding is None else _copied(sharding)
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree
  )


def _copied(sharding: NamedSharding) -> NamedSharding:
  return NamedSharding(sharding.mesh, PartitionSpec())

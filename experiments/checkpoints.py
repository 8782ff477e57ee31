"""stub"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import jax


class Checkpoints(NamedTuple):
  restore: Callable
  save: Callable


@contextlib.contextmanager
def open(path, identity, feed=None):
  import orbax.checkpoint as ocp

  options = ocp.CheckpointManagerOptions(
    max_to_keep=2, enable_async_checkpointing=False
  )
  with ocp.CheckpointManager(path.absolute(), options=options) as manager:

    def restore(state):
      step = manager.latest_step()
      if step is None:
        return state
      target = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
      args = {'state': ocp.args.StandardRestore(target)}
      if feed is not None:
        args['feed'] = ocp.args.JsonRestore()
      found = manager.restore(step, args=ocp.args.Composite(**args))
      if feed is not None:
        feed.set_state(found['feed'])
      return found['state']

    def save(step, state):
      if manager.latest_step() == step:
        return
      args = {'state': ocp.args.StandardSave(state)}
      if feed is not None:
        args['feed'] = ocp.args.JsonSave(feed.get_state())
      manager.save(step, args=ocp.args.Composite(**args))

    yield Checkpoints(restore, save)

"""The parts of a checkpoint, as Orbax has stored them."""

import contextlib
import inspect
import pathlib
import sys
from collections.abc import Generator
from typing import Any

from absl import logging

from nasjax.run.hosts import processes


def read_through(path: pathlib.Path) -> int:
  """Reads all arrays of a state, whatever they are, and counts them."""
  import tensorstore as ts

  file = {'driver': 'file', 'path': f'{path}/'}
  ocdbt = {'driver': 'ocdbt', 'base': file}
  keys = ts.KvStore.open(ocdbt).result().list().result()
  names = [key.decode() for key in keys if key.endswith(b'/.zarray')]
  for name in names:
    at = {**ocdbt, 'path': name.removesuffix('.zarray')}
    array = ts.open({'driver': 'zarr', 'kvstore': at}, open=True)
    array.result().read().result()
  return len(names)


def read(
  path: pathlib.Path, step: int, like: Any, *, fed: bool, alone: bool = False
) -> tuple[Any, Any]:
  """State, and where the feed stood.

  Args:
    path: of all checkpoints.
    step: of one of them.
    like: the state's shapes and types, and where its arrays are to be.
    fed: whether there is a feed.
    alone: read by this process, which waits for no other one.
  """
  import orbax.checkpoint as ocp

  path = path / str(step)
  options = processes.alone() if alone else {}
  with quiet(), ocp.StandardCheckpointer(**options) as reader:
    state = reader.restore(path / 'state', like)
  return state, document(path / 'feed') if fed else None


def document(path: pathlib.Path) -> Any:
  """A part of a checkpoint that is JSON."""
  import orbax.checkpoint as ocp

  options = processes.alone()
  handler = ocp.JsonCheckpointHandler(**options)
  with quiet(), ocp.Checkpointer(handler, **options) as reader:
    return reader.restore(path)


@contextlib.contextmanager
def quiet() -> Generator[None]:
  """Keeps Orbax from printing errors besides raising one.

  The tasks for other arrays outlive one that fails: each prints a traceback
  when it ends, some time later.
  """
  level, hook = logging.get_verbosity(), sys.unraisablehook

  def left_over(found):
    ended = str(found.exc_value) == 'Event loop is closed'
    if not ended and not inspect.iscoroutine(found.object):
      hook(found)

  logging.set_verbosity(logging.FATAL)
  sys.unraisablehook = left_over
  yield
  # After an error they stay as they are, for what still runs in threads.
  sys.unraisablehook = hook
  logging.set_verbosity(level)

"""Checkpoints of a run: whole, of this run, or not taken.

    checkpoints/STEP/          state, feed (where images stream) and record
    checkpoints_damaged/STEP   what could not be read, moved out of the way

The record has the run's identity and a digest of all that is kept, since
Orbax does not notice every byte that a disk has changed. A run goes on from the
newest checkpoint that is whole.
"""

import contextlib
import errno
import functools
import json
import os
import pathlib
import re
import sys
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import jax
import numpy as np

from nasjax import files
from nasjax.errors import InputError
from nasjax.printable import printable
from nasjax.run.hosts import processes
from nasjax.run.workdir import (
  checkpoint_digest,
  stored,
)

_STEP = re.compile(r'0|[1-9]\d*')
_REFUSED = -2


class Checkpoints(NamedTuple):
  """What a run does with its checkpoints.

  Attributes:
    restore: `state -> state`, the one to go on from; the argument if there is
      no whole one.
    save: `(step, state)`; every process of the run calls it.
  """

  restore: Callable[[Any], Any]
  save: Callable[[int, Any], None]


@contextlib.contextmanager
def open(
  path: pathlib.Path, identity: str, feed: Any = None
) -> Generator[Checkpoints]:
  """Opens the checkpoints of a run.

  Args:
    path: their folder, which may not exist yet. One whose name ends in
      `_damaged` is made beside it where it is needed.
    identity: a short text that no other run has.
    feed: has `get_state` and `set_state` for where it stands, a JSON document;
      None where there is none.

  Yields:
    How to restore and save. `restore` raises an InputError for a checkpoint of
    another run or version, and `save` one where it cannot write; whatever is
    there stays there then.

  Example:
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / 'checkpoints'
    >>> with open(path, 'seed 0') as kept:
    ...   kept.save(3, {'x': jax.numpy.float32(0.5)})
    >>> with open(path, 'seed 0') as kept:
    ...   kept.restore({'x': jax.numpy.float32(0.0)})
    {'x': Array(0.5, dtype=float32)}
    >>> folder.cleanup()
  """
  path = path.absolute()
  with contextlib.ExitStack() as ends:
    # Made when it is needed, in a folder that `restore` has tidied up.
    manager = functools.cache(lambda: ends.enter_context(_manager(path)))

    def restore(state: Any) -> Any:
      found = _restored(path, identity, state, feed is not None)
      if found is None:
        return state
      state, document = found
      if feed is not None:
        feed.set_state(document)
      return state

    def save(step: int, state: Any) -> None:
      with files.writing(path / str(step)), stored.quiet():
        if manager().latest_step() != step:
          _save(manager(), identity, step, state, feed)

    yield Checkpoints(restore, save)


def _manager(path: pathlib.Path) -> Any:
  import orbax.checkpoint as ocp  # Takes a second: not for who only counts.

  options = ocp.CheckpointManagerOptions(
    max_to_keep=2,
    enable_async_checkpointing=False,
    # Or files that need not be there are read, and may be damaged.
    lightweight_initialize=True,
  )
  return ocp.CheckpointManager(path, options=options)


def _save(
  manager: Any, identity: str, step: int, state: Any, feed: Any
) -> None:
  import orbax.checkpoint as ocp

  document = None if feed is None else feed.get_state()
  record = checkpoint_digest.make(identity, step, state, document)
  items = {
    'state': ocp.args.StandardSave(state),
    'record': ocp.args.JsonSave(record),
  }
  if document is not None:
    items['feed'] = ocp.args.JsonSave(document)
  manager.save(step, args=ocp.args.Composite(**items))


# Which checkpoint to go on from.


class _DamagedError(Exception):
  """A checkpoint that is not whole; its text says why in a few words."""


def _restored(
  path: pathlib.Path, identity: str, state: Any, fed: bool
) -> tuple[Any, Any] | None:
  """State and feed of the newest whole checkpoint; None if there is none.

  Where several processes run, the first decides for all.
  """
  read = functools.partial(stored.read, path, fed=fed)
  if jax.process_count() == 1:
    _, found = _newest(path, identity, read, _like(state))
    return found
  from jax.experimental import multihost_utils

  step = _REFUSED
  try:
    if processes.first():
      here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
      like = _like(state, here)
      step, _ = _newest(
        path, identity, functools.partial(read, alone=True), like
      )
      step = -1 if step is None else step
  finally:
    step = int(multihost_utils.broadcast_one_to_all(np.int32(step)))
  if step == _REFUSED:
    raise InputError(f'process 0 does not take the checkpoints in {path}')
  return None if step < 0 else read(step, _like(state))


def _like(state: Any, sharding: Any = None) -> Any:
  """Shapes and types of a state, and where its arrays are to be."""

  def shape(x):
    where = sharding or getattr(x, 'sharding', None)
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where)

  return jax.tree.map(shape, state)


def _newest(
  path: pathlib.Path,
  identity: str,
  read: Callable[[int, Any], tuple[Any, Any]],
  like: Any,
) -> tuple[int | None, tuple[Any, Any] | None]:
  """The newest whole checkpoint, its step and what it holds.

  Damaged ones are moved aside, each with a line on stderr.

  Raises:
    InputError: the newest whole one is of another run or version. Nothing is
      moved then.
  """
  steps = _steps(path)
  damaged = {s: 'it is no folder' for s in steps if not (path / s).is_dir()}
  step, found = None, None
  for name in steps:
    if name in damaged:
      continue
    try:
      found = _whole(path / name, identity, read, like)
      step = int(name)
      break
    except (InputError, MemoryError):
      raise
    except Exception as e:
      damaged[name] = _in_few_words(path / name, e)
  start = 'the start' if step is None else f'step {step}'
  for name, why in damaged.items():
    aside = _move_aside(path, name)
    line = (
      f'{path / name} is damaged ({why}); it is now {aside}, and the run goes '
      f'on from {start}'
    )
    print(printable(line), file=sys.stderr)
  return step, found


def _steps(path: pathlib.Path) -> list[str]:
  """Names of all that looks like a checkpoint, the newest first."""
  try:
    names = [p.name for p in path.iterdir()]
  except FileNotFoundError:
    return []
  except OSError as e:
    raise InputError(f'cannot read {path}: {e.strerror}') from e
  return sorted(filter(_STEP.fullmatch, names), key=int, reverse=True)


def _whole(
  path: pathlib.Path,
  identity: str,
  read: Callable[[int, Any], tuple[Any, Any]],
  like: Any,
) -> tuple[Any, Any]:
  """State and feed of one checkpoint; any error says that it is damaged.

  Raises:
    InputError: it is of another run or version.
  """
  files.check_all_regular(path)
  if not (path / 'record').exists():
    _refuse_earlier(path)
    raise _DamagedError('it has no record')
  try:
    record = stored.document(path / 'record')
  except Exception as e:
    raise _DamagedError('its record cannot be read') from e
  if not checkpoint_digest.intact(record):
    raise _DamagedError('its record is not what was written')
  if record['identity'] != identity:
    raise InputError(
      f'{path} is a checkpoint of another run; move it away, or give another '
      'workdir'
    )
  if record['layout'] != checkpoint_digest.layout(like):
    raise InputError(
      f'{path} is a checkpoint of other arrays, as of another version of this '
      'program; install that one, or give another workdir'
    )
  if str(record['step']) != path.name:
    raise _DamagedError(f'it holds step {record["step"]}')
  found = read(int(path.name), like)
  if checkpoint_digest.digest(*found) != record['digest']:
    raise _DamagedError('its bytes are not those that were written')
  return found


def _refuse_earlier(path: pathlib.Path) -> None:
  """Raises InputError for a whole checkpoint without a record."""
  for name in 'default', 'state':
    with contextlib.suppress(Exception):
      json.loads((path / name / '_METADATA').read_text())
      if stored.read_through(path / name):
        break
  else:
    return
  raise InputError(
    f'{path} was written by an earlier version of this program; install that '
    'one, or give another workdir'
  )


def _in_few_words(path: pathlib.Path, error: Exception) -> str:
  """Why a checkpoint is damaged.

  Raises:
    InputError: it may be whole, but this process cannot read it.
  """
  why = files.reason(error)
  if why in (os.strerror(errno.EACCES), os.strerror(errno.EMFILE)):
    raise InputError(f'cannot read {path}: {why}') from error
  line = ' '.join(str(error).split()) or type(error).__name__
  return line if len(line) <= 100 else line[:97] + '...'


def _move_aside(path: pathlib.Path, name: str) -> pathlib.Path:
  """Moves a checkpoint out of the way; where it is then."""
  folder = path.with_name(path.name + '_damaged')
  aside, number = folder / name, 1
  with files.writing(aside):
    folder.mkdir(exist_ok=True)
    while os.path.lexists(aside):
      aside = folder / f'{name}.{number}'
      number += 1
    (path / name).rename(aside)
  return aside

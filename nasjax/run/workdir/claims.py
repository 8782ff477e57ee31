"""A workdir is claimed by one run, and held by one process.

A workdir holds

    config.json      the flags of the run, written before it starts
    lock             says which process works there
    metrics.jsonl    one line per logged step
    checkpoints/     the whole state, by Orbax; `checkpoints_damaged/` has those
                     that could not be read
    diverged.json    why the run ended, if it diverged
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Generator
from typing import Any

from nasjax import files
from nasjax.errors import InputError
from nasjax.run import hardware, record
from nasjax.run.hosts import processes
from nasjax.run.workdir import lock


@contextlib.contextmanager
def claimed(
  workdir: str | pathlib.Path, config: dict[str, Any]
) -> Generator[pathlib.Path]:
  """Claims a workdir and locks it for this process; see `claim`.

  Raises:
    InputError: as `claim`, or another process works in the workdir.
  """
  if not processes.first():
    yield claim(workdir, config)
    return
  path = pathlib.Path(workdir).expanduser()
  try:
    # Before a lock is put into what may be no workdir at all.
    _decide(path, _complete(config))
    with files.writing(path):
      path.mkdir(parents=True, exist_ok=True)
    held = lock.hold(path)
    held.__enter__()
  except BaseException:
    processes.wait('claim')
    raise
  with contextlib.ExitStack() as stack:
    stack.push(held.__exit__)
    yield claim(path, config)


def claim(workdir: str | pathlib.Path, config: dict[str, Any]) -> pathlib.Path:
  """Makes a workdir that of this run, or checks that it is.

  A workdir without any step accepts another config, so that a mistyped flag can
  be corrected.

  Args:
    workdir: made if it does not exist.
    config: everything that decides what the run computes; versions are added.

  Returns:
    The workdir as a path.

  Raises:
    InputError: the workdir holds a run with another config, or files of no
      run. Nothing is changed then.
  """
  workdir = pathlib.Path(workdir).expanduser()
  if not processes.first():
    processes.wait('claim')
  try:
    _claim(workdir, _complete(config))
    if processes.first():
      hardware.say()
    return workdir
  finally:
    # In any case: the other processes see the same outcome.
    if processes.first():
      processes.wait('claim')


def _complete(config: dict[str, Any]) -> dict[str, Any]:
  return json.loads(json.dumps({**config, 'versions': record.versions()}))


def _claim(workdir: pathlib.Path, config: dict[str, Any]) -> None:
  if not _decide(workdir, config):
    return
  with files.writing(workdir):
    workdir.mkdir(parents=True, exist_ok=True)
    # It is that of a network that was never trained.
    (workdir / 'architecture.json').unlink(missing_ok=True)
  files.write_json(workdir / 'config.json', config)


def _decide(workdir: pathlib.Path, config: dict[str, Any]) -> bool:
  """Whether a config has to be written; raises where it must not be."""
  path = workdir / 'config.json'
  try:
    str(workdir.absolute()).encode()
  except UnicodeEncodeError as e:
    raise InputError(
      f'workdir {workdir} has a name that is not in UTF-8, which '
      'checkpoints need; give another one'
    ) from e
  try:
    if path.exists():
      found = record.read_json(path)
      if not isinstance(found, dict):
        raise InputError(f'{path} is not what a run writes: no JSON object')
      if found != config and not _untouched(workdir):
        _check_same(workdir, found, config)
        return False  # One side lacks a field that is null: the same run.
      return found != config
    if workdir.exists() and not workdir.is_dir():
      raise InputError(f'workdir {workdir} is a file; give a directory')
    if workdir.exists() and any(map(_foreign, workdir.iterdir())):
      raise InputError(
        f'workdir {workdir} holds files but no run; give an empty one'
      )
  except OSError as e:
    raise InputError(f'workdir {workdir}: {e.strerror}') from e
  return True


def _foreign(path: pathlib.Path) -> bool:
  # A kill while the config was written leaves its unfinished part alone.
  # Locks of parts of a sweep have a suffix.
  return path.stem != lock.NAME and not path.name.endswith('.part')


def _untouched(workdir: pathlib.Path) -> bool:
  """Whether no step was taken in a claimed workdir."""
  for path in workdir.iterdir():
    if path.name in ('config.json', 'architecture.json') or not _foreign(path):
      continue
    if path.name == 'metrics.jsonl' and path.is_file():
      if path.stat().st_size == 0:
        continue
    if path.name == 'checkpoints' and path.is_dir():
      if not any(p.name.isdigit() for p in path.iterdir()):
        continue
    # Searches of a sweep have workdirs in this folder.
    if path.name == 'searches' and path.is_dir():
      if all(map(_unused, path.iterdir())):
        continue
    return False
  return True


def _unused(path: pathlib.Path) -> bool:
  """Whether no step was taken in a workdir, and no process is in it."""
  locked = os.path.lexists(path / lock.NAME)
  return path.is_dir() and not locked and _untouched(path)


def _check_same(
  workdir: pathlib.Path, found: dict[str, Any], config: dict[str, Any]
) -> None:
  """Raises InputError, with what differs, unless two configs are the same."""
  alone = [k for k in found if k not in config]
  if alone and not config.keys() <= found.keys():
    raise InputError(
      f'workdir {workdir} holds a run of another script, or of another version '
      f'of this one, which was told {", ".join(alone[:3])}; give another '
      'workdir'
    )
  flags = [{**c, 'versions': None} for c in (found, config)]
  if differ := _differences(*flags):
    raise InputError(
      f'workdir {workdir} holds a run with other values: {differ}. Give the '
      'same values or another workdir'
    )
  if differ := _differences(*(_versions_in(c) for c in (found, config))):
    raise InputError(
      f'workdir {workdir} holds a run made by other versions: {differ}. '
      'Install those or give another workdir'
    )


def _versions_in(config: dict[str, Any]) -> dict[str, Any]:
  found = config.get('versions')
  return found if isinstance(found, dict) else {'all': found}


def _differences(found: dict[str, Any], config: dict[str, Any]) -> str:
  return '; '.join(
    f'{k} was {found.get(k)} and is {config.get(k)}'
    for k in sorted({*found, *config})
    if found.get(k) != config.get(k)
  )

"""One run per workdir: a second one is refused while the first is alive.

The file `lock` in a workdir says which process holds it. Three things tell a
live holder from a lock that a kill or a crash left:

    flock       the system drops it with the process; it may not reach from one
                host to another, and some network file systems lack it
    process     on the same host: its number, its start time and the boot
    heartbeat   from other hosts: the holder sets the file's time every 15 s;
                after 60 s without, by the clock of the file system, it is gone
"""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import secrets
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from nasjax import files
from nasjax.errors import InputError
from nasjax.run.workdir import holder

NAME = 'lock'
BEAT_S = 15.0
STALE_S = 60.0
# Two hosts may take over one stale lock at once: the later one has it.
_SETTLE_S = 1.0
_PATIENCE_S = 20.0
_LACKS_FLOCK = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_LACKS_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class _Held(NamedTuple):
  """A lock of this process.

  Attributes:
    path: of the file.
    handle: open, with the flock on it.
    ended: stops the heartbeat.
  """

  path: pathlib.Path
  handle: int
  ended: threading.Event


# By handle. Reading and popping are atomic, so that any thread may release.
_held: dict[int, _Held] = {}


@contextlib.contextmanager
def hold(workdir: str | os.PathLike, name: str = NAME) -> Generator[None]:
  """Holds a workdir for this process alone, until the end of the `with`.

  Args:
    workdir: which exists. A file in it says who holds it.
    name: of that file. Holders of other names may share the workdir.

  Raises:
    InputError: another run holds it, or another `hold` of this process; or the
      file cannot be written.

  Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, hold(folder):
    ...   os.listdir(folder)
    ['lock']
  """
  path = pathlib.Path(workdir) / name
  with files.writing(path):
    held = _Held(path, _acquire(path), threading.Event())
  _held[held.handle] = held
  threading.Thread(target=_beat, args=(held,), daemon=True).start()
  try:
    yield
  finally:
    _release(held.handle, held)


def check(path: pathlib.Path) -> None:
  """Raises InputError where a run holds a lock; takes nothing.

  Args:
    path: of the file, which may not exist.
  """
  try:
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
  except FileNotFoundError:
    return
  try:
    _refuse_alive(handle, path)
  finally:
    os.close(handle)


def release_all() -> None:
  """Removes the locks of this process, as before `os._exit`; any thread may."""
  for handle, held in list(_held.items()):
    _release(handle, held)


def _release(handle: int, held: _Held) -> None:
  if _held.get(handle) is not held or _held.pop(handle, None) is None:
    return  # Released before, or held by the process that forked this one.
  held.ended.set()
  # Removed before it is unlocked: nobody else can have taken it in between.
  with contextlib.suppress(OSError):
    if _is_at(handle, held.path):
      held.path.unlink()
  os.close(handle)


def _forget() -> None:
  """In a forked child: the locks stay with the process that made them."""
  while _held:
    handle, _ = _held.popitem()
    os.close(handle)


os.register_at_fork(after_in_child=_forget)


def _beat(held: _Held) -> None:
  while not held.ended.wait(BEAT_S):
    # Of the open file, which no other run's lock can be.
    with contextlib.suppress(OSError):
      if _held.get(held.handle) is held:
        os.utime(held.handle)


def _acquire(path: pathlib.Path) -> int:
  """Handle of a new lock file, which says that this process holds it."""
  until = time.monotonic() + _PATIENCE_S
  while time.monotonic() < until:
    made = _create(path, _link)
    if made is None:
      made = _take_over(path)
    if made is None:
      continue
    if _is_at(made, path):
      return made
    os.close(made)
  raise InputError(f'{path} changes all the time; start one run at a time')


def _create(
  path: pathlib.Path, place: Callable[[pathlib.Path, pathlib.Path], None]
) -> int | None:
  """Makes a lock file; None where `place` finds one at its path.

  When it appears there, it has its text and its flock already.
  """
  own = f'{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part'
  part = path.with_name(own)
  handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
  try:
    os.write(handle, json.dumps(holder.own()).encode() + b'\n')
    _flock(handle)
    place(part, path)
  except BaseException as e:
    os.close(handle)
    if isinstance(e, FileExistsError):
      return None
    raise
  finally:
    part.unlink(missing_ok=True)
  return handle


def _link(part: pathlib.Path, path: pathlib.Path) -> None:
  """Puts a file at a path where none is."""
  try:
    os.link(part, path)
  except OSError as e:
    if e.errno not in _LACKS_LINK:
      raise
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    # Another run may take the empty file for a stale lock.
    _replace_and_wait(part, path)


def _replace_and_wait(part: pathlib.Path, path: pathlib.Path) -> None:
  os.replace(part, path)
  time.sleep(_SETTLE_S)


def _take_over(path: pathlib.Path) -> int | None:
  """Handle of a lock that replaces a stale one; None where that one changed.

  Raises:
    InputError: the lock is held.
  """
  try:
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
  except FileNotFoundError:
    return None
  try:
    locked, found = _refuse_alive(handle, path)
    if not _is_at(handle, path):
      return None
    # With the flock on the old file, no other run of this host is here.
    alone = locked and found is not None and found['host'] == holder.host()
    return _create(path, os.replace if alone else _replace_and_wait)
  finally:
    os.close(handle)


def _refuse_alive(
  handle: int, path: pathlib.Path
) -> tuple[bool | None, dict[str, Any] | None]:
  """What `_flock` gives for a lock, and what it says; both of a stale one.

  Raises:
    InputError: the lock is held.
  """
  if not stat.S_ISREG(os.fstat(handle).st_mode):
    raise InputError(f'{path} is no regular file; delete it')
  locked = _flock(handle)
  found = holder.parse(os.pread(handle, 2**16, 0))
  if _is_at(handle, path) and _alive(found, locked, handle, path):
    raise InputError(_refusal(found, path))
  return locked, found


def _flock(handle: int) -> bool | None:
  """Whether the flock is had; None where the file system has none."""
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError as e:
    if e.errno not in _LACKS_FLOCK:
      raise
    return None
  return True


def _is_at(handle: int, path: pathlib.Path) -> bool:
  """Whether an open file is the one at a path."""
  try:
    there = path.lstat()
  except FileNotFoundError:
    return False
  here = os.fstat(handle)
  return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _alive(
  found: dict[str, Any] | None,
  locked: bool | None,
  handle: int,
  path: pathlib.Path,
) -> bool:
  """Whether the holder of a lock has to be taken for alive.

  Args:
    found: what the lock says; None where it is damaged.
    locked: what `_flock` gave.
    handle: of the lock.
    path: of the lock.
  """
  if locked is False:
    return True
  if found is None:
    return locked is None and _age_s(handle, path) < STALE_S
  if found['host'] != holder.host():
    return _age_s(handle, path) < STALE_S
  running = holder.runs(found)
  # Only the flock tells then, if there is one: it has been dropped.
  return locked is None if running is None else running


def _age_s(handle: int, path: pathlib.Path) -> float:
  """Seconds since the last heartbeat, by the clock of the file system."""
  with tempfile.TemporaryFile(dir=path.parent) as now:
    return os.fstat(now.fileno()).st_mtime - os.fstat(handle).st_mtime


def _refusal(found: dict[str, Any] | None, path: pathlib.Path) -> str:
  """The line for a lock that is held."""
  text = f'workdir {path.parent} is in use by '
  if found is None:
    text += 'another process, which did not say who it is'
  else:
    text += f'process {found["pid"]} on {found["host"]}'
    text += f', since {found["since"]}' if 'since' in found else ''
  text += '; wait for its end, or give another workdir'
  if found is None or found['host'] != holder.host():
    text += (
      f'. Once that process is gone, {path} may be deleted; without that, the '
      f'workdir is free {STALE_S:.0f} s later'
    )
  return ' '.join(text.split())

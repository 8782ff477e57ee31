"""Files: read where they are regular ones, written whole or not at all."""

import contextlib
import errno
import json
import math
import os
import pathlib
import secrets
import stat
from collections.abc import Generator
from typing import Any, BinaryIO

from nasjax.errors import InputError

# Libraries raise errors of their own, whose text ends in that of the system.
_CODES = 'ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EPERM', 'EMFILE'
_TEXTS = tuple(os.strerror(getattr(errno, name)) for name in _CODES)

_KINDS = {
  stat.S_IFIFO: 'a named pipe',
  stat.S_IFSOCK: 'a socket',
  stat.S_IFCHR: 'a device',
  stat.S_IFBLK: 'a device',
  stat.S_IFDIR: 'a directory',
}


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Generator[None]:
  """Turns a failure of the file system into one line that names `path`.

  Args:
    path: what is written inside the `with` statement.

  Raises:
    InputError: the system refused to write, as where no space is left. Errors
      of other kinds are raised as they are.

  Example:
    >>> with writing('/dev/full'), open('/dev/full', 'wb', 0) as file:
    ...   file.write(b'some text')
    Traceback (most recent call last):
    ...
    nasjax.errors.InputError: cannot write /dev/full: No space left on device; \
the same command goes on once it can
  """
  try:
    yield
  except Exception as e:
    why = reason(e)
    if why is None:
      raise
    raise InputError(
      f'cannot write {path}: {why}; the same command goes on once it can'
    ) from e


def reason(error: BaseException) -> str | None:
  """What the file system said; None where it had no part in an error.

  An `OSError` always counts. Any other error counts if its text, or that of an
  error that led to it, has the words of the system for a full disk, a quota, a
  file that is too large, or a place that nobody may write to.

  Args:
    error: as it was caught.

  Example:
    >>> reason(ValueError('UNKNOWN: writing d/12: No space left on device'))
    'No space left on device'
    >>> reason(ValueError('not a number'))
  """
  if isinstance(error, InputError):
    return None
  if isinstance(error, OSError):
    return (
      error.strerror or ' '.join(str(error).split()) or type(error).__name__
    )
  for each in _chain(error):
    for text in _TEXTS:
      if text.lower() in str(each).lower():
        return text
  return None


def _chain(error: BaseException) -> list[BaseException]:
  """An error and all that led to it, the parts of groups among them."""
  found, waiting = [], [error]
  while waiting:
    each = waiting.pop(0)
    if each is None or any(each is other for other in found):
      continue
    found.append(each)
    waiting += [each.__cause__, each.__context__]
    waiting += getattr(each, 'exceptions', ())
  return found


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
  """Writes a file whole or not at all.

  It is written beside `path` under a name that ends in `.part`, which a kill
  may leave, and renamed once the disk has it.

  Args:
    path: of the file; what is there is replaced.
    data: all of it.

  Raises:
    InputError: it cannot be written; what is there stays.
  """
  with writing(path), replacing(path) as file:
    file.write(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Generator[BinaryIO]:
  """Opens a file that takes the place of `path` at the end of the `with`.

  What is there stays if anything is raised.

  Args:
    path: of the file.

  Raises:
    OSError: it cannot be written.
  """
  path = pathlib.Path(path)
  name = f'{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part'
  part = path.with_name(name)
  try:
    with open(part, 'xb') as file:
      yield file
      file.flush()
      os.fsync(file.fileno())
    part.replace(path)
  except BaseException:
    with contextlib.suppress(OSError):
      part.unlink()
    raise


def write_text(path: str | os.PathLike, text: str) -> None:
  """Writes text, in UTF-8, whole or not at all.

  Raises:
    InputError: it cannot be written; what is there stays.
  """
  write_bytes(path, text.encode())


def write_json(path: str | os.PathLike, document: Any) -> None:
  """Writes JSON whole or not at all; of `strict(document)`.

  Raises:
    InputError: it cannot be written; what is there stays.
  """
  text = json.dumps(strict(document), indent=1, allow_nan=False)
  write_text(path, text + '\n')


def strict(document: Any) -> Any:
  """A document without the numbers that JSON does not have.

  Args:
    document: of dicts, lists, tuples and plain values.

  Returns:
    The same with None, in JSON null, for NaN and infinities.

  Example:
    >>> strict({'loss': float('nan'), 'costs': [1.5, float('inf')]})
    {'loss': None, 'costs': [1.5, None]}
  """
  if isinstance(document, dict):
    return {key: strict(value) for key, value in document.items()}
  if isinstance(document, list | tuple):
    return [strict(value) for value in document]
  if isinstance(document, float) and not math.isfinite(document):
    return None
  return document


def check_regular(path: str | os.PathLike) -> None:
  """Raises OSError unless a path leads to a regular file; links are followed.

  A named pipe without a writer blocks whoever opens it, for ever; a device may
  never end.

  Args:
    path: that is about to be opened.

  Raises:
    OSError: there is nothing, or something else; `strerror` says what.

  Example:
    >>> check_regular('/dev/null')
    Traceback (most recent call last):
    ...
    OSError: [Errno 22] is a device, not a regular file: '/dev/null'
  """
  mode = os.stat(path).st_mode
  if not stat.S_ISREG(mode):
    kind = _KINDS.get(stat.S_IFMT(mode), 'something else')
    text = f'is {kind}, not a regular file'
    raise OSError(errno.EINVAL, text, os.fspath(path))


def check_all_regular(folder: str | os.PathLike) -> None:
  """Raises OSError unless all files in a folder, at any depth, are regular.

  Args:
    folder: whose files a library will open; links are followed.

  Raises:
    OSError: one of them is no regular file; `strerror` says what it is.
  """
  for inside, _, names in os.walk(folder):
    for name in names:
      check_regular(os.path.join(inside, name))


def read_text(path: str | os.PathLike) -> str:
  """The text of a regular file.

  Raises:
    OSError: there is none, or it cannot be read.
    UnicodeDecodeError: it is no text.
  """
  check_regular(path)
  return pathlib.Path(path).read_text()

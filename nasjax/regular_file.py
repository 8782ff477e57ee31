"""Refuses what is no regular file before it is opened.

A named pipe without a writer blocks whoever opens it, for ever; a device may
never end.

Example:
  >>> check('/dev/null')
  Traceback (most recent call last):
  ...
  OSError: [Errno 22] is a device, not a regular file: '/dev/null'
"""

import errno
import os
import pathlib
import stat

_KINDS = {
  stat.S_IFIFO: 'a named pipe',
  stat.S_IFSOCK: 'a socket',
  stat.S_IFCHR: 'a device',
  stat.S_IFBLK: 'a device',
  stat.S_IFDIR: 'a directory',
}


def check(path: str | os.PathLike) -> None:
  """Raises OSError unless a path leads to a regular file; links are followed.

  Raises:
    OSError: there is nothing, or something else; `strerror` says what.
  """
  mode = os.stat(path).st_mode
  if not stat.S_ISREG(mode):
    kind = _KINDS.get(stat.S_IFMT(mode), 'something else')
    text = f'is {kind}, not a regular file'
    raise OSError(errno.EINVAL, text, os.fspath(path))


def read_text(path: str | os.PathLike) -> str:
  """The text of a regular file.

  Raises:
    OSError: there is none, or it cannot be read.
    UnicodeDecodeError: it is no text.
  """
  check(path)
  return pathlib.Path(path).read_text()

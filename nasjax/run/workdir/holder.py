"""Which process holds a lock: what a lock says of it, and whether it runs."""

import datetime
import json
import os
import pathlib
import socket
from typing import Any

_BOOT_ID = pathlib.Path('/proc/sys/kernel/random/boot_id')


def own() -> dict[str, Any]:
  """What a lock says of this process.

  Returns:
    `host`, `pid` and `since`; on Linux `start` and `boot`, too, without which
    a process could be taken for another one that has had its number.
  """
  now = datetime.datetime.now().astimezone()
  found = {'host': host(), 'pid': os.getpid(), 'start': start(os.getpid())}
  found |= {'boot': _boot(), 'since': now.isoformat(timespec='seconds')}
  return {name: value for name, value in found.items() if value is not None}


def parse(content: bytes) -> dict[str, Any] | None:
  """What a lock says; None where it does not say whose it is.

  Example:
    >>> parse(b'{"host": "here", "pid": 7}')
    {'host': 'here', 'pid': 7}
    >>> parse(b'{"host": "he')
  """
  try:
    found = json.loads(content)
    who = found['host'], found['pid']
  except (ValueError, TypeError, KeyError, RecursionError):
    return None
  known = [type(x) for x in who] == [str, int] and found['pid'] > 0
  return found if known else None


def runs(found: dict[str, Any]) -> bool | None:
  """Whether a process of this host runs.

  Args:
    found: what its lock says.

  Returns:
    None where a process has its number, which may be another one.

  Example:
    >>> runs(own())
    True
    >>> runs({**own(), 'boot': 'an earlier one'})
    False
  """
  boot, own_boot = found.get('boot'), _boot()
  if boot and own_boot and boot != own_boot:
    return False
  if found.get('start') is None or start(os.getpid()) is None:
    return None if _exists(found['pid']) else False
  return start(found['pid']) == found['start']


def host() -> str:
  """The name of this host."""
  return socket.gethostname()


def _boot() -> str | None:
  """Identifies the boot of this host, where Linux tells it."""
  try:
    return _BOOT_ID.read_text().strip()
  except OSError:
    return None


def start(pid: int) -> int | None:
  """When a process started, in ticks since the boot, where Linux tells it.

  A process that has ended and whose parent has not noticed has none.
  """
  try:
    text = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return None
  # The name before may hold spaces and parentheses.
  fields = text.rpartition(')')[2].split()
  return None if fields[0] in 'ZX' else int(fields[19])


def _exists(pid: int) -> bool:
  try:
    os.kill(pid, 0)
  except PermissionError:
    return True
  except (OSError, OverflowError):
    return False
  return True

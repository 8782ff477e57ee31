"""Processes that tests start."""

import contextlib
import signal
import subprocess
from collections.abc import Generator, Sequence
from typing import Any


@contextlib.contextmanager
def child(
  command: Sequence[Any], **options: Any
) -> Generator[subprocess.Popen, None, None]:
  """Starts a process that takes Ctrl-C and does not outlive the block.

  What its parent ignores a process ignores too. So tests under nohup, or in
  the background of a shell script, would send SIGINT in vain.

  Args:
    command: the program and its arguments.
    **options: of `subprocess.Popen`.
  """
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    process = subprocess.Popen(command, **options)
  finally:
    signal.signal(signal.SIGINT, before)
  with process:
    try:
      yield process
    finally:
      process.kill()

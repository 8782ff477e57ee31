"""A search by its script, which tests of several files look at."""

import contextlib
import fcntl
import os
import struct
import termios

import pytest

from tests.experiments.script_cases import SMALL, start


@pytest.fixture(scope='session')
def searched_and_said(tmp_path_factory):
  """A finished search that nothing interrupted, and what a terminal saw."""
  workdir = tmp_path_factory.mktemp('search') / 'run'
  ours, theirs = os.openpty()
  size = struct.pack('HHHH', 40, 120, 0, 0)  # Rows and columns.
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
  said = b''
  with start(
    'search', f'--workdir={workdir}', *SMALL, stderr=theirs
  ) as process:
    os.close(theirs)
    with contextlib.suppress(OSError):  # So a terminal ends.
      while more := os.read(ours, 2**16):
        said += more
    os.close(ours)
    process.communicate(timeout=300)
  assert process.returncode == 0, said
  return workdir, said.decode()


@pytest.fixture
def searched(searched_and_said):
  workdir, _ = searched_and_said
  return workdir

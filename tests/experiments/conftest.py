"""A search by its script, which tests of several files look at."""

import contextlib
import fcntl
import os
import struct
import termios

import pytest

from tests.experiments.script_cases import SMALL, finish, start


@pytest.fixture(scope='session')
def searched_and_said(tmp_path_factory):
  """A finished search that nothing interrupted, and what a terminal saw."""
  workdir = tmp_path_factory.mktemp('search') / 'run'
  ours, theirs = os.openpty()
  size = struct.pack('HHHH', 40, 120, 0, 0)  # Rows and columns.
  fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
  process = start('search', f'--workdir={workdir}', *SMALL, stderr=theirs)
  os.close(theirs)
  said = b''
  with contextlib.suppress(OSError):  # So a terminal ends.
    while more := os.read(ours, 2**16):
      said += more
  os.close(ours)
  code, _, _ = finish(process)
  assert code == 0, said
  return workdir, said.decode()


@pytest.fixture
def searched(searched_and_said):
  workdir, _ = searched_and_said
  return workdir

"""Processes of tests take Ctrl-C, and end with the test."""

import signal
import subprocess
import sys

import pytest

from tests.children import child

_ASKS = """
import signal
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize('own', [signal.SIG_IGN, signal.SIG_DFL])
def test_it_takes_ctrl_c_whatever_its_parent_does(own):
  before = signal.signal(signal.SIGINT, own)
  try:
    command, pipe = [sys.executable, '-c', _ASKS], subprocess.PIPE
    with child(command, stdout=pipe, text=True) as process:
      assert process.communicate(timeout=60)[0] == 'True\n'
    assert signal.getsignal(signal.SIGINT) is own
  finally:
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize('error', [AssertionError, KeyboardInterrupt])
def test_it_does_not_outlive_a_test_that_fails(error):
  with pytest.raises(error), child(['sleep', '60']) as process:
    raise error
  assert process.returncode == -signal.SIGKILL

"""What a process tells the others when it ends."""

import socket
import threading

import pytest

from nasjax.errors import InputError
from nasjax.run.hosts import watch
from nasjax.run.hosts.rendezvous import receive, send


@pytest.fixture
def pair():
  """A connection; its other end is read by a thread until it is closed."""
  before = set(threading.enumerate())
  ours, theirs = socket.socketpair()
  yield ours, theirs
  theirs.close()
  for thread in set(threading.enumerate()) - before:
    thread.join(20)
  ours.close()


def test_a_process_whose_work_is_done_says_so_and_none_ends(pair):
  ours, theirs = pair
  with watch.watched(0, {1: ours}):
    send(theirs, 'done')
  assert receive(theirs) == 'done'
  # The fixture closes it: of a process that is done, that ends nobody.


@pytest.mark.parametrize(
  ('error', 'code', 'why'),
  [
    (SystemExit(3), 3, 'ended with exit code 3'),
    (SystemExit('a message'), 1, 'ended with exit code 1'),
    (SystemExit(None), 0, 'ended with exit code 0'),
    (KeyboardInterrupt(), 130, 'was interrupted'),
    (InputError('no'), 1, 'ended with an error (see its own output)'),
  ],
)
def test_an_end_has_an_exit_code_and_a_reason(error, code, why):
  assert watch._ending(error) == (code, why)


def test_a_script_that_exits_well_is_done(pair):
  ours, theirs = pair
  send(theirs, 'done')
  with pytest.raises(SystemExit), watch.watched(0, {1: ours}):
    raise SystemExit(0)
  assert receive(theirs) == 'done'

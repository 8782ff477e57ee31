"""Ends all processes of a run when one of them is gone.

Process 0 has a connection to each of the others. The operating system closes
those of a process that is killed, so that all hear of it at once; without that,
they would wait in their next collective operation for as long as JAX does, and
end with a stack trace of its C++ code.
"""

import atexit
import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Generator, Mapping

from nasjax.errors import InputError
from nasjax.run.hosts.rendezvous import receive, send

# A process that ends with an error may take others along that have a message
# for it: how long they have, and how long an error waits for news, in seconds.
_OWN_ERROR = 1.0
_NEWS = 2.0
_DONE = 'done'
_GONE = 'gone'


@contextlib.contextmanager
def watched(index: int, peers: Mapping[int, socket.socket]) -> Generator[None]:
  """Ends this process, with one line, if another ends before its work is done.

  If the body raises, the others end, with a line of their own. This process has
  exit code 1 then without waiting for them.

  Args:
    index: of this process.
    peers: connections to others, by their index: process 0 has one to each and
      passes on what it hears; the others have one to process 0.
  """
  leaving, speaking = threading.Event(), threading.Lock()

  def end(who: int, why: str, patience: float) -> None:
    if leaving.wait(patience):
      return
    with speaking:  # The first to know says it.
      for i, peer in peers.items():
        if i != who:
          send(peer, f'{_GONE} {who} {why}')
      _say(f'process {who} {why}')
      os._exit(1)

  def listen(who: int) -> None:
    done = False
    while said := receive(peers[who]):
      word, _, rest = said.partition(' ')
      done |= word == _DONE
      if word == _GONE:
        other, _, why = rest.partition(' ')
        end(int(other), why, _OWN_ERROR)
    if not done:
      end(who, 'is gone', 0)

  for who in peers:
    threading.Thread(target=listen, args=(who,), daemon=True).start()
  try:
    yield
  except BaseException as e:
    code, why = _ending(e)
    if code == 0:
      _tell(peers, _DONE)
      raise
    if isinstance(e, Exception) and not isinstance(e, InputError):
      # Collective operations fail when a process is gone. Which one it was is
      # about to be said, and ends this process.
      time.sleep(_NEWS)
    leaving.set()
    _tell(peers, f'{_GONE} {index} {why}')
    atexit.register(_exit, code)
    raise
  _tell(peers, _DONE)


def _tell(peers: Mapping[int, socket.socket], text: str) -> None:
  for peer in peers.values():
    send(peer, text)


def _ending(error: BaseException) -> tuple[int, str]:
  """The exit code that an exception leads to, and what others are told."""
  if isinstance(error, SystemExit):
    code = error.code if isinstance(error.code, int) else int(bool(error.code))
    return code, f'ended with exit code {code}'
  if isinstance(error, KeyboardInterrupt):
    return 130, 'was interrupted'
  return 1, 'ended with an error (see its own output)'


def _say(what: str) -> None:
  # A progress bar has left its line unfinished.
  start = '\r\x1b[K' if sys.stderr.isatty() else '\n'
  text = (
    f'{start}error: {what}; start all processes again with the same commands: '
    'they go on from the last checkpoint\n'
  )
  for stream, last in ((sys.stdout, ''), (sys.stderr, text)):
    with contextlib.suppress(OSError, ValueError):
      stream.write(last)
      stream.flush()


def _exit(code: int) -> None:
  """Ends without JAX's own end, which would wait for the others."""
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError, ValueError):
      stream.flush()
  os._exit(code)

"""Ctrl-C and SIGTERM: a run stops between two steps and says where.

A signal handler of Python runs only when the main thread executes Python code,
which it does not while a compiler or a solver works. So a thread listens as
well (`signal.set_wakeup_fd`): it notes the request at once, and ends the
process where nothing else has ended it in time. To end a process at any moment
is safe: whatever a run keeps is written whole or not at all.

Without `listen`, as in a notebook, nothing here acts and Ctrl-C is Python's.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, TimeoutError
from typing import Any, NoReturn

# Seconds that a run has to come to the end of its step, by signal.
_PATIENCE = {signal.SIGINT: 1.5, signal.SIGTERM: 30.0}
_POLL = 0.1  # Seconds between looks at a request while something is waited for.

GOES_ON = 'the same command goes on'


class Stopped(Exception):  # noqa: N818 (not an error)
  """A signal asked the run to stop; the message says where it stopped.

  Example:
    >>> str(Stopped('stopped at step 3'))
    'stopped at step 3'
  """


_requested: list[int] = []  # Signals in the order in which they came.
_saved: dict[str, int] = {}  # By the loops that run: their newest checkpoint.
_cleanups: list[Callable[[], None]] = []


def listen() -> None:
  """Takes SIGINT and SIGTERM from now on; to be called by the main thread."""
  reading, writing = os.pipe()
  os.set_blocking(writing, False)
  signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
  for number in _PATIENCE:
    # What a caller ignores stays ignored, as under nohup.
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, lambda *_: None)
  threading.Thread(target=_watch, args=(reading,), daemon=True).start()
  atexit.register(_ignore)
  signal.pthread_sigmask(signal.SIG_UNBLOCK, list(_PATIENCE))


def _ignore() -> None:
  """At the end of the process, when all is done and all threads have ended.

  Python would give the signals back to the system, which ends the process with
  another exit code than it was about to have.
  """
  for number in _PATIENCE:
    signal.signal(number, signal.SIG_IGN)


def quiet_imports() -> None:
  """Until `listen`, a signal ends the process in one line.

  An exception raised while compiled extensions are imported may abort the
  process, and its traceback tells a user nothing.
  """

  def end(number: int, _: Any) -> None:
    _exit(number, f'stopped before the run began; {GOES_ON}')

  for number in _PATIENCE:
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, end)
  signal.pthread_sigmask(signal.SIG_UNBLOCK, list(_PATIENCE))


def block() -> None:
  """Holds signals back until `quiet_imports` or `listen`, over an exec."""
  signal.pthread_sigmask(signal.SIG_BLOCK, list(_PATIENCE))


def requested() -> bool:
  """Whether a signal asked the run to stop."""
  return bool(_requested)


def check(where: str = 'stopped') -> None:
  """Raises `Stopped` if a signal asked for it.

  Args:
    where: how the message begins.
  """
  if requested():
    raise Stopped(f'{where}; {GOES_ON}')


def wait(future: Future, tick: Callable[[], None] = lambda: None) -> Any:
  """The result of a future; raises `Stopped` if a signal comes first.

  Args:
    future: what is waited for.
    tick: called every now and then meanwhile.
  """
  while True:
    try:
      return future.result(_POLL)
    except TimeoutError:
      if future.done():
        raise
    check()
    tick()


@contextlib.contextmanager
def running(name: str, step: int) -> Generator[Callable[[int], None]]:
  """While a loop runs that comes to an end by itself after a signal.

  Args:
    name: of the loop, unique among those that run.
    step: of its newest checkpoint.

  Yields:
    A function that takes the step of each new checkpoint.
  """
  _saved[name] = step
  try:
    yield lambda step: _saved.update({name: step})
  finally:
    _saved.pop(name, None)


def on_exit(cleanup: Callable[[], None]) -> None:
  """Has a function called before a signal ends the process."""
  _cleanups.append(cleanup)


def end(stopped: Stopped) -> NoReturn:
  """Ends the process, as the first signal asks for; prints the message."""
  _exit(_requested[0], str(stopped))


def _watch(reading: int) -> None:
  """Notes signals, and ends the process where nobody else does in time."""
  while True:
    for number in os.read(reading, 64):
      if number not in _PATIENCE:
        continue
      _requested.append(number)
      if len(_requested) > 1:
        _exit(_requested[0], _unsaved())
      # Where no loop runs there is nothing to save.
      patience = _PATIENCE[number] if _saved else 0.2
      threading.Thread(
        target=_end_after, args=(number, patience), daemon=True
      ).start()


def _end_after(number: int, patience: float) -> None:
  time.sleep(patience)
  _exit(number, _unsaved())


def _unsaved() -> str:
  """What is said where no loop came to the end of its step."""
  steps = list(_saved.values())
  where = f' at step {steps[0]}' if len(steps) == 1 else ''
  return f'stopped{where}; {GOES_ON}'


_ending = threading.Lock()


def leave(code: int) -> NoReturn:
  """Ends the process without waiting for its threads."""
  for cleanup in _cleanups:
    with contextlib.suppress(Exception):
      cleanup()
  # Another thread might wait for ever, for one that writes to a full pipe.
  if threading.current_thread() is threading.main_thread():
    for stream in (sys.stdout, sys.stderr):
      with contextlib.suppress(Exception):
        stream.flush()
  os._exit(code)


def _exit(number: int, message: str) -> NoReturn:
  """Prints a line and ends the process, as a signal asks for."""
  if not _ending.acquire(blocking=False):
    time.sleep(60)  # Another thread is about to end the process.
  # Not through sys.stderr, whose lock the interrupted thread may hold.
  newline = '\n' if sys.stderr.isatty() else ''
  with contextlib.suppress(OSError):
    os.write(2, f'{newline}{message}\n'.encode())
  leave(128 + number)

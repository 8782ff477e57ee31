"""Progress of a run: a bar in a terminal, a line now and then elsewhere.

While nothing moves, a bar says what the run waits for, such as 'compiling
weight step'. The time left is estimated from the steps since the last such
wait, so that compiling does not count as the time of a step.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Generator
from typing import Any, TextIO

import tqdm

from nasjax.printable import printable

_EVERY = 30.0  # Seconds between lines where there is no terminal.
_FORMAT = (
  '{desc} {percentage:3.0f}% |{bar:16}| {n_fmt}/{total_fmt} '
  '[{elapsed}<{left}]{postfix}'
)

# What is going on in any thread: a program that is traced or compiled.
_activities: dict[int, str] = {}


@contextlib.contextmanager
def activity(text: str) -> Generator[None]:
  """Names a long activity besides steps, such as a compilation, in the bars.

  Args:
    text: what bars show, such as 'tracing weight step'.
  """
  thread = threading.get_ident()
  before = _activities.get(thread)
  _activities[thread] = text
  try:
    yield
  finally:
    if before is None:
      _activities.pop(thread, None)
    else:
      _activities[thread] = before


def activities() -> str:
  """Text of all current activities; '' where there is none."""
  return ', '.join(_activities.copy().values())


_hidden = 0  # How many blocks of `shown(False)` are being run.


@contextlib.contextmanager
def shown(show: bool) -> Generator[None]:
  """Shows or hides bars and notes within the block."""
  global _hidden
  _hidden += not show
  try:
    yield
  finally:
    _hidden -= not show


class Progress:
  """A progress bar over some steps; a context manager, safe for threads."""

  def __init__(
    self, name: str, steps: int, stream: TextIO | None = None, clock=time.time
  ):
    """Args: name, number of steps, stream to write to."""
    self._stream = sys.stderr if stream is None else stream
    self._name, self._clock = name, clock
    self.done, self.steps = 0, steps
    self._lock = threading.RLock()
    self._text = ''
    self._rate = _Rate(clock)
    self._said: float | None = None
    self._silent = _hidden > 0
    self._bar = _Bar(
      total=steps,
      desc=name,
      file=self._stream,
      disable=self._silent or not _is_terminal(self._stream),
      dynamic_ncols=True,
      bar_format=_FORMAT,
      left=self._left,
    )

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *_: Any) -> None:
    self.close()

  def skip(self, steps: int) -> None:
    """Counts steps of an earlier process, or steps that are not needed."""
    with self._lock:
      self.done += steps
      self._rate.restart(self.done)
      self._bar.update(steps)

  def step(self) -> None:
    """Counts one step."""
    with self._lock:
      self.done += 1
      self._rate.step(self.done)
      self._bar.update()

  def say(self, text: str) -> None:
    """Shows a text behind the bar, such as the loss."""
    with self._lock:
      self._text = text
      self._bar.set_postfix_str(text)
      self._line(last=self.done >= self.steps)

  def wait(self) -> None:
    """Shows the current activities; call it now and then while waiting."""
    with self._lock:
      self._rate.restart(self.done)
      self._bar.set_postfix_str(activities() or 'waiting')

  def close(self) -> None:
    """Leaves the bar as it is."""
    with self._lock:
      self._bar.close()

  def _left(self) -> str:
    seconds = self._rate.left(self.steps - self.done)
    return '?' if seconds is None else tqdm.tqdm.format_interval(seconds)

  def _line(self, last: bool = False) -> None:
    """Writes a line where there is no bar, and it is time for one."""
    if not self._bar.disable or self._silent:
      return
    now = self._clock()
    if self._said is not None and now - self._said < _EVERY and not last:
      return
    self._said = now
    text = f': {self._text}' if self._text else ''
    print(
      f'{self._name} {self.done}/{self.steps} [<{self._left()}]{text}',
      file=self._stream,
      flush=True,
    )


class _Rate:
  """How fast steps are, from those since the last wait."""

  def __init__(self, clock):
    self._clock = clock
    self.restart(0)

  def restart(self, done: int) -> None:
    """Forgets all steps before this one."""
    self._first: int | None = None
    self._done = done

  def step(self, done: int) -> None:
    # The first step after a wait has waited as well: it starts the clock.
    now = self._clock()
    if self._first is None:
      self._first, self._start = done, now
    self._done, self._now = done, now

  def left(self, steps: int) -> float | None:
    """Seconds that so many steps take; None where that is not known yet."""
    if steps <= 0:
      return 0.0
    if self._first is None or self._done == self._first:
      return None
    return steps * (self._now - self._start) / (self._done - self._first)


class _Bar(tqdm.tqdm):
  """A bar with a field of its own for the time left."""

  def __init__(self, *args: Any, left, **kwargs: Any):
    self._own_left = left
    super().__init__(*args, **kwargs)

  @property
  def format_dict(self) -> dict[str, Any]:
    return {**super().format_dict, 'left': self._own_left()}


def note(text: str) -> None:
  """Writes a line on stderr, above any bar.

  Args:
    text: one line, such as 'weight step: traced in 2.4 s'; names in it may be
      anybody's.
  """
  if _hidden:
    return
  text = printable(text)
  if _is_terminal(sys.stderr):
    tqdm.tqdm.write(text, file=sys.stderr)
  else:
    print(text, file=sys.stderr, flush=True)


def _is_terminal(stream: TextIO) -> bool:
  """Whether a bar can move on a stream: a terminal or a notebook's cell."""
  if type(stream).__module__.partition('.')[0] == 'ipykernel':
    return True
  return hasattr(stream, 'isatty') and stream.isatty()

"""What a run shows of its progress, in a terminal and elsewhere."""

import io
import re

from nasjax.run import progress


class _Terminal(io.StringIO):
  def isatty(self):
    return True


class _Clock:
  """Seconds that a test moves by hand."""

  def __init__(self):
    self.now = 0.0

  def __call__(self):
    return self.now


def _run(stream, clock, *, wait, seconds, steps=10):
  """Waits, then takes steps of so many seconds each."""
  shown = progress.Progress('train', steps, stream, clock)
  for _ in range(int(wait)):
    with progress.activity('compiling step'):
      shown.wait()
    clock.now += 1
  for i in range(steps):
    clock.now += seconds
    shown.step()
    shown.say(f'loss {i}')
  return shown


def test_without_a_terminal_a_line_every_half_minute_and_the_last():
  stream, clock = io.StringIO(), _Clock()
  _run(stream, clock, wait=0, seconds=10.0)
  lines = stream.getvalue().splitlines()
  assert '\r' not in stream.getvalue()
  done = [int(re.match(r'train (\d+)/10 ', line)[1]) for line in lines]
  # 100 s in all; the last step is said whenever it is.
  assert done == [1, 4, 7, 10]
  assert lines[-1].endswith(': loss 9')


def test_the_time_left_is_that_of_steps_since_the_compilation():
  stream, clock = io.StringIO(), _Clock()
  shown = progress.Progress('train', 10, stream, clock)
  for _ in range(60):
    shown.wait()
    clock.now += 1
  for _ in range(3):
    clock.now += 2.0
    shown.step()
  assert shown._left() == '00:14'  # Seven steps, none of which compiles.
  # A second program is waited for in the middle, and its steps are slower.
  shown.wait()
  clock.now += 100
  for _ in range(3):
    clock.now += 5.0
    shown.step()
  assert shown._left() == '00:20'


def test_steps_of_an_earlier_process_are_no_speed_of_this_one():
  clock = _Clock()
  shown = progress.Progress('train', 100, io.StringIO(), clock)
  shown.skip(90)
  assert shown._left() == '?'
  for _ in range(2):
    clock.now += 3.0
    shown.step()
  assert shown._left() == '00:24'


def test_a_terminal_says_what_is_waited_for_and_then_the_time_left():
  stream, clock = _Terminal(), _Clock()
  shown = progress.Progress('search', 4, stream, clock)
  with progress.activity('compiling weight step'):
    shown.wait()
  assert 'compiling weight step' in stream.getvalue()
  for _ in range(4):
    clock.now += 1.0
    shown.step()
  shown.say('loss 1.5')
  shown.close()
  last = stream.getvalue().replace('\n', '\r').strip('\r').split('\r')[-1]
  assert '4/4' in last
  assert '<00:00]' in last
  assert 'loss 1.5' in last


def test_activities_are_those_that_go_on():
  with progress.activity('tracing a'):
    with progress.activity('compiling a'):
      assert progress.activities() == 'compiling a'
    assert progress.activities() == 'tracing a'
  assert progress.activities() == ''

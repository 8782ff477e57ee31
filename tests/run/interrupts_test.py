"""Ctrl-C and SIGTERM end a script in one line, wherever it is."""

import contextlib
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.children import child

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Says when it is where a signal is to find it.
_SCRIPT = """
import hashlib, sys, time
from concurrent.futures import ThreadPoolExecutor
from experiments.flags import cli
from nasjax.run import interrupts

def native():
  # Minutes in one call of C, as of a compiler.
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)

def waits():
  pool = ThreadPoolExecutor(1)
  future = pool.submit(time.sleep, 60)
  print('ready', flush=True)
  interrupts.wait(future)

def loop(seconds):
  with interrupts.running('run', 7) as saved:
    print('ready', flush=True)
    for step in range(8, 10**6):
      try:
        interrupts.check()
      except interrupts.Stopped:
        print('saved', step - 1, flush=True)
        raise interrupts.Stopped(f'stopped at step {step - 1}') from None
      time.sleep(seconds)

cli.run(eval(sys.argv.pop()))
"""


@contextlib.contextmanager
def _run(what, *before, script=_SCRIPT):
  """A process that is where a signal is to find it."""
  pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE}
  command = [*before, sys.executable, '-c', script, what]
  with child(command, cwd=ROOT, text=True, **pipes) as process:
    assert process.stdout.readline() == 'ready\n'
    yield process


def _end(process, number):
  start = time.monotonic()
  process.send_signal(number)
  out, err = process.communicate(timeout=60)
  return time.monotonic() - start, process.returncode, out, err.splitlines()


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize('number', CODES)
@pytest.mark.parametrize('what', ['native', 'waits'])
def test_code_that_is_not_pythons_ends_in_a_line(what, number):
  with _run(what) as process:
    took, code, _, err = _end(process, number)
  assert code == CODES[number]
  assert len(err) == 1
  assert err[0].startswith('stopped')
  assert took < 2.5


@pytest.mark.parametrize('number', CODES)
def test_a_loop_ends_at_the_end_of_its_step(number):
  with _run('lambda: loop(0.05)') as process:
    took, code, out, err = _end(process, number)
  assert code == CODES[number]
  assert out.startswith('saved ')
  assert err == [f'stopped at step {out.split()[1]}']
  assert took < 2


def test_a_step_that_takes_long_is_left_at_its_checkpoint():
  with _run('lambda: loop(60)') as process:
    time.sleep(0.3)
    took, code, out, err = _end(process, signal.SIGINT)
  assert code == 130
  assert out == ''
  assert err == ['stopped at step 7; the same command goes on']
  assert took < 2.5


def test_a_second_signal_ends_it_at_once():
  with _run('lambda: loop(60)') as process:
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    took, code, _, err = _end(process, signal.SIGINT)
  assert code == 143  # The first one counts.
  assert len(err) == 1
  assert took < 1


@pytest.mark.parametrize('number', CODES)
def test_a_run_that_is_over_keeps_its_exit_code(number):
  """While Python takes itself down, which may take seconds."""
  before = """
import atexit, time
atexit.register(lambda: (print('ready', flush=True), time.sleep(0.5)))
"""
  with _run('lambda: None', script=before + _SCRIPT) as process:
    _, code, _, err = _end(process, number)
  assert (code, err) == (0, [])


def test_what_the_caller_ignores_stays_ignored():
  """As under nohup, or for a background job of a shell without job control."""
  ignoring = 'bash', '-c', 'trap \'\' INT; exec "$@"', '-'
  with _run('lambda: loop(0.05)', *ignoring) as process:
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    assert _end(process, signal.SIGTERM)[1] == 143


# An error at once, if no signal comes before it.
_WRONG = [sys.executable, '-X', 'importtime', '-m', 'experiments.search']
_WRONG += ['--limit=wrong']


@pytest.mark.parametrize('number', CODES)
@pytest.mark.parametrize('module', ['numpy', 'jax'])
def test_imports_end_in_a_line(tmp_path, module, number):
  """In the middle of them, as Python says itself, however long they take."""
  said = tmp_path / 'said'
  with said.open('w') as file, child(_WRONG, cwd=ROOT, stderr=file) as process:
    while not re.search(rf'\| +{module}\n', said.read_text()):
      assert process.poll() is None, said.read_text()
      time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(timeout=60) == CODES[number]
  lines = [x for x in said.read_text().splitlines() if 'import time' not in x]
  assert lines == ['stopped before the run began; the same command goes on']


@pytest.mark.parametrize('number', CODES)
def test_a_process_that_has_hardly_begun_ends(number):
  """Before Python has started its own, the system ends it without a word."""
  with child(_WRONG, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
    time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) in (CODES[number], -number, 1)

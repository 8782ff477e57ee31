"""Ctrl-C and SIGTERM end a script in one line, wherever it is."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

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


def _run(what):
  process = subprocess.Popen(
    [sys.executable, '-c', _SCRIPT, what],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == 'ready\n'
  return process


def _end(process, number):
  start = time.monotonic()
  process.send_signal(number)
  out, err = process.communicate(timeout=60)
  return time.monotonic() - start, process.returncode, out, err.splitlines()


CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize('number', CODES)
@pytest.mark.parametrize('what', ['native', 'waits'])
def test_code_that_is_not_pythons_ends_in_a_line(what, number):
  took, code, _, err = _end(_run(what), number)
  assert code == CODES[number]
  assert len(err) == 1
  assert err[0].startswith('stopped')
  assert took < 2.5


@pytest.mark.parametrize('number', CODES)
def test_a_loop_ends_at_the_end_of_its_step(number):
  took, code, out, err = _end(_run('lambda: loop(0.05)'), number)
  assert code == CODES[number]
  assert out.startswith('saved ')
  assert err == [f'stopped at step {out.split()[1]}']
  assert took < 2


def test_a_step_that_takes_long_is_left_at_its_checkpoint():
  process = _run('lambda: loop(60)')
  time.sleep(0.3)
  took, code, out, err = _end(process, signal.SIGINT)
  assert code == 130
  assert out == ''
  assert err == ['stopped at step 7; the same command goes on']
  assert took < 2.5


def test_a_second_signal_ends_it_at_once():
  process = _run('lambda: loop(60)')
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
  process = subprocess.Popen(
    [sys.executable, '-c', before + _SCRIPT, 'lambda: None'],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == 'ready\n'
  _, code, _, err = _end(process, number)
  assert (code, err) == (0, [])


def test_what_the_caller_ignores_stays_ignored():
  """As under nohup, or for a background job of a shell without job control."""
  process = subprocess.Popen(
    ['bash', '-c', 'trap \'\' INT; exec "$@"', '-', sys.executable, '-c']
    + [_SCRIPT, 'lambda: loop(0.05)'],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  assert process.stdout.readline() == 'ready\n'
  process.send_signal(signal.SIGINT)
  time.sleep(1)
  assert process.poll() is None
  assert _end(process, signal.SIGTERM)[1] == 143


@pytest.mark.parametrize('number', CODES)
@pytest.mark.parametrize('seconds', [0.1, 0.4, 0.8, 1.6])
def test_imports_end_in_a_line_or_none(seconds, number):
  """Before Python has started its own, the system ends it without a word."""
  process = subprocess.Popen(
    [sys.executable, '-m', 'experiments.search', '--help'],
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ | {'PYTHONUNBUFFERED': '1'},
  )
  time.sleep(seconds)
  _, code, _, err = _end(process, number)
  assert code in (CODES[number], -number, 0, 1)
  assert 'Traceback' not in '\n'.join(err[:1]) or seconds == 0.1
  assert len(err) <= 1 or seconds == 0.1

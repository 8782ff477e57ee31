"""Two runs never share a workdir, and a lock that nobody holds stops none."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from nasjax.run.workdir import holder, lock
from tests.children import child
from tests.conftest import refused

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Says that it has the lock, or why not, and waits until its input ends.
HOLD = """
import sys
from nasjax.run.workdir import lock
try:
  with lock.hold(sys.argv[1]):
    print('held', flush=True)
    sys.stdin.read()
except ValueError as e:
  print(type(e).__name__, e, flush=True)
"""


def _holder(workdir, code=HOLD):
  command = [sys.executable, '-c', code, str(workdir)]
  pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True}
  return child(command, cwd=ROOT, **pipes)


def _enter(workdir):
  with lock.hold(workdir):
    return json.loads((workdir / 'lock').read_text())


def _write(workdir, age=0.0, **changed):
  """Leaves a lock as a process of this host, or of another, would."""
  content = {**holder.own(), **changed}
  (workdir / 'lock').write_text(json.dumps(content))
  then = time.time() - age
  os.utime(workdir / 'lock', (then, then))


def _without_flock(monkeypatch, code=errno.ENOLCK):
  def flock(*args):
    raise OSError(code, os.strerror(code))

  monkeypatch.setattr(fcntl, 'flock', flock)


def _ended():
  """The number of a process that was here."""
  with child(['true']) as process:
    process.wait()
  return process.pid


def test_a_second_run_is_refused_with_host_and_process_of_the_first(tmp_path):
  with _holder(tmp_path) as first:
    assert first.stdout.readline() == 'held\n'
    who = f'process {first.pid} on {socket.gethostname()}, since 2'
    refused(who, _enter, tmp_path)
    with _holder(tmp_path) as second:
      assert who in second.stdout.readline()
      second.communicate()
      assert second.returncode == 0
    # Neither refusal let go of the lock of the first.
    refused(who, _enter, tmp_path)
    first.communicate()
  assert list(tmp_path.iterdir()) == []
  assert _enter(tmp_path)['pid'] == os.getpid()
  assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path, monkeypatch):
  with _holder(tmp_path) as first:
    assert first.stdout.readline() == 'held\n'
    first.send_signal(signal.SIGKILL)
    # Not waited for: the process is a zombie, as where nobody ever waits.
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    assert json.loads((tmp_path / 'lock').read_text())['pid'] == first.pid
    # At once: without a wait, and without many tries.
    began, naps = time.process_time(), []
    monkeypatch.setattr(time, 'sleep', naps.append)
    assert _enter(tmp_path)['pid'] == os.getpid()
    assert time.process_time() - began < 0.5
    assert naps == []


@pytest.mark.parametrize('dies', [False, True])
def test_of_many_that_start_at_once_one_runs(tmp_path, dies):
  """Each at some time, and no two at once, whether locks are left or not."""
  code = """
import os, sys, time
from nasjax.run.workdir import lock
folder, dies = sys.argv[1], DIES
print('ready', flush=True)
sys.stdin.readline()
had, until = 0, time.monotonic() + 60
while had < 5 and time.monotonic() < until:
  try:
    with lock.hold(folder):
      os.mkdir(folder + '/alone')
      time.sleep(0.002)
      os.rmdir(folder + '/alone')
      had += 1
      if dies:
        os._exit(7)
  except ValueError as e:
    assert 'in use by process' in str(e), e
  time.sleep(0.001)
print(had)
"""
  with contextlib.ExitStack() as ends:
    called = code.replace('DIES', str(dies))
    running = [ends.enter_context(_holder(tmp_path, called)) for _ in range(4)]
    for process in running:
      assert process.stdout.readline() == 'ready\n'
    for process in running:
      process.stdin.write('\n')
      process.stdin.flush()
    said = [process.communicate(timeout=100)[0] for process in running]
  # With two at once, the folder would be there already: a traceback, exit 1.
  assert [process.returncode for process in running] == [7 * dies] * 4
  assert said == ([''] * 4 if dies else ['5\n'] * 4)
  assert [p.name for p in tmp_path.iterdir()] == ['lock'] * dies


def test_a_second_hold_of_one_process_is_refused(tmp_path):
  said = []

  def other():
    try:
      _enter(tmp_path)
    except ValueError as e:
      said.append(str(e))

  with lock.hold(tmp_path):
    refused(f'process {os.getpid()} on', _enter, tmp_path)
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    refused(f'process {os.getpid()} on', _enter, tmp_path)
  assert len(said) == 1
  assert f'process {os.getpid()} on' in said[0]
  (tmp_path / 'a').mkdir()
  (tmp_path / 'b').mkdir()
  with lock.hold(tmp_path / 'a'), lock.hold(tmp_path / 'b'):
    pass


def test_a_process_that_ends_at_once_leaves_no_lock(tmp_path):
  code = """
import os, sys, threading
from nasjax.run.workdir import lock
with lock.hold(sys.argv[1]):
  def end():
    lock.release_all()
    os._exit(3)
  threading.Thread(target=end).start()
  threading.Event().wait()
"""
  with _holder(tmp_path, code) as process:
    assert process.wait(timeout=60) == 3
  assert list(tmp_path.iterdir()) == []


def test_a_forked_child_neither_removes_nor_keeps_the_lock(tmp_path):
  code = """
import os, signal, sys
from nasjax.run.workdir import lock
hold = lock.hold(sys.argv[1])
hold.__enter__()
child = os.fork()
if child == 0:
  lock.release_all()
  hold.__exit__(None, None, None)
  print('left', os.getpid(), flush=True)
  signal.pause()
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""
  with _holder(tmp_path, code) as process:
    said, child = process.stdout.readline().split()
    assert said == 'left'
    try:
      refused(f'process {process.pid} on', _enter, tmp_path)
      process.stdin.write('\n')
      process.stdin.flush()
      assert process.wait(timeout=60) == -signal.SIGKILL
      # The child lives on, without a claim to the workdir.
      assert _enter(tmp_path)['pid'] == os.getpid()
    finally:
      os.kill(int(child), signal.SIGKILL)


# What a lock says, where no flock tells more.


def test_without_flock_the_process_decides(tmp_path, monkeypatch):
  for code in (errno.ENOLCK, errno.EOPNOTSUPP):
    _without_flock(monkeypatch, code)
    monkeypatch.setattr(lock, '_SETTLE_S', 0.01)
    with lock.hold(tmp_path):
      refused(f'process {os.getpid()} on', _enter, tmp_path)
    assert list(tmp_path.iterdir()) == []
    _write(tmp_path)
    refused(f'process {os.getpid()} on', _enter, tmp_path)
    _write(tmp_path, pid=_ended())
    _enter(tmp_path)
    # The number has come to another process since.
    _write(tmp_path, start=holder.start(os.getpid()) - 1)
    _enter(tmp_path)
    _write(tmp_path, boot='another boot')
    _enter(tmp_path)
    # Where the system tells neither, the number is all there is.
    monkeypatch.setattr(holder, 'start', lambda pid: None)
    _write(tmp_path)
    refused(f'process {os.getpid()} on', _enter, tmp_path)
    _write(tmp_path, pid=_ended())
    _enter(tmp_path)
    monkeypatch.undo()
    _write(tmp_path)
    # A flock that could be had tells that another process has the number.
    monkeypatch.setattr(holder, 'start', lambda pid: None)
    _enter(tmp_path)
    monkeypatch.undo()


@pytest.mark.parametrize('flock', [True, False])
def test_another_host_holds_it_while_its_heart_beats(
  tmp_path, monkeypatch, flock
):
  monkeypatch.setattr(lock, '_SETTLE_S', 0.01)
  if not flock:
    _without_flock(monkeypatch)
  for age in (0.0, lock.STALE_S - 5, -100.0):
    _write(tmp_path, age, host='elsewhere', pid=7)
    refused('process 7 on elsewhere, since .* may be deleted', _enter, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['lock']
  # This host knows no more of that process than of that boot.
  _write(tmp_path, 0.0, host='elsewhere', pid=7, boot='another', start=1)
  refused('process 7 on elsewhere', _enter, tmp_path)
  _write(tmp_path, lock.STALE_S + 5, host='elsewhere', pid=7)
  assert _enter(tmp_path)['host'] == socket.gethostname()


def test_the_heart_of_a_holder_beats(tmp_path, monkeypatch):
  monkeypatch.setattr(lock, 'BEAT_S', 0.02)
  path = tmp_path / 'lock'
  with lock.hold(tmp_path):
    os.utime(path, (1000, 1000))
    for _ in range(500):
      if path.stat().st_mtime > 1000:
        break
      time.sleep(0.01)
    assert time.time() - path.stat().st_mtime < 30


def test_one_host_that_seems_another_to_itself_is_refused(
  tmp_path, monkeypatch
):
  """The holder elsewhere is alive; its flock reaches this host, or does not."""
  monkeypatch.setattr(lock, '_SETTLE_S', 0.01)
  with lock.hold(tmp_path):
    here = socket.gethostname()
    monkeypatch.setattr(socket, 'gethostname', lambda: 'elsewhere')
    refused(f'process {os.getpid()} on {here}', _enter, tmp_path)
    _without_flock(monkeypatch)
    refused(f'process {os.getpid()} on {here}', _enter, tmp_path)


def test_of_two_hosts_that_take_over_one_stale_lock_one_has_it(
  tmp_path, monkeypatch
):
  """The later one; the first finds that out before it starts."""
  _write(tmp_path, lock.STALE_S + 5, host='elsewhere', pid=7)

  def meanwhile(seconds):
    monkeypatch.undo()
    (tmp_path / 'other').write_text((tmp_path / 'lock').read_text())
    (tmp_path / 'other').replace(tmp_path / 'lock')
    _write(tmp_path, host='third', pid=9)

  monkeypatch.setattr(time, 'sleep', meanwhile)
  refused('process 9 on third', _enter, tmp_path)
  assert json.loads((tmp_path / 'lock').read_text())['host'] == 'third'


def test_a_stale_lock_that_another_run_takes_first_is_not_taken_again(
  tmp_path, monkeypatch
):
  """It was opened while it was stale, and is no longer at its path."""
  path, taken, flock = tmp_path / 'lock', [], fcntl.flock
  _write(tmp_path, pid=_ended())
  stale = path.stat().st_ino

  def first(handle, how):
    if os.fstat(handle).st_ino == stale and not taken:
      other = tmp_path / 'other'
      other.write_text(json.dumps(holder.own()))
      taken.append(open(other))
      flock(taken[0], how)
      other.replace(path)
    flock(handle, how)

  monkeypatch.setattr(fcntl, 'flock', first)
  refused(f'process {os.getpid()} on', _enter, tmp_path)
  assert os.fstat(taken[0].fileno()).st_ino == path.stat().st_ino
  taken[0].close()


def test_a_file_system_without_links_has_locks(tmp_path, monkeypatch):
  def link(*args):
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

  monkeypatch.setattr(os, 'link', link)
  monkeypatch.setattr(lock, '_SETTLE_S', 0.01)
  with lock.hold(tmp_path):
    assert [p.name for p in tmp_path.iterdir()] == ['lock']
    refused(f'process {os.getpid()} on', _enter, tmp_path)
  assert list(tmp_path.iterdir()) == []


# Locks that no run wrote.


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'{',
    b'\xff\xfe',
    b'[]',
    b'7',
    b'null',
    b'{"host": 7, "pid": 7}',
    b'{"host": "a", "pid": true}',
    b'{"host": "a", "pid": -1}',
    b'{"pid": 7}',
    b'[' * 60000,
  ],
)
def test_a_damaged_lock_is_stale(tmp_path, monkeypatch, content):
  (tmp_path / 'lock').write_bytes(content)
  monkeypatch.setattr(lock, '_SETTLE_S', 0.01)
  assert _enter(tmp_path)['pid'] == os.getpid()
  # Without flock, only time tells that nobody is about to say who it is.
  (tmp_path / 'lock').write_bytes(content)
  _without_flock(monkeypatch)
  refused('in use by another process', _enter, tmp_path)
  os.utime(tmp_path / 'lock', (1000, 1000))
  assert _enter(tmp_path)['pid'] == os.getpid()


def test_a_damaged_lock_that_is_held_is_refused(tmp_path):
  path = tmp_path / 'lock'
  path.write_bytes(b'')
  with open(path) as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    refused('in use by another process', _enter, tmp_path)
  assert path.read_bytes() == b''


def test_what_is_no_file_is_one_line(tmp_path):
  path = tmp_path / 'lock'
  path.mkdir()
  refused('cannot write .*lock: Is a directory', _enter, tmp_path)
  path.rmdir()
  os.mkfifo(path)
  refused('lock is no regular file; delete it', _enter, tmp_path)
  path.unlink()
  path.symlink_to(tmp_path / 'nowhere')
  refused('cannot write .*lock: Too many levels', _enter, tmp_path)
  assert [p.name for p in tmp_path.iterdir()] == ['lock']
  refused('cannot write .*: No such file', _enter, tmp_path / 'missing')


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
  def write(*args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(os, 'write', write)
  refused('cannot write .*lock: No space left on device', _enter, tmp_path)
  assert list(tmp_path.iterdir()) == []

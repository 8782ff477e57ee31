"""Several processes train what one trains, and write it once."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import textwrap
import threading
import time

import jax
import numpy as np
import pytest

from experiments import train
from experiments.flags import cli
from nasjax import ops, space, spaces
from nasjax.errors import InputError
from nasjax.run import feeds
from nasjax.run import record as record_lib
from nasjax.run.hosts import processes, rendezvous
from nasjax.run.workdir import metrics_file
from tests.children import child
from tests.conftest import prepare_tfds, refused
from tests.experiments.told_cases import train_as_told

pytest.importorskip('grain')
ROOT = pathlib.Path(__file__).resolve().parents[3]
_CACHE = 'JAX_PERSISTENT_CACHE'
OWN = {'batch_size': 10, 'epochs': 4, 'valid_fraction': 0.2, 'seed': 3}


class _Numbers:
  """Rows that are known by their label."""

  def __len__(self):
    return 40

  def __getitem__(self, place):
    return np.full((9, 9, 1), place, np.uint8), np.int32(place)


def _feed(monkeypatch, index, count):
  monkeypatch.setattr(jax, 'process_index', lambda: index)
  monkeypatch.setattr(jax, 'process_count', lambda: count)
  return feeds.of(_Numbers(), 8, (4, 4, 1), seed=0)


@pytest.mark.parametrize('count', [2, 4])
def test_processes_are_fed_shares_that_make_up_the_whole(monkeypatch, count):
  """And stand at the same place, so that one can keep it for all."""
  whole = _feed(monkeypatch, 0, 1)
  parts = [_feed(monkeypatch, i, count) for i in range(count)]
  assert all(part.like == whole.like for part in parts)
  for _ in range(10):
    expected = whole.next().labels.tolist()
    shares = np.stack([part.next().labels for part in parts])
    assert shares.shape == (count, 8 // count)
    assert sorted(shares.ravel().tolist()) == sorted(expected)
    first, *others = (part.position.get_state() for part in parts)
    assert all(other == first for other in others)


def _free_port():
  with socket.socket() as taken:
    taken.bind(('localhost', 0))
    return taken.getsockname()[1]


@contextlib.contextmanager
def _started(root, workdir):
  """Both processes, which do not outlive the test."""
  given = {'architecture': root / 'a.json', 'dataset': 'colours', **OWN}
  given |= {'data_dir': root, 'workdir': workdir, 'processes': 2}
  given |= {'coordinator': f'localhost:{_free_port()}'}
  flags = [f'--{name}={value}' for name, value in given.items()]
  command = [sys.executable, '-m', 'experiments.train', '--stream', *flags]
  options = {'cwd': ROOT, 'stderr': subprocess.PIPE, 'text': True}
  # Those that go on compile nothing that those that were killed have compiled.
  options['env'] = os.environ | {f'{_CACHE}_MIN_COMPILE_TIME_SECS': '0'}
  with contextlib.ExitStack() as ends:
    running = []
    for i in range(2):
      process = child([*command, f'--process={i}'], **options)
      running.append(ends.enter_context(process))
    yield running


def _dot():
  """Next to nothing to trace and to compile."""
  return spaces.mobile(
    [spaces.Stage(4, 1, 2)],
    name='dot',
    image_size=8,
    channels=3,
    num_classes=3,
    stem=4,
    stem_stride=2,
    head=8,
    candidates=(ops.MBConv(3, 1), ops.MBConv(3, 3)),
  )


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_end_where_one_ends(tmp_path):
  """But for another order of sums: images are constant, and so is every cut.

  The other ends by itself.
  """
  values = np.arange(60, dtype=np.uint8).reshape(-1, 1, 1, 1) * 4
  pixels = np.broadcast_to(values, (60, 8, 8, 3))
  prepare_tfds(tmp_path, pixels, np.arange(60) % 3)
  space.Architecture(_dot(), ('mbconv_k3_e1',)).save(tmp_path / 'a.json')
  alone, both = tmp_path / 'alone', tmp_path / 'both'
  given = {'architecture': str(tmp_path / 'a.json'), 'dataset': 'colours'}
  given |= {'data_dir': str(tmp_path), 'stream': True}
  config = cli.defaults(train.OPTIONS) | OWN | given
  train_as_told(config, alone, '')
  kept = both / 'checkpoints'
  with _started(tmp_path, both) as running:
    while all(process.poll() is None for process in running):
      if any(path.name.isdigit() for path in kept.glob('[0-9]*')):
        break
      time.sleep(0.002)
    running[1].kill()
    errors = [process.communicate(timeout=10)[1] for process in running]
    assert running[0].returncode == 1
    _one_line(errors[0], 'process 1 is gone')
  assert any(path.name.isdigit() for path in kept.iterdir()), errors
  assert not (both / 'result.json').exists()
  with _started(tmp_path, both) as running:
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
  one, other = (metrics_file.read(d) for d in (alone, both))
  assert [row['step'] for row in one] == [row['step'] for row in other]
  for a, b in zip(one, other, strict=True):
    assert a == pytest.approx(b, rel=1e-5, abs=1e-5)
  one, other = (record_lib.read_json(d / 'result.json') for d in (alone, both))
  assert other['test_accuracy'] == pytest.approx(one['test_accuracy'], abs=0.02)
  assert record_lib.read_json(both / 'config.json')['processes'] == 2
  # One process reads what two have left.
  found = train.evaluate(both, {})
  assert found['last'] == other['last_test_accuracy']
  assert found['best'] == other['best_test_accuracy']
  refused('processes was 2 and is None', train_as_told, config, both, '')


# What a process of several does, by its last argument, once it has met others.
PROGRAM = """
  import os, signal, sys, time
  from experiments.flags import cli
  from nasjax.run.hosts import processes
  from nasjax.errors import InputError

  count, index, coordinator, what = sys.argv[1:]

  def main():
    with processes.joined(int(count), int(index), coordinator, patience=60):
      import numpy as np
      from jax.experimental import multihost_utils
      value = multihost_utils.broadcast_one_to_all(np.int32(int(index) + 7))
      print('met, with', value, flush=True)
      if what == 'ends':
        time.sleep(0.5 * int(index))
        return
      if what == 'terminates':
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)
      if what == 'refuses':
        raise InputError('not with me')
      if what == 'fails':
        raise ValueError('a defect')
      while what == 'computes':
        multihost_utils.broadcast_one_to_all(np.int32(1))
      time.sleep(100)

  sys.argv[1:] = []
  cli.run(main)
"""


@contextlib.contextmanager
def _met(*what):
  """As many processes as are told what to do, once they have met."""
  where = f'localhost:{_free_port()}'
  with contextlib.ExitStack() as ends:
    running = []
    for i, told in enumerate(what):
      process = child(
        [sys.executable, '-c', textwrap.dedent(PROGRAM)]
        + [str(len(what)), str(i), where, told],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
      )
      running.append(ends.enter_context(process))
    for process in running:
      lines = iter(process.stdout.readline, '')
      assert any(line == 'met, with 7\n' for line in lines)
    yield running


def _one_line(errors, text):
  """Holds that the last line is an error with a text, and no other line is."""
  *others, last = errors.rstrip().splitlines()
  assert last.startswith(f'error: {text}')
  assert 'start all processes again' in last
  # The program's other lines are of its progress.
  assert not any(
    line.startswith((' ', '*', 'Traceback', 'error')) or 'coordination' in line
    for line in others
  )


@pytest.mark.drawn(2)
@pytest.mark.slow
@pytest.mark.parametrize(
  ('what', 'killed'),
  [
    (['computes'] * 2, 0),
    (['waits'] * 2, 0),
    (['computes'] * 2, 1),
    (['waits'] * 2, 1),
    (['waits', 'waits', 'ends'], 1),
  ],
)
def test_others_end_with_one_line_where_one_is_killed(what, killed):
  """Also the one to which only another can say so, and one that has ended."""
  with _met(*what) as running:
    start = time.monotonic()
    running[killed].kill()
    for i, process in enumerate(running):
      errors = process.communicate(timeout=20)[1]
      if i != killed:
        assert process.returncode == 1
        _one_line(errors, f'process {killed} is gone')
  assert time.monotonic() - start < 5


@pytest.mark.drawn(2)
@pytest.mark.slow
@pytest.mark.parametrize('failed', [0, 1])
@pytest.mark.parametrize(
  ('how', 'shown'),
  [('refuses', 'error: not with me\n'), ('fails', 'a defect\n')],
)
def test_others_end_where_one_ends_with_an_error(failed, how, shown):
  what = ['computes', 'computes']
  what[failed] = how
  with _met(*what) as running:
    errors = [p.communicate(timeout=20)[1] for p in running]
    assert [p.returncode for p in running] == [1, 1]
  assert errors[failed].endswith(shown)
  _one_line(errors[1 - failed], f'process {failed} ended with an error')


@pytest.mark.slow
def test_each_says_its_own_error_where_all_have_one():
  with _met('refuses', 'refuses') as running:
    for process in running:
      assert process.communicate(timeout=20)[1] == 'error: not with me\n'
      assert process.returncode == 1


@pytest.mark.slow
def test_an_end_that_others_come_to_later_is_none_too_early():
  with _met('ends', 'ends', 'ends') as running:
    for process in running:
      assert process.communicate(timeout=20)[1] == ''
      assert process.returncode == 0


@pytest.mark.slow
def test_sigterm_is_the_scripts_and_not_jaxs():
  with _met('terminates', 'computes') as running:
    errors = [process.communicate(timeout=20)[1] for process in running]
    assert [process.returncode for process in running] == [143, 1]
  assert errors[0] == 'stopped; the same command goes on\n'
  _one_line(errors[1], 'process 0 ')


def _in_thread(function, *args):
  """What a function returns or raises, once it is asked for."""
  found = []

  def run():
    try:
      found.append(function(*args))
    except InputError as e:
      found.append(str(e))

  thread = threading.Thread(target=run)
  thread.start()

  def result():
    thread.join(timeout=20)
    return found[0]

  return result


def test_who_does_not_come_is_named_by_all_that_did():
  port = _free_port()
  waiting = _in_thread(rendezvous.gather, 3, port, 2)
  came = _in_thread(rendezvous.join, 3, 1, 'localhost', port, 2)
  message = 'process 2 of 3 did not come within 2 s'
  assert waiting().startswith(message)
  assert came().startswith(message)
  refused(
    rf'no process 0 at localhost:{port} within 0 s \(Connection refused\)',
    rendezvous.join,
    *(3, 1, 'localhost', port, 0),
  )


def _came(port, index):
  """The connection of a process of three, once it was let in."""
  mine = rendezvous._connected('localhost', port, 20)
  rendezvous.send(mine, f'{rendezvous._HELLO} {index} 3')
  assert rendezvous.receive(mine) == rendezvous._WELCOME
  return mine


def test_only_who_belongs_to_a_run_is_let_in():
  """Strangers are ignored."""
  port = _free_port()
  waiting = _in_thread(rendezvous.gather, 3, port, 20)
  with rendezvous._connected('localhost', port, 20) as stranger:
    stranger.sendall(b'GET / HTTP/1.1\r\n\r\n')
    assert rendezvous.receive(stranger) == ''
  one = _came(port, 1)
  join = rendezvous.join, 3
  refused('another process 1 is already there', *join, 1, 'localhost', port, 20)
  refused(
    'processes is 2, but process 0 was told 3',
    rendezvous.join,
    *(2, 1, 'localhost', port, 20),
  )
  other = _in_thread(*join, 2, 'localhost', port, 20)
  peers = waiting()
  assert sorted(peers) == [1, 2]
  assert rendezvous.receive(one) == 'go'
  for index, mine in ((1, one), (2, other())):
    rendezvous.send(peers[index], f'to {index}')
    assert rendezvous.receive(mine) == f'to {index}'
    mine.close()
    assert rendezvous.receive(peers[index]) == ''
    peers[index].close()


def test_who_is_started_anew_takes_its_place():
  port = _free_port()
  waiting = _in_thread(rendezvous.gather, 3, port, 20)
  _came(port, 1).close()
  both = [
    _in_thread(rendezvous.join, 3, i, 'localhost', port, 20) for i in (1, 2)
  ]
  peers = waiting()
  for connection in (*peers.values(), *(found() for found in both)):
    connection.close()


def test_a_port_of_something_else_is_refused():
  with socket.create_server(('localhost', 0)) as taken:
    port = taken.getsockname()[1]
    refused(f'cannot listen on port {port} ', rendezvous.gather, 2, port, 1)
    waiting = _in_thread(rendezvous.join, 2, 1, 'localhost', port, 1)
    with taken.accept()[0] as connection:
      connection.sendall(b'SSH-2.0\r\n')
      assert 'no process 0 that waits for others' in waiting()


def test_bad_flags_are_one_line():
  cases = [
    ((0, None, None), 'processes is 0; it must be at least 1'),
    ((1, 0, None), 'process=0 has no effect with processes=1'),
    ((1, None, 'a:1'), 'coordinator=a:1 has no effect with processes=1'),
    ((2, None, 'a:1'), 'process is None; of 2 processes it must be 0 to 1'),
    ((2, 2, 'a:1'), 'process is 2; of 2 processes it must be 0 to 1'),
    ((2, 0, None), 'coordinator is None; with 2 processes it must be the addr'),
    ((2, 0, 'a'), 'coordinator is a; with 2'),
    ((2, 0, 'a:b'), 'coordinator is a:b; with 2'),
    ((2, 0, 'a:0'), 'coordinator is a:0; with 2'),
    ((2, 0, 'a:65536'), 'coordinator is a:65536; with 2'),
    ((2, 0, 'none.invalid:1'), "host 'none.invalid' is not known here"),
    ((2, 1, 'none.invalid:1'), "host 'none.invalid' is not known here"),
  ]
  for given, message in cases:
    refused(message, _join, *given)


def _join(*given):
  with processes.joined(*given):
    pass


def test_an_address_may_be_one_of_ipv6():
  assert processes._address(2, '[::1]:80') == ('::1', 80)

"""Where the processes of a run find each other.

Process 0 listens at the coordinator's address until all others have come. The
connections stay open for as long as the run lasts (see `watch`); the port is
free again for JAX's own coordinator. JAX would wait, too, but it ends a process
that waits in vain with a stack trace of its C++ code.
"""

import contextlib
import socket
import time

from nasjax.errors import InputError

# What a process says when it comes, and hears when it is at the right place.
_HELLO = 'nasjax process'
_WELCOME = 'nasjax welcome'
_GO = 'go'
# How long a peer may take to answer, how long its end may take to arrive, and
# how often to try again, in seconds.
_ANSWER = 10.0
_LEAVING = 1.0
_AGAIN = 0.2
# A machine that is switched off closes no connection: it is asked whether it is
# still there after 20 s of silence, and is gone if 4 questions find no answer.
_KEEPALIVE = {'TCP_KEEPIDLE': 20, 'TCP_KEEPINTVL': 10, 'TCP_KEEPCNT': 4}


def send(connection: socket.socket, text: str) -> None:
  """Sends a line; whoever is gone does not read it."""
  with contextlib.suppress(OSError):
    connection.sendall(f'{text}\n'.encode())


def receive(connection: socket.socket) -> str:
  """The next line; '' if the other side is gone or does not speak in lines."""
  line = b''
  with contextlib.suppress(OSError):
    # Byte by byte, so that nothing of the next line is lost.
    while len(line) < 500 and (byte := connection.recv(1)):
      if byte == b'\n':
        return line.decode(errors='replace')
      line += byte
  return ''


def gather(count: int, port: int, patience: float) -> dict[int, socket.socket]:
  """Waits, as process 0, until all others are there.

  Args:
    count: of processes.
    port: where they look for this one.
    patience: seconds to wait.

  Returns:
    A connection to each of the others, by its index.

  Raises:
    InputError: the port is in use, or a process did not come. Those that came
      hear of it.
  """
  deadline = time.monotonic() + patience
  found: dict[int, socket.socket] = {}
  with _listener(port) as listener:
    while missing := _missing(count, found):
      left = deadline - time.monotonic()
      if left <= 0:
        why = (
          f'process {missing[0]} of {count} did not come within '
          f'{patience:.0f} s; start it with the same flags and '
          f'process={missing[0]}, where it reaches the coordinator'
        )
        for connection in found.values():
          send(connection, why)
          connection.close()
        raise InputError(why)
      listener.settimeout(left)
      with contextlib.suppress(TimeoutError):
        _welcome(listener.accept()[0], count, found)
  for connection in found.values():
    send(connection, _GO)
  return found


def _listener(port: int) -> socket.socket:
  both = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if both else socket.AF_INET
  try:
    return socket.create_server(('', port), family=family, dualstack_ipv6=both)
  except OSError as e:
    raise InputError(
      f'process 0 cannot listen on port {port} ({e.strerror}); give a '
      'coordinator with another port to all processes'
    ) from e


def _missing(count: int, found: dict[int, socket.socket]) -> list[int]:
  """Who is to come yet; who came and left is, too."""
  for i in [i for i, connection in found.items() if _left(connection, 0)]:
    found.pop(i).close()
  return [i for i in range(1, count) if i not in found]


def _welcome(
  connection: socket.socket, count: int, found: dict[int, socket.socket]
) -> None:
  """Adds to `found` who has come, or says why not; strangers are ignored."""
  connection.settimeout(_ANSWER)
  said = receive(connection).removeprefix(_HELLO).split()
  if len(said) != 2 or not all(word.isdigit() for word in said):
    connection.close()
    return
  index, their_count = map(int, said)
  send(connection, _WELCOME)
  why = None
  if their_count != count:
    why = f'processes is {their_count}, but process 0 was told {count}'
  elif index in found and not _left(found[index], _LEAVING):
    why = f'process is {index}, but another process {index} is already there'
  if why is not None:
    send(connection, f'{why}; each process needs a process number of its own')
    connection.close()
    return
  _keep(connection)
  if index in found:
    found[index].close()
  found[index] = connection


def _left(connection: socket.socket, patience: float) -> bool:
  """Whether who has come has gone again, such as to be started anew."""
  connection.settimeout(patience)
  try:
    return not connection.recv(1, socket.MSG_PEEK)
  except (TimeoutError, BlockingIOError):
    return False
  except OSError:
    return True
  finally:
    connection.settimeout(None)


def join(
  count: int, index: int, host: str, port: int, patience: float
) -> socket.socket:
  """Comes to process 0 and waits until all others are there.

  Args:
    count: of processes.
    index: of this one, at least 1.
    host: where process 0 is.
    port: where it listens.
    patience: seconds to wait for it.

  Returns:
    The connection to process 0.

  Raises:
    InputError: it cannot be found, or does not want this process.
  """
  connection = _connected(host, port, patience)
  connection.settimeout(_ANSWER)
  send(connection, f'{_HELLO} {index} {count}')
  if receive(connection) != _WELCOME:
    connection.close()
    raise InputError(
      f'what answers at {host}:{port} is no process 0 that waits for others; '
      'is a run going on there, or is it the port of something else?'
    )
  _keep(connection)
  said = receive(connection)
  if said != _GO:
    connection.close()
    raise InputError(said or 'process 0 ended before all others were there')
  return connection


def _connected(host: str, port: int, patience: float) -> socket.socket:
  deadline = time.monotonic() + patience
  while True:
    left = deadline - time.monotonic()
    try:
      return socket.create_connection((host, port), max(left, 1))
    except socket.gaierror as e:
      raise unknown(host, e) from e
    except OSError as e:
      if left < 0:
        raise InputError(
          f'no process 0 at {host}:{port} within {patience:.0f} s '
          f'({e.strerror or e}); start it there with the same flags and '
          'process=0'
        ) from e
      time.sleep(_AGAIN)


def unknown(host: str, error: OSError) -> InputError:
  """What to raise where the coordinator's host cannot be looked up."""
  return InputError(
    f'coordinator: host {host!r} is not known here ({error.strerror}); give '
    'the name or the address of the machine of process 0'
  )


def _keep(connection: socket.socket) -> None:
  """Makes a connection one that waits for ever, but not for a dead machine."""
  connection.settimeout(None)
  connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
  for name, value in _KEEPALIVE.items():
    if (option := getattr(socket, name, None)) is not None:
      connection.setsockopt(socket.IPPROTO_TCP, option, value)

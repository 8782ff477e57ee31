"""A port of this machine that leads to JAX's coordinator on another.

JAX ends a process at once, with a stack trace of its C++ code, when its
connection to the coordinator breaks. The relay passes everything on but the
end: that comes late enough for `watch` to end the process with one line.
"""

import contextlib
import socket
import threading
import time

# Seconds to hold back an end, and to wait for the coordinator to be there.
_HELD = 10.0
_PATIENCE = 60.0
_AGAIN = 0.05


def opened(host: str, port: int) -> int:
  """The port on 127.0.0.1 from which connections lead to `host:port`.

  It is served by threads for as long as this process lasts.
  """
  listener = socket.create_server(('127.0.0.1', 0))

  def serve() -> None:
    while True:
      near, _ = listener.accept()
      threading.Thread(
        target=_join, args=(near, host, port), daemon=True
      ).start()

  threading.Thread(target=serve, daemon=True).start()
  return listener.getsockname()[1]


def _join(near: socket.socket, host: str, port: int) -> None:
  far = _connected(host, port)
  if far is None:
    near.close()
    return
  back = threading.Thread(target=_pass_on, args=(far, near, _HELD), daemon=True)
  back.start()
  _pass_on(near, far, 0)


def _connected(host: str, port: int) -> socket.socket | None:
  deadline = time.monotonic() + _PATIENCE
  while time.monotonic() < deadline:
    with contextlib.suppress(OSError):
      found = socket.create_connection((host, port), _PATIENCE)
      found.settimeout(None)
      return found
    time.sleep(_AGAIN)
  return None


def _pass_on(source: socket.socket, sink: socket.socket, held: float) -> None:
  with contextlib.suppress(OSError):
    sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := source.recv(1 << 16):
      sink.sendall(data)
  time.sleep(held)
  with contextlib.suppress(OSError):
    sink.shutdown(socket.SHUT_WR)

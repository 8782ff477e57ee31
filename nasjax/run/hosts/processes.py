"""Training in several processes, each with devices of its own, as one.

Every process is started with the same flags and its own process number; all
of them see the same workdir. They take the same steps on a batch of which each
reads its share; the first writes what is written once.
"""

import contextlib
import socket
from collections.abc import Generator
from typing import Any

import jax

from nasjax.errors import InputError
from nasjax.run.hosts import relay, rendezvous, watch


@contextlib.contextmanager
def joined(
  count: int, index: int | None, coordinator: str | None, patience: float = 300
) -> Generator[None]:
  """Finds the others, before anything is computed, and stays with them.

  In the body they are one run: if one is killed or ends with an error, all
  others end within seconds, with exit code 1 and a line that says which.

  Args:
    count: of processes.
    index: of this one.
    coordinator: address of the first, `host:port`.
    patience: seconds to wait for the others to come.

  Raises:
    InputError: an argument is missing or out of its range, or another process
      did not come.
  """
  own = _checked(count, index, coordinator)
  if count == 1:
    yield
    return
  host, port = _address(count, coordinator)
  if own == 0:
    peers = rendezvous.gather(count, port, patience)
  else:
    peers = {0: rendezvous.join(count, own, host, port, patience)}
  with watch.watched(own, peers):
    _initialize(port if own == 0 else relay.opened(host, port), count, own)
    yield


def _checked(count: int, index: int | None, coordinator: str | None) -> int:
  """The number of this process."""
  if count < 1:
    raise InputError(f'processes is {count}; it must be at least 1')
  if count == 1:
    for name, value in (('process', index), ('coordinator', coordinator)):
      if value is not None:
        raise InputError(
          f'{name}={value} has no effect with processes=1; leave it out'
        )
    return 0
  if index is None or not 0 <= index < count:
    raise InputError(
      f'process is {index}; of {count} processes it must be 0 to {count - 1}'
    )
  return index


def _address(count: int, coordinator: str | None) -> tuple[str, int]:
  """Host and port, of which the host is known here."""
  host, _, port = (coordinator or '').rpartition(':')
  valid = port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16
  if not host or not valid:
    raise InputError(
      f'coordinator is {coordinator}; with {count} processes it must be the '
      'address of process 0, as host:1234'
    )
  host = host.removeprefix('[').removesuffix(']')  # As IPv6 is written.
  try:
    socket.getaddrinfo(host, int(port))
  except OSError as e:
    raise rendezvous.unknown(host, e) from e
  return host, int(port)


def _initialize(port: int, count: int, index: int) -> None:
  """Starts JAX's own service, of which the coordinator is at a local port."""
  # JAX would take SIGTERM's handler from Python.
  jax.config.update('jax_enable_preemption_service', False)
  try:
    jax.distributed.initialize(f'127.0.0.1:{port}', count, index)
  except RuntimeError as e:
    line = ' '.join(str(e).split())[:200]
    raise InputError(
      f'process {index} of {count} cannot start ({line}); give a '
      'coordinator with another port to all processes'
    ) from e
  here, everywhere = len(jax.local_devices()), len(jax.devices())
  if here * count != everywhere:
    raise InputError(
      f'process {index} has {here} of {everywhere} devices; each of {count} '
      'processes must have as many'
    )


def first() -> bool:
  """Whether this process writes what is written once."""
  return jax.process_index() == 0


def wait(name: str) -> None:
  """Until all processes are here."""
  if jax.process_count() > 1:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices(name)


def alone() -> dict[str, Any]:
  """Options that make Orbax wait for no other process."""
  if jax.process_count() == 1:
    return {}
  import orbax.checkpoint as ocp

  index = jax.process_index()
  options = ocp.options.MultiprocessingOptions(
    primary_host=index,
    active_processes={index},
    barrier_sync_key_prefix=f'process_{index}',
  )
  return {'multiprocessing_options': options}


def content() -> dict[str, int]:
  """What a run depends on besides its flags, for its config."""
  count = jax.process_count()
  return {'processes': count} if count > 1 else {}

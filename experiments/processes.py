"""Training in several processes, each with devices of its own, as one.

Every process is started with the same flags and `--process` of its own; all
of them see the same workdir. They take the same steps on a batch of which each
reads its share; the first writes what is written once.
"""

import jax
from absl import flags

from nasjax.errors import InputError

# What is defined below is a script's own, so that its --help lists it.
flags.disclaim_key_flags()


def define() -> None:
  """Defines the flags that say which of the processes this is."""
  flags.DEFINE_integer('processes', 1, 'how many there are, in all')
  flags.DEFINE_integer('process', None, 'which one this is, from 0')
  flags.DEFINE_string(
    'coordinator', None, 'host:port of process 0, where they find each other'
  )


def start(count: int, index: int | None, coordinator: str | None) -> None:
  """Finds the others; before anything is computed.

  Args:
    count: of processes.
    index: of this one.
    coordinator: address of the first, `host:port`.

  Raises:
    InputError: an argument is missing or out of its range.
  """
  if count < 1:
    raise InputError(f'processes is {count}; it must be at least 1')
  if count == 1:
    for name, value in (('process', index), ('coordinator', coordinator)):
      if value is not None:
        raise InputError(
          f'--{name}={value} has no effect with --processes=1; leave it out'
        )
    return
  if index is None or not 0 <= index < count:
    raise InputError(
      f'process is {index}; of {count} processes it must be 0 to {count - 1}'
    )
  host, _, port = (coordinator or '').rpartition(':')
  if not host or not port.isdigit():
    raise InputError(
      f'coordinator is {coordinator}; with {count} processes it must be the '
      'address of process 0, as host:1234'
    )
  jax.distributed.initialize(coordinator, count, index)
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


def content() -> dict[str, int]:
  """What a run depends on besides its flags, for its config."""
  count = jax.process_count()
  return {'processes': count} if count > 1 else {}

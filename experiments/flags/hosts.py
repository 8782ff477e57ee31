"""`--processes`, `--process`, `--coordinator`: a run of several processes."""

import contextlib

from absl import flags

from nasjax.run.hosts import processes

# Flags below are a script's own, so that its --help lists them.
flags.disclaim_key_flags()


def define() -> None:
  """Defines the flags that say which of the processes this is."""
  flags.DEFINE_integer(
    'processes', 1, 'number of processes that train together'
  )
  flags.DEFINE_integer('process', None, 'index of this process, from 0')
  flags.DEFINE_string(
    'coordinator', None, 'host:port of process 0, where the processes meet'
  )


def joined() -> contextlib.AbstractContextManager[None]:
  """Finds the other processes; see `processes.joined`."""
  given = flags.FLAGS
  return processes.joined(given.processes, given.process, given.coordinator)

"""`--processes`, `--process`, `--coordinator`: a run of several processes."""

import contextlib

from absl import flags

from nasjax.run.hosts import processes

# Flags below are a script's own, so that its --help lists them.
flags.disclaim_key_flags()


def define() -> None:
  """Defines the flags that say which of the processes this is."""
  flags.DEFINE_integer('processes', 1, 'how many there are, in all')
  flags.DEFINE_integer('process', None, 'which one this is, from 0')
  flags.DEFINE_string(
    'coordinator', None, 'host:port of process 0, where they find each other'
  )


def joined() -> contextlib.AbstractContextManager[None]:
  """Finds the other processes; see `processes.joined`."""
  given = flags.FLAGS
  return processes.joined(given.processes, given.process, given.coordinator)

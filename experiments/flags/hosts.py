"""`--processes`, `--process`, `--coordinator`: a run of several processes."""

import contextlib
import dataclasses

from nasjax import options
from nasjax.options import check_types, documented, option
from nasjax.run.hosts import processes

from . import cli, configs


@documented
@dataclasses.dataclass(frozen=True)
class Hosts:
  """Which of the processes of a run this is."""

  processes: int = option(1, 'number of processes that train together')
  process: int | None = option(None, 'index of this process, from 0')
  coordinator: str | None = option(
    None, 'host:port of process 0, where the processes meet'
  )

  def __post_init__(self):
    check_types(self)


OPTIONS = options.of(Hosts)


def joined() -> contextlib.AbstractContextManager[None]:
  """Finds the other processes; see `processes.joined`."""
  own = configs.of(Hosts, cli.values(OPTIONS))
  return processes.joined(own.processes, own.process, own.coordinator)

"""Searches at several limits, trains the derived networks and alternatives.

  python -m experiments.sweep --workdir=runs/sweep --dataset=fashion_mnist_5k \\
    --limits=macs=1M,2M,3M --search_seeds=5 --outer_seeds=1 --train_seeds=2

or `--strengths=0.1,0.3,1,3 --constraint=linear`, which prices MACs and limits
nothing. Writes `report.md`, `report.html`, `results.csv`, figures and all
architectures. `--dry_run` prints the plan and writes nothing.

Each search and each training is one job. Finished jobs are reused, interrupted
jobs resume. `--part=2/8` runs shard 2 of 8. Run the searches of all shards
first, then repeat the command for the trainings. Without `--part` everything
that is missing is run and reported. A sweep cannot stream: its images are
decoded into memory.

  python -m experiments.sweep --report=results/cifar10

writes `report.html` and a file of each architecture again, from the files
`report.md`, `results.csv` and `architectures.json` of a study.
"""

from ..flags import early

if __name__ == '__main__':
  early.begin('sweep')  # Before imports that take seconds.

import dataclasses
import sys

from absl import flags

from nasjax import checks, options
from nasjax.errors import InputError
from nasjax.options import check_types, documented, option
from nasjax.printable import printable

from ..flags import cli, configs, names, programs
from . import dry, kept, main, plan, setup, sweep_flags


@documented
@dataclasses.dataclass(frozen=True)
class Work:
  """Which part of a sweep to do, and how; no result depends on it.

  Raises:
    InputError: a number out of its range.
  """

  dry_run: bool = option(False, 'print the plan, and write nothing')
  part: str | None = option(
    None, 'run one shard of the jobs: 2/8 is shard 2 of 8'
  )
  workers: int = option(1, 'number of networks trained at the same time')
  seconds_per_search: float | None = option(
    None, 'seconds that one search takes, for the total of --dry_run'
  )
  seconds_per_training: float | None = option(
    None, 'seconds that one training takes, for the total of --dry_run'
  )
  report: str | None = option(
    None, 'folder of a finished study whose report.html is written again'
  )

  def __post_init__(self):
    check_types(self)
    checks.check_least(1, workers=self.workers)


WORK = options.of(Work)


def _restore(folder: str) -> None:
  others = (*sweep_flags.OPTIONS, *WORK, 'workdir')
  for name in others:
    if name not in ('ops', 'report') and flags.FLAGS[name].present:
      raise InputError(f'--{name} has no effect with --report; leave it out')
  ops = names.ops_of(flags.FLAGS.ops)
  for path in kept.restore(folder, ops):
    print(f'wrote {path}')


def run_as_told() -> None:
  if flags.FLAGS.report is not None:
    _restore(flags.FLAGS.report)
    return
  cli.require(['workdir'])
  programs.keep()
  work = configs.of(Work, cli.values(WORK))
  told = configs.of(sweep_flags.Flags, cli.values(sweep_flags.OPTIONS))
  workdir, command = flags.FLAGS.workdir, cli.command('experiments.sweep')
  part = plan.part(work.part)
  if work.dry_run:
    prepared = setup.prepare(told, workdir, command)
    for line in setup.warnings(prepared):
      print(line, file=sys.stderr)
    seconds = work.seconds_per_search, work.seconds_per_training
    said = dry.lines(prepared, *seconds)
    print('\n'.join(map(printable, said)))
    return
  lines = main.run(told, workdir, command, part=part, workers=work.workers)
  print('\n'.join(lines))


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  cli.define(programs.OPTIONS)
  cli.define(sweep_flags.OPTIONS)
  cli.define(WORK)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(run_as_told)


if __name__ == '__main__':
  start()

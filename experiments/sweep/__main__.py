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

import sys

from absl import flags

from nasjax import checks
from nasjax.errors import InputError
from nasjax.printable import printable

from ..flags import cli, names, programs
from . import dry, kept, main, plan, setup

_OWN = 'part', 'workers', 'dry_run', 'seconds_per_search'
_OWN += ('seconds_per_training', 'workdir')


def _restore(folder: str) -> None:
  given = [n for n in (*setup.OPTIONS, *_OWN) if flags.FLAGS[n].present]
  for name in given:
    if name != 'ops':
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
  config, workdir = cli.values(setup.OPTIONS), flags.FLAGS.workdir
  command = cli.command('experiments.sweep')
  checks.check_least(1, workers=flags.FLAGS.workers)
  part = plan.part(flags.FLAGS.part)
  if flags.FLAGS.dry_run:
    prepared = setup.prepare(config, workdir, command)
    for line in setup.warnings(prepared):
      print(line, file=sys.stderr)
    seconds = flags.FLAGS.seconds_per_search, flags.FLAGS.seconds_per_training
    said = dry.lines(prepared, *seconds)
    print('\n'.join(map(printable, said)))
    return
  lines = main.run(
    config, workdir, command, part=part, workers=flags.FLAGS.workers
  )
  print('\n'.join(lines))


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  programs.define()
  cli.define(setup.OPTIONS)
  flags.DEFINE_boolean('dry_run', False, 'print the plan, and write nothing')
  flags.DEFINE_string(
    'part', None, 'run one shard of the jobs: 2/8 is shard 2 of 8'
  )
  flags.DEFINE_integer(
    'workers', 1, 'number of networks trained at the same time'
  )
  flags.DEFINE_float(
    'seconds_per_search',
    None,
    'seconds that one search takes, for the total of --dry_run',
  )
  flags.DEFINE_float(
    'seconds_per_training',
    None,
    'seconds that one training takes, for the total of --dry_run',
  )
  flags.DEFINE_string(
    'report',
    None,
    'folder of a finished study whose report.html is written again',
  )


def start() -> None:
  """Runs the script."""
  define()
  cli.run(run_as_told)


if __name__ == '__main__':
  start()

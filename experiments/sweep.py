"""Searches at several limits, trains what was found beside alternatives.

  python -m experiments.sweep --workdir=runs/sweep --dataset=fashion_mnist_5k \\
    --limits=macs=1M,2M,3M --search_seeds=5 --outer_seeds=1 --train_seeds=2

or `--strengths=0.1,0.3,1,3 --constraint=linear`, which prices MACs and limits
nothing. Writes `report.md`, `report.html`, `results.csv`, figures and the files
of all architectures. `--dry_run` says what there is to do and writes nothing.

Every search and every training is a piece of its own: what is finished is read,
what was killed goes on where it was. `--part=2/8` does every eighth piece, so
that eight processes share the work; those of the searches first, and when all
are done the same command goes on with the trainings. Without `--part` all that
is missing is done, and reported. Images are decoded into memory: of what is
read as a stream there is no sweep.
"""

import contextlib
import fcntl
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from absl import flags

from experiments import (
  cli,
  compilation,
  lock,
  loop,
  sweep_dry,
  sweep_networks,
  sweep_pieces,
  sweep_plan,
  sweep_report,
  sweep_setup,
)
from experiments.sweep_setup import OPTIONS
from nasjax.errors import DivergedError, InputError
from nasjax.printable import printable


@contextlib.contextmanager
def _alone(folder: pathlib.Path) -> Iterator[None]:
  """Makes a folder; other processes that come here wait meanwhile."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
  except OSError as e:
    raise InputError(f'folder {folder}: {e.strerror}') from e
  try:
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
  finally:
    os.close(handle)


@contextlib.contextmanager
def _claimed(
  workdir: pathlib.Path, config: dict[str, Any], part: sweep_plan.Part
) -> Iterator[None]:
  """While no other process does the same pieces of a sweep.

  A part runs beside other parts, and not beside itself or the whole.
  """
  with contextlib.ExitStack() as stack:
    with _alone(workdir.parent):
      if part.of == 1:
        for path in workdir.glob(f'{lock.NAME}.*_of_*'):
          # Which removes what a killed part left.
          with lock.hold(workdir, path.name):
            pass
        stack.enter_context(loop.claimed(workdir, config))
      else:
        lock.check(workdir / lock.NAME)
        loop.claim(workdir, config)
        name = f'{lock.NAME}.{part.index}_of_{part.of}'
        stack.enter_context(lock.hold(workdir, name))
    yield


def run(
  config: dict[str, Any],
  workdir: str | pathlib.Path,
  command: str = '',
  *,
  part: sweep_plan.Part = sweep_plan.Part(),  # noqa: B008 (immutable)
  workers: int = 1,
) -> list[str]:
  """Does what is missing, or a part of it; see the head of this module.

  Args:
    config: a value for every option of `OPTIONS`.
    workdir: where the sweep is kept.
    command: what was typed, for the record.
    part: of the pieces.
    workers: networks trained at a time.

  Returns:
    What was done, in lines.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: every search did, or every training.
  """
  prepared = sweep_setup.prepare(config, workdir, command)
  setting = prepared.setting
  for line in sweep_setup.warnings(prepared):
    print(line, file=sys.stderr)
  told = {**config, **prepared.content}
  with _claimed(setting.workdir, told, part):
    return _done(prepared, part, workers)


def _done(
  prepared: sweep_setup.Prepared, part: sweep_plan.Part, workers: int
) -> list[str]:
  """Does the pieces of a part; what was done, in lines."""
  levels, sizes, setting, space, *_ = prepared
  members = sweep_plan.members(levels, sizes)
  sweep_pieces.run_searches(setting, part(members))
  left = [
    m.name for m in members if not sweep_pieces.is_searched(setting.workdir, m)
  ]
  controls = sweep_plan.controls(levels, sizes)
  sweep_pieces.run_controls(setting, part(controls))
  unlearnt = sweep_pieces.read_controls(setting, controls)
  lost = [c for c in controls if sweep_pieces.is_control_lost(setting, c)]
  done = {one.member for one in unlearnt} | set(lost)
  left += [f'control {m.name}' for m in controls if m not in done]
  if left:
    return [
      f'searches of other parts are not finished: {", ".join(left)}; type '
      'this again when they are'
    ]
  found = sweep_pieces.read_searches(setting, members)
  if not found:
    raise DivergedError(
      f'all {len(members)} searches diverged; see diverged.json of '
      f'{setting.workdir / "searches" / members[0].name}'
    )
  plan = sweep_networks.plan(
    space, setting.resource, levels, sizes, found, unlearnt
  )
  trainings = sweep_plan.trainings(plan.networks, sizes)
  sweep_pieces.run_trainings(setting, plan, part(trainings), workers)
  sweep_pieces.run_inherited(
    setting, found[0].member, plan, part(list(plan.networks))
  )
  results = sweep_pieces.results(setting.workdir, trainings)
  diverged = sweep_pieces.diverged(setting.workdir, trainings)
  if part.of > 1:
    over = len(results) + len(diverged)
    return [f'{over} of {len(trainings)} trainings are finished']
  if not results:
    raise DivergedError('all trainings diverged; lower learning_rate')
  without = [f'control {member.name}' for member in lost]
  without += [
    f'search {m.name}' for m in members if sweep_pieces.has_diverged(setting, m)
  ]
  plan = sweep_networks.without(plan, results, diverged, without)
  written = sweep_report.write(prepared, plan, results)
  return [f'wrote {path}' for path in written]


def main() -> None:
  compilation.keep(flags.FLAGS.compile_cache)
  config, workdir = cli.values(OPTIONS), flags.FLAGS.workdir
  command = cli.command('experiments.sweep')
  cli.check_least(1, workers=flags.FLAGS.workers)
  part = sweep_plan.part(flags.FLAGS.part)
  if flags.FLAGS.dry_run:
    prepared = sweep_setup.prepare(config, workdir, command)
    for line in sweep_setup.warnings(prepared):
      print(line, file=sys.stderr)
    seconds = flags.FLAGS.seconds_per_search, flags.FLAGS.seconds_per_training
    said = sweep_dry.lines(prepared, *seconds)
    print('\n'.join(map(printable, said)))
    return
  lines = run(config, workdir, command, part=part, workers=flags.FLAGS.workers)
  print('\n'.join(lines))


if __name__ == '__main__':
  cli.define_workdir()
  compilation.define()
  cli.define(OPTIONS)
  flags.DEFINE_boolean(
    'dry_run', False, 'say what there is to do, write nothing'
  )
  flags.DEFINE_string('part', None, 'do every so manieth piece, as 2/8')
  flags.DEFINE_integer('workers', 1, 'networks trained at a time')
  flags.DEFINE_float('seconds_per_search', None, 'for --dry_run')
  flags.DEFINE_float('seconds_per_training', None, 'for --dry_run')
  cli.run(main, required=('workdir',))

"""Runs the missing jobs of a sweep, or of one shard, and reports."""

import contextlib
import fcntl
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from nasjax.errors import DivergedError, InputError
from nasjax.run.workdir import claims, lock

from . import networks, pieces, report, setup, sweep_flags, trainings
from . import plan as plan_lib


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
  workdir: pathlib.Path, config: dict[str, Any], part: plan_lib.Part
) -> Iterator[None]:
  """Holds the locks of a shard, so that no other process runs its jobs.

  A shard runs beside other shards, but not beside itself or the whole sweep.
  """
  with contextlib.ExitStack() as stack:
    with _alone(workdir.parent):
      if part.of == 1:
        for path in workdir.glob(f'{lock.NAME}.*_of_*'):
          # Which removes what a killed part left.
          with lock.hold(workdir, path.name):
            pass
        stack.enter_context(claims.claimed(workdir, config))
      else:
        lock.check(workdir / lock.NAME)
        claims.claim(workdir, config)
        name = f'{lock.NAME}.{part.index}_of_{part.of}'
        stack.enter_context(lock.hold(workdir, name))
    yield


def run(
  told: sweep_flags.Flags,
  workdir: str | pathlib.Path,
  command: str = '',
  *,
  part: plan_lib.Part = plan_lib.Part(),  # noqa: B008 (immutable)
  workers: int = 1,
) -> list[str]:
  """Runs the missing jobs, or those of one shard; see `experiments.sweep`.

  Args:
    told: the flags.
    workdir: where the sweep is kept.
    command: what was typed, for the record.
    part: the shard; the default is all jobs.
    workers: networks trained at a time.

  Returns:
    Lines about what was done.

  Raises:
    InputError: bad input; nothing was written then.
    DivergedError: every search diverged, or every training.
  """
  prepared = setup.prepare(told, workdir, command)
  setting = prepared.setting
  for line in setup.warnings(prepared):
    print(line, file=sys.stderr)
  config = {**told.values, **prepared.content}
  with _claimed(setting.workdir, config, part):
    return _done(prepared, part, workers)


def _done(
  prepared: setup.Prepared, part: plan_lib.Part, workers: int
) -> list[str]:
  """Runs the jobs of a shard; returns lines about what was done."""
  levels, sizes, setting, space, *_ = prepared
  members = plan_lib.members(levels, sizes)
  pieces.run_searches(setting, part(members))
  left = [m.name for m in members if not pieces.is_searched(setting.workdir, m)]
  controls = plan_lib.controls(levels, sizes)
  pieces.run_controls(setting, part(controls))
  unlearnt = pieces.read_controls(setting, controls)
  lost = [c for c in controls if pieces.is_control_lost(setting, c)]
  done = {one.member for one in unlearnt} | set(lost)
  left += [f'control {m.name}' for m in controls if m not in done]
  if left:
    return [
      f'searches of other parts are not finished: {", ".join(left)}; type '
      'this again when they are'
    ]
  found = pieces.read_searches(setting, members)
  if not found:
    raise DivergedError(
      f'all {len(members)} searches diverged; see diverged.json of '
      f'{setting.workdir / "searches" / members[0].name}'
    )
  plan = networks.plan(space, setting.resource, levels, sizes, found, unlearnt)
  wanted = plan_lib.trainings(plan.networks, sizes)
  trainings.run(setting, plan, part(wanted), workers)
  pieces.run_inherited(
    setting, found[0].member, plan, part(list(plan.networks))
  )
  results = trainings.results(setting, wanted)
  diverged = trainings.diverged(setting, wanted)
  if part.of > 1:
    over = len(results) + len(diverged)
    return [f'{over} of {len(wanted)} trainings are finished']
  if not results:
    raise DivergedError('all trainings diverged; lower learning_rate')
  without = [f'control {member.name}' for member in lost]
  without += [
    f'search {m.name}' for m in members if pieces.has_diverged(setting, m)
  ]
  plan = networks.without(plan, results, diverged, without)
  written = report.write(prepared, plan, results)
  return [f'wrote {path}' for path in written]

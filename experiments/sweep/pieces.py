"""Runs the searches and the controls (untrained alphas) of a sweep.

Each is one job: a finished job is reused, an interrupted one resumes. Jobs are
folders of the sweep's workdir:

searches/MEMBER/       the files of `experiments.search`, and member.json with
                       its steps and seconds, which is written last
controls/MEMBER/       trained finalists, and architecture.json, which is
                       written last
trainings/NAME_seedN/  see `experiments.sweep.trainings`
inherited/NAME.json    accuracy with the weights of a search's supernet
"""

import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from nasjax import files
from nasjax import search as search_lib
from nasjax import space as space_lib
from nasjax.errors import DivergedError
from nasjax.run import (
  finalists,
  outcome,
  progress,
  search_loop,
  supernets,
)
from nasjax.run import inputs as inputs_lib
from nasjax.run.hosts import devices
from nasjax.run.workdir import (
  diverged_file,
  lock,
  metrics_file,
  schema,
  weights,
)
from nasjax.space import Architecture

from .. import search
from .networks import Found, Plan, alphas_of
from .plan import Member
from .setting import Setting, flags_of

_INDIFFERENT = 1e-3  # Nats.


def compiled_once(
  ready: Callable[[], None] = lambda: None,
) -> Callable[..., search_loop.Compiled]:
  """Like `search_loop.compile_for`, but compiles only for the first search.

  The others share its programs: their limits and strengths are data.

  Args:
    ready: called when the steps of a search are compiled and it may begin.
  """
  made: list[search_loop.Compiled] = []

  def call(inputs: inputs_lib.Inputs, *args: Any) -> search_loop.Compiled:
    if not made:
      made.append(search_loop.compile_for(inputs, *args))
      for program in filter(None, made[0].programs):
        program.result()
    ready()

    def start(key: jax.Array) -> search_lib.State:
      kept, sharding = inputs.kept, inputs.batches.sharding
      own = search_lib.population.member(
        made[0].start(key), [c for _, c in kept.constraints], kept.projection
      )
      # Steps take what is on all devices; these numbers are new.
      return devices.everywhere(own, sharding)

    return made[0]._replace(start=start)

  return call


def is_searched(workdir: pathlib.Path, member: Member) -> bool:
  return (workdir / 'searches' / member.name / 'member.json').exists()


def run_searches(setting: Setting, members: Sequence[Member]) -> None:
  """Runs the unfinished searches among some members; compiles once."""
  begun: list[float] = []
  compiled = compiled_once(lambda: begun.append(time.monotonic()))
  left = [m for m in members if not is_searched(setting.workdir, m)]
  if left:
    cpu = jax.default_backend() == 'cpu'
    why = (
      'several in one step are slower on a CPU, which one keeps busy'
      if cpu
      else 'processes with --part= fill a device that one does not'
    )
    print(
      f'{len(left)} searches, one after the other by the same compiled steps, '
      f'as limits, strengths and seeds are in the state: {why}',
      file=sys.stderr,
    )
  for member in left:
    print(f'search {member.name}', file=sys.stderr)
    _search(setting, member, compiled, begun)


def _search(
  setting: Setting, member: Member, compiled: Callable, begun: list[float]
) -> None:
  folder = setting.workdir / 'searches' / member.name
  told = flags_of(setting.search, setting.resource, member)
  fresh, start = not folder.exists(), time.monotonic()
  try:
    found = search.run(
      told,
      folder,
      setting.command,
      dataset=setting.dataset,
      compiled=compiled,
      keep_supernet=True,
    )
  except DivergedError as e:
    progress.note(f'search {member.name}: {e}')
    files.write_json(folder / 'member.json', {'diverged': str(e)})
    return
  # After a kill, only this record may be missing.
  now = time.monotonic()
  compiled_at = begun[-1] if begun else now
  taken = metrics_file.read(folder)[-1]['step']
  architecture = space_lib.read_record(folder / 'architecture.json')
  trained = len(architecture['finalists'])
  record = {
    'steps': taken,
    # Weights learn from one half of the images, supernet's and finalists'.
    'images': sum(found.config.images(taken))
    + finalists.images_of(told.search, trained, setting.dataset.num_train // 2),
    # How long an earlier process took for its part is not known.
    'seconds': now - compiled_at if fresh else None,
    'compile_seconds': compiled_at - start,
    'device': jax.devices()[0].device_kind,
  }
  files.write_json(folder / 'member.json', record)


def has_diverged(setting: Setting, member: Member) -> bool:
  """Whether a search diverged: it found nothing, and never will."""
  folder = setting.workdir / 'searches' / member.name
  return diverged_file.read(folder) is not None


def is_control_lost(setting: Setting, member: Member) -> bool:
  """Whether all finalists of a control diverged: it never chooses one."""
  folder = control_path(setting.workdir, member).parent
  return diverged_file.read(folder) is not None


def read_searches(setting: Setting, members: Sequence[Member]) -> list[Found]:
  """Reads the results of finished searches, without those that diverged."""
  found = []
  for member in members:
    if has_diverged(setting, member):
      continue
    path = setting.workdir / 'searches' / member.name / 'architecture.json'
    record = space_lib.read_record(path)
    a = Architecture.load(path, setting.ops)
    schema.hold(path, record, outcome.derived_from(a.space))
    found.append(Found(member, a, alphas_of(record)))
  return found


def control_path(workdir: pathlib.Path, member: Member) -> pathlib.Path:
  return workdir / 'controls' / member.name / 'architecture.json'


def run_controls(setting: Setting, members: Sequence[Member]) -> None:
  """Runs unfinished controls: finalists chosen from untrained alphas.

  The alphas are noise, so small that all options are about equally probable.
  """
  for member in members:
    path = control_path(setting.workdir, member)
    if path.exists() or diverged_file.read(path.parent):
      continue
    print(f'control {member.name}', file=sys.stderr)
    with files.writing(path.parent):
      path.parent.mkdir(parents=True, exist_ok=True)
    told = flags_of(setting.search, setting.resource, member)
    inputs = search.prepare(told, setting.dataset)
    rng = np.random.default_rng(member.seed)
    # Noise this small leaves all options about equally probable, and still
    # gives each seed other leaders.
    alphas = {
      name: _INDIFFERENT * rng.gumbel(size=alpha.shape)
      for name, alpha in space_lib.init_alphas(inputs.space).items()
    }
    try:
      with lock.hold(path.parent), diverged_file.written(path.parent):
        a, trained = finalists.chosen(inputs, alphas, path.parent)
    except DivergedError as e:
      progress.note(f'control {member.name}: {e}')
      continue
    record = {'command': setting.command, 'seed': member.seed}
    a.save(path, **record, finalists=trained)


def read_controls(setting: Setting, members: Sequence[Member]) -> list[Found]:
  """Reads the architectures of finished controls."""
  paths = {m: control_path(setting.workdir, m) for m in members}
  return [
    Found(m, Architecture.load(path, setting.ops), {})
    for m, path in paths.items()
    if path.exists()
  ]


def inherited_path(workdir: pathlib.Path, folder: str) -> pathlib.Path:
  return workdir / 'inherited' / f'{folder}.json'


def run_inherited(
  setting: Setting, member: Member, plan: Plan, folders: Sequence[str]
) -> None:
  """Measures the accuracy of some networks with a supernet's weights.

  Args:
    setting: of the sweep.
    member: the search whose supernet it is.
    plan: all networks.
    folders: which of them; networks of other spaces are skipped.
  """
  left = {
    folder: plan.networks[folder].architecture
    for folder in folders
    if not inherited_path(setting.workdir, folder).exists()
  }
  left = {folder: a for folder, a in left.items() if a is not None}
  if not left:
    return
  told = flags_of(setting.search, setting.resource, member)
  inputs = search.prepare(told, setting.dataset)
  halves, key = (inputs.train, inputs.valid), jax.random.key(0)
  parts = inputs_lib.build(inputs)
  shapes = lambda *args: inputs_lib.params_of(  # noqa: E731
    inputs, parts, parts.init(*args)
  )
  whole = weights.restore(
    setting.workdir / 'searches' / member.name,
    supernets.WHOLE,
    {'params': jax.eval_shape(shapes, key, *halves)},
    inputs.space.name,
  )
  (setting.workdir / 'inherited').mkdir(exist_ok=True)
  for folder, a in left.items():
    found = supernets.inherited(
      inputs.supernet,
      a,
      whole['params'],
      halves,
      inputs.batches,
      inputs.config.recipe.numerics,
    )
    record = {'member': member.name, **found.record}
    files.write_json(inherited_path(setting.workdir, folder), record)

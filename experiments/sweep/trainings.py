"""The trainings of a sweep: each is done once, by whoever comes first to it."""

import dataclasses
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nasjax import data, files
from nasjax.errors import DivergedError
from nasjax.run import datasets, finished, interrupts, progress, training
from nasjax.run.hosts import devices
from nasjax.run.workdir import (
  diverged_file,
  lock,
  schema,
)

from .networks import Plan
from .plan import Training
from .setting import Setting


def folder_of(setting: Setting, one: Training) -> pathlib.Path:
  """Where a training is kept, as `experiments.train` leaves it."""
  name = setting.layout.format(folder=one.folder, seed=one.seed)
  return setting.workdir / name


def run(
  setting: Setting,
  plan: Plan,
  wanted: Sequence[Training],
  workers: int,
  what: str = 'sweep',
) -> None:
  """Trains what is not finished of some trainings, several at a time.

  Seeds of one network follow each other, so that it is traced once. What
  diverges has no result; a line says so.

  Args:
    setting: of the sweep.
    plan: all networks.
    wanted: trainings of some of them.
    workers: networks trained at a time.
    what: is done, as the progress bar calls it.
  """
  recipe, batches = setting.recipe, setting.batches
  by_network: dict[str, list[Training]] = {}
  for one in wanted:
    by_network.setdefault(one.folder, []).append(one)
  dataset = setting.dataset
  if isinstance(dataset, data.Dataset):
    # Once, not once for each training.
    resident = devices.everywhere(dataset.train, batches.sharding)
    dataset = dataclasses.replace(dataset, train=resident)
  bar = progress.Progress(
    what, datasets.steps_of(recipe, dataset) * len(wanted)
  )

  def train(folder: str) -> None:
    entry = plan.networks[folder]
    network, a = entry.network, entry.architecture
    built = training.build(network, dataset, batches, recipe)
    for one in by_network[folder]:
      interrupts.check()
      own = folder_of(setting, one)
      with files.writing(own):
        own.mkdir(parents=True, exist_ok=True)
      try:
        with lock.hold(own):
          training.run(
            own,
            network,
            dataset,
            batches,
            recipe,
            seed=one.seed,
            record={'name': folder},
            bar=bar,
            valid=setting.valid,
            choose=False,
            built=built,
            among=None if a is None else a.space,
          )
      except DivergedError as e:
        progress.note(f'{own.name}: {e}')

  with bar, ThreadPoolExecutor(workers) as pool:
    list(pool.map(train, by_network))


def results(
  setting: Setting, wanted: Sequence[Training]
) -> dict[Training, dict[str, Any]]:
  """Of finished trainings."""
  paths = {one: folder_of(setting, one) / 'result.json' for one in wanted}
  kind = schema.anything
  if setting.valid is not None:
    kind = schema.fields(valid_accuracy=schema.share, device=schema.text)
  return {
    o: schema.hold(p, finished.result(p), kind)
    for o, p in paths.items()
    if p.exists()
  }


def diverged(setting: Setting, wanted: Sequence[Training]) -> list[Training]:
  """The trainings that diverged: they have no result, and never will."""
  return [one for one in wanted if diverged_file.read(folder_of(setting, one))]

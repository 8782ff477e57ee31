"""Trains the networks of a search beside alternatives of the same cost.

  python -m experiments.compare --search=runs/search --workdir=runs/compare

From one search it derives the most probable architecture for several budgets
(`--fractions` of the search's MACs limit) and trains each, with one recipe, as
well as MobileNetV2 scaled to each budget. Within the middle budget it also
trains random architectures of the space and a control, which is derived from
random alphas. Writes `report.md`, `results.json` and figures. The same command
resumes a killed run.

It is the smallest sweep: of one search, with one training of each network.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('compare')  # Before imports that take seconds.

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import flags

from nasjax import checks, options
from nasjax.errors import DivergedError, InputError
from nasjax.options import as_given, check_types, documented, group, option
from nasjax.run import datasets
from nasjax.run import record as record_lib
from nasjax.run.workdir import claims
from nasjax.train.recipe import Recipe

from .flags import cli, configs, names, programs, sources
from .sweep import one_search, one_search_page, trainings
from .sweep.networks import Plan
from .sweep.plan import Training
from .sweep.setting import Setting


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """What a comparison is told.

  Raises:
    InputError: a value out of its range.
  """

  search: str | None = option(None, 'workdir of a finished search')
  ops: str | None = option(
    None, 'Python module with your ops, where the search used them'
  )
  fractions: str = option(
    '1,0.5,0.25', "budgets as fractions of the search's limit on MACs"
  )
  fill: float = option(*configs.SEARCH['fill'])
  random: int = option(3, 'number of random networks in the middle budget')
  control: int = option(
    1,
    'number of networks in the middle budget that are derived as the searched '
    'ones are, but from random alphas',
  )
  seed: int = option(0, 'seed of everything random in the comparison')
  recipe: Recipe = group(Recipe())
  values: Mapping[str, Any] = as_given()

  def __post_init__(self):
    check_types(self)
    if not all(0 < share <= 1 for share in self.shares):
      raise InputError(f'fractions {list(self.shares)} must lie in (0, 1]')
    checks.check_least(0, random=self.random, control=self.control)
    checks.check_seed(self.seed)
    checks.check_fill(self.fill)

  @property
  def shares(self) -> tuple[float, ...]:
    """`fractions` as numbers."""
    texts = self.fractions.split(',')
    return tuple(checks.parse_number(text, 'fractions') for text in texts)


@documented
@dataclasses.dataclass(frozen=True)
class Work:
  """How the work is spread; no result depends on it.

  Raises:
    InputError: a number out of its range.
  """

  workers: int = option(2, 'number of networks trained at the same time')

  def __post_init__(self):
    check_types(self)
    checks.check_least(1, workers=self.workers)


OPTIONS = options.of(Flags)


def train(
  setting: Setting, plan: Plan, seed: int, workers: int
) -> tuple[list[dict[str, Any]], list[str]]:
  """Trains every network once, some at a time.

  Returns:
    Rows for `nasjax.report`, and the names of the networks without one, since
    their training diverged.

  Raises:
    DivergedError: all trainings diverged.
  """
  wanted = [Training(folder, seed) for folder in plan.networks]
  one_search_page.write_networks(setting, plan)
  trainings.run(setting, plan, wanted, workers, 'compare')
  rows = one_search_page.rows(plan, trainings.results(setting, wanted))
  if not rows:
    raise DivergedError('all trainings diverged; lower learning_rate')
  return rows, [one.folder for one in trainings.diverged(setting, wanted)]


def main() -> None:
  programs.keep()
  told = configs.of(Flags, cli.values(OPTIONS))
  workers = configs.of(Work, cli.values(options.of(Work))).workers
  ops = names.ops_of(told.ops)
  searched = pathlib.Path(told.search).expanduser()
  found, record, images = one_search.read(searched, ops)
  plan = one_search.plan(
    found.space,
    record,
    told.shares,
    told.random,
    told.seed,
    told.fill,
    told.control,
  )
  opened = sources.open_or_stream(images, write=False)
  datasets.check_recipe(told.recipe, opened)
  dataset = datasets.read(opened)
  content = {
    'search_content': record_lib.fingerprint(found.space, record.get('alphas')),
    'data_content': datasets.content_of(dataset),
  }
  with claims.claimed(
    flags.FLAGS.workdir, {**told.values, **content}
  ) as workdir:
    setting = Setting(
      workdir,
      None,
      'macs',
      dataset,
      None,
      datasets.batches_for(told.recipe, dataset),
      told.recipe,
      ops,
      cli.command('experiments.compare'),
      layout='{folder}',
    )
    rows, diverged = train(setting, plan, told.seed, workers)
    print(one_search_page.write(setting, rows, told.fill, diverged))
  print(f'wrote {workdir / "report.md"} and {workdir / "accuracy.png"}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  cli.define(programs.OPTIONS)
  cli.define(OPTIONS)
  cli.define(options.of(Work))


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir', 'search'))


if __name__ == '__main__':
  start()

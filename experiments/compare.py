"""Trains the networks of a search beside alternatives of the same cost.

  python -m experiments.compare --search=runs/search --workdir=runs/compare

From one search it derives the most probable architecture for several budgets
(`--fractions` of the search's MACs limit) and trains each, with one recipe, as
well as MobileNetV2 scaled to each budget and random architectures of the space
within the middle one. Writes `report.md`, `results.json` and figures. The same
command resumes a killed run.

It is the smallest sweep: of one search, with one training of each network.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('compare')  # Before imports that take seconds.

import pathlib
from typing import Any

from absl import flags

from nasjax import checks
from nasjax.errors import DivergedError, InputError
from nasjax.run import datasets
from nasjax.run import record as record_lib
from nasjax.run.workdir import claims
from nasjax.train.recipe import Recipe

from .flags import cli, configs, names, programs, sources
from .sweep import one_search, one_search_page, trainings
from .sweep.networks import Plan
from .sweep.plan import Training
from .sweep.setting import Setting

OPTIONS = {
  'search': (None, 'workdir of a finished search'),
  'ops': (None, 'Python module with your ops, where the search used them'),
  'fractions': (
    '1,0.5,0.25',
    "budgets as fractions of the search's limit on MACs",
  ),
  'fill': configs.SEARCH['fill'],
  'random': (3, 'number of random networks in the middle budget'),
  'seed': (0, 'seed of everything random in the comparison'),
  **configs.RECIPE,
}


def _fractions(config: dict[str, Any]) -> list[float]:
  """The fractions that are asked for, once all other numbers are checked."""
  found = [
    checks.parse_number(f, 'fractions') for f in config['fractions'].split(',')
  ]
  if not all(0 < f <= 1 for f in found):
    raise InputError(f'fractions {found} must lie in (0, 1]')
  checks.check_least(0, random=config['random'])
  checks.check_seed(config['seed'])
  checks.check_fill(config['fill'])
  return found


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
  config, workers = cli.values(OPTIONS), flags.FLAGS.workers
  recipe, fractions = configs.of(Recipe, config), _fractions(config)
  checks.check_least(1, workers=workers)
  ops = names.ops_of(config['ops'])
  searched = pathlib.Path(config['search']).expanduser()
  found, record, told = one_search.read(searched, ops)
  given = config['random'], config['seed'], config['fill']
  plan = one_search.plan(found.space, record, fractions, *given)
  # Older searches lack flags that are newer.
  options = one_search.SEARCH_OPTIONS
  told = cli.defaults(options) | told
  opened = sources.open_or_stream(told, options, write=False)
  datasets.check_recipe(recipe, opened)
  dataset = datasets.read(opened)
  content = {
    'search_content': record_lib.fingerprint(found.space, record.get('alphas')),
    'data_content': datasets.content_of(dataset),
  }
  with claims.claimed(flags.FLAGS.workdir, {**config, **content}) as workdir:
    setting = Setting(
      workdir,
      told,
      'macs',
      dataset,
      None,
      datasets.batches_for(recipe, dataset),
      recipe,
      ops,
      cli.command('experiments.compare'),
      layout='{folder}',
    )
    rows, diverged = train(setting, plan, config['seed'], workers)
    print(one_search_page.write(setting, rows, config['fill'], diverged))
  print(f'wrote {workdir / "report.md"} and {workdir / "accuracy.png"}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  programs.define()
  cli.define(OPTIONS)
  flags.DEFINE_integer(
    'workers', 2, 'number of networks trained at the same time'
  )


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir', 'search'))


if __name__ == '__main__':
  start()

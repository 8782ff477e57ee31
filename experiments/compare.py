"""Trains what a search found beside alternatives of the same cost.

  python -m experiments.compare --search=runs/search --workdir=runs/compare

From one search it derives the most probable architecture for several budgets
(`--fractions` of the search's MACs limit) and trains each, with one recipe, as
well as MobileNetV2 scaled to each budget and random architectures of the space
within the middle one. Writes `report.md`, `results.json` and figures. Started
again after a kill it goes on where it was.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('compare')  # Before imports that take seconds.

import dataclasses
import pathlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from absl import flags

from nasjax import checks, cost, data, derive, files, report, zoo
from nasjax.baselines import scaled
from nasjax.data import stream
from nasjax.errors import DivergedError, InputError
from nasjax.report.markup import code, literal
from nasjax.run import (
  datasets,
  finished,
  loop,
  outcome,
  progress,
  training,
)
from nasjax.run.outcome import RESOURCES
from nasjax.run.workdir import diverged_file, recorded
from nasjax.space import Architecture, Space, fix, read_record
from nasjax.train.recipe import Recipe

from .flags import (
  cli,
  configs,
  names,
  programs,
  sources,
)

# Flags of a search that a comparison reads, and those that all searches had.
_SEARCHED = {**sources.OPTIONS, **sources.STREAM_OPTIONS}
_CONFIG = recorded.both(
  recorded.flags(_SEARCHED),
  recorded.fields(dataset=recorded.text, data_dir=recorded.anything),
)


@dataclasses.dataclass(frozen=True)
class Entry:
  """A network of the comparison.

  Attributes:
    name: of its folder and its row.
    kind: what group it belongs to.
    limit: the budget that it was made for, in MACs.
    network: one op in every slot.
    architecture: where it is one of the searched space.
    also: smaller budgets, in MACs, within which it is the most probable, too.
  """

  name: str
  kind: str
  limit: int
  network: Space
  architecture: Architecture | None = None
  also: tuple[int, ...] = ()


def read_search(
  directory: pathlib.Path, ops: tuple[type, ...] = ()
) -> tuple[Architecture, dict[str, Any], dict[str, Any]]:
  """A finished search: architecture, record and flags.

  Raises:
    InputError: there is none, or its files are of no use.
  """
  path = directory / 'architecture.json'
  if not path.exists():
    raise InputError(f'{directory} holds no finished search: no {path.name}')
  config = recorded.read(directory / 'config.json', _CONFIG)
  found, record = finished.architecture(directory, ops), read_record(path)
  recorded.hold(path, record, outcome.derived_from(found.space))
  return found, record, config


def plan(
  found: Architecture,
  record: dict[str, Any],
  fractions: list[float],
  randoms: int,
  seed: int,
  fill: float,
) -> list[Entry]:
  """Every network that is to be compared.

  Raises:
    InputError: a budget is out of the reach of the space or of MobileNetV2, or
      two budgets are so close that they read the same.
  """
  space, macs = found.space, cost.macs(found.space)
  limits = {
    checks.lookup('resource', name, RESOURCES)(space): row['limit']
    for name, row in record['resources'].items()
    if row['limit'] is not None
  }
  if macs not in limits:
    raise InputError('the search had no limit on macs; search with one')
  limit = limits.pop(macs)  # The others are kept by every network of the space.
  alphas = {k: np.asarray(v) for k, v in record['alphas'].items()}
  budgets = sorted({int(limit * f) for f in fractions}, reverse=True)
  if len({report.si(budget) for budget in budgets}) < len(budgets):
    raise InputError(
      f'fractions {fractions} give the budgets {budgets} MACs, which differ by '
      'less than three digits show'
    )
  searched: dict[Architecture, Entry] = {}
  for budget in budgets:
    own = {macs: budget, **limits}
    a, gap, fill_open = derive.solution(space, alphas, own, fill=fill)
    proven = {'fill': fill, 'gap': gap, 'fill_open': fill_open}
    certificate = derive.certificate(a, alphas, own, **proven)
    for line in outcome.unproven(certificate._asdict()):
      print(f'within {budget} MACs: {line}')
    if a in searched:
      same = searched[a]
      searched[a] = dataclasses.replace(same, also=(*same.also, budget))
      print(
        f'within {budget} MACs the derived network is {same.name} again '
        f'({macs.exact(a)} MACs): it is trained once'
      )
      continue
    name = f'searched_{report.si(budget)}'
    searched[a] = Entry(name, 'searched', budget, fix(space, a), a)
  entries = list(searched.values())
  for budget in budgets:
    network = scaled.within(zoo.mobilenet_v2, space, cost.macs, budget)
    name = f'mobilenet_v2_{report.si(budget)}'
    entries.append(Entry(name, 'MobileNetV2', budget, network))
  middle = budgets[len(budgets) // 2]
  rng = np.random.default_rng(seed)
  drawn = derive.sample_within(
    space, {macs: middle, **limits}, randoms, rng, fill=fill, distinct=True
  )
  for i, a in enumerate(drawn, 1):
    entries.append(Entry(f'random_{i}', 'random', middle, fix(space, a), a))
  return entries


def run(
  workdir: pathlib.Path,
  entries: list[Entry],
  dataset: data.Dataset | stream.Streamed,
  batches: data.Batches,
  recipe: Recipe,
  *,
  seed: int,
  workers: int,
) -> list[dict[str, Any]]:
  """Trains every entry, some at a time; rows for `nasjax.report`.

  What diverges has no row; a line says so.
  """
  total = datasets.steps_of(recipe, dataset) * len(entries)
  bar = progress.Progress('compare', total)

  def one(entry: Entry) -> dict[str, Any]:
    folder = workdir / entry.name
    folder.mkdir(exist_ok=True)
    record = {'name': entry.name, 'kind': entry.kind, 'limit': entry.limit}
    if entry.also:
      record['also'] = list(entry.also)
    among = None
    if entry.architecture is not None:
      among = entry.architecture.space
      finished.check_workdir(folder, entry.network, among)
      entry.architecture.save(
        folder / 'architecture.json',
        **record,
        classes=datasets.classes_of(dataset),
      )
    report.architecture_figure(
      folder / 'architecture.png', entry.network, title=entry.name
    )
    return training.run(
      folder,
      entry.network,
      dataset,
      batches,
      recipe,
      seed=seed,
      record=record,
      bar=bar,
      among=among,
    ).result

  def finite(entry: Entry) -> dict[str, Any] | None:
    try:
      return one(entry)
    except DivergedError as e:
      progress.note(f'{entry.name}: {e}')
      return None

  with bar, ThreadPoolExecutor(workers) as pool:
    rows = [row for row in pool.map(finite, entries) if row is not None]
  if not rows:
    raise DivergedError('all trainings diverged; lower learning_rate')
  return rows


def write_report(
  workdir: pathlib.Path,
  rows: list[dict[str, Any]],
  recipe: Recipe,
  command: str,
  fill: float,
  diverged: Sequence[str] = (),
) -> str:
  """Writes `results.json`, `accuracy.png`, `report.md`; returns the table.

  The page names the networks whose training diverged.
  """
  files.write_json(workdir / 'results.json', rows)
  report.comparison_figure(workdir / 'accuracy.png', rows)
  table = report.comparison_table(rows)
  merged = ''.join(
    f'{literal(row["name"])} is also the network derived within {budget:,} '
    'MACs; it was trained once.\n\n'
    for row in rows
    for budget in row.get('also', ())
  )
  if diverged:
    merged += (
      f'The training of {", ".join(diverged)} diverged: it has no accuracy.\n\n'
    )
  dataset = literal(rows[0]['dataset'])
  text = f"""# Searched networks and their alternatives

Made by {code(command)}.

Every network was trained once, from scratch, with the same recipe:
{recipe.epochs} epochs of batches of {recipe.batch_size} on all training images
of {dataset}. Accuracy is on all {rows[0]['test_images']:,} test
images, which nothing else saw. It is one training each: a difference that is
no larger than those among the random networks means nothing.

{table}
{merged}![accuracy against MACs](accuracy.png)

The searched networks are the most probable ones of the space, and the random
ones uniform draws from it, among those that keep their budget and use at least
{fill:.0%} of it, where there are such. MobileNetV2 is scaled by its width
multiplier to the largest width within the budget. On images under 64 pixels
its earliest strides of 2 become 1 until the last feature map is at least 2
pixels high, widths are rounded to multiples of 4 (of 2 where that uses more of
the budget), and the head is scaled as well.
"""
  files.write_text(workdir / 'report.md', text)
  return table


OPTIONS = {
  'search': (None, 'workdir of a finished search'),
  'ops': (None, 'module with ops of your own that the search used'),
  'fractions': ('1,0.5,0.25', "budgets, as parts of the search's MACs limit"),
  'fill': configs.SEARCH['fill'],
  'random': (3, 'random networks in the middle budget'),
  'seed': (0, 'of everything that is random'),
  **configs.RECIPE,
}


def main() -> None:
  programs.keep()
  config = cli.values(OPTIONS)
  recipe = configs.of(Recipe, config)
  fractions = [
    checks.parse_number(f, 'fractions') for f in config['fractions'].split(',')
  ]
  if not all(0 < f <= 1 for f in fractions):
    raise InputError(f'fractions {fractions} must lie in (0, 1]')
  checks.check_least(0, random=config['random'])
  checks.check_seed(config['seed'])
  checks.check_fill(config['fill'])
  checks.check_least(1, workers=flags.FLAGS.workers)
  found, record, searched = read_search(
    pathlib.Path(config['search']).expanduser(), names.ops_of(config['ops'])
  )
  entries = plan(
    found, record, fractions, config['random'], config['seed'], config['fill']
  )
  # Searches of before there were so many flags lack some.
  known = cli.defaults(_SEARCHED) | searched
  opened = sources.open_or_stream(known, _SEARCHED, write=False)
  datasets.check_recipe(recipe, opened)
  dataset = datasets.read(opened)
  batches = datasets.batches_for(recipe, dataset)
  drawn_from = loop.fingerprint(found.space, record.get('alphas'))
  content = {
    'search_content': drawn_from,
    'data_content': datasets.content_of(dataset),
  }
  claimed = loop.claimed(flags.FLAGS.workdir, {**config, **content})
  with claimed as workdir:
    rows = run(
      workdir,
      entries,
      dataset,
      batches,
      recipe,
      seed=config['seed'],
      workers=flags.FLAGS.workers,
    )
    command = cli.command('experiments.compare')
    names_of_all = (entry.name for entry in entries)
    diverged = [n for n in names_of_all if diverged_file.read(workdir / n)]
    print(
      write_report(workdir, rows, recipe, command, config['fill'], diverged)
    )
  print(f'wrote {workdir / "report.md"} and {workdir / "accuracy.png"}')


def define() -> None:
  """Defines the flags of the script."""
  cli.define_workdir()
  programs.define()
  cli.define(OPTIONS)
  flags.DEFINE_integer('workers', 2, 'networks trained at a time')


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main, required=('workdir', 'search'))


if __name__ == '__main__':
  start()

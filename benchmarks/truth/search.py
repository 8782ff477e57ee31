"""Whole searches in NAS-Bench-Macro, judged by the accuracies of its table.

  python -m benchmarks.truth.search --workdir=runs/truth --data_dir=DIR \
    --quantiles=development --seeds=0,1,2 --methods=contributions,regression

trains a supernet of the proxy for each seed, searches by each method under a
limit at each quantile of MACs, and prints mean regrets. What is finished is
kept in the workdir: killed and typed again, it goes on. `plan.md` beside this
file says what is tried, and what is quoted.
"""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.kept import Rows
from benchmarks.truth import (
  by_contributions,
  by_gradient,
  by_mixture,
  by_training,
  controls,
  proxy,
  table,
)
from benchmarks.truth.given import FINALISTS, Found, Given, finalists
from nasjax.errors import InputError
from nasjax.run import compilation

METHODS: Mapping[str, Callable[[Given], Found]] = {
  'contributions': by_contributions.searched,
  'regression': by_contributions.by_regression,
  'untrained': by_contributions.untrained,
  'straight_through': by_gradient.by_straight_through,
  'peer': by_gradient.by_peer,
  'before': by_mixture.by_default_of_before,
  'darts': by_mixture.by_darts,
  'alone': by_training.by_training_alone,
  'noise': controls.by_noise,
  'evolution': controls.by_evolution,
  'local_search': controls.by_local_search,
  'random': controls.at_random,
  'depth': controls.by_depth,
}
LOOKING_UP = 'noise', 'evolution', 'random', 'depth', 'local_search'
_OWN_WEIGHTS = 'before', 'darts', *LOOKING_UP
WITHOUT_SUPERNET = 'alone', *_OWN_WEIGHTS


def outcome(found: Found, limits: Mapping[str, float]) -> dict[str, Any]:
  """Regrets of the first, of the best finalist, and of the best of the first.

  The best of several is the one with the best first test.
  """
  truth = table.load()
  looked_up = finalists(found.rows)
  first = found.rows[:FINALISTS]
  return {
    'row': found.rows[0],
    'regret': truth.regret(found.rows[0], limits),
    'regret_of_8': truth.regret(truth.chosen(looked_up), limits),
    'regret_of_first_8': truth.regret(truth.chosen(first), limits),
    'finalists': looked_up,
    'seconds': found.seconds,
    **found.more,
  }


def run(
  workdir: pathlib.Path,
  data_dir: str,
  recipe: proxy.Recipe,
  methods: Sequence[str],
  quantiles: Sequence[float],
  seeds: Sequence[int],
  resources: Sequence[str] = ('macs',),
) -> list[dict[str, Any]]:
  """The rows of all methods, seeds and quantiles; what is missing is run."""
  truth, rows = table.load(), Rows(workdir / 'searches.jsonl')
  found = []
  for seed in seeds:
    state = None
    for method in methods:
      for q in quantiles:
        limits = {name: truth.quantile(q, name) for name in resources}
        how = '' if method in _OWN_WEIGHTS else f', {recipe}'
        case = f'{method}, {"+".join(resources)} {q}, seed {seed}{how}'

        def make(method=method, limits=limits, seed=seed):
          nonlocal state
          if state is None and method not in WITHOUT_SUPERNET:
            state = proxy.supernet(
              workdir / 'supernets', recipe, data_dir, seed
            )
          given = Given(data_dir, recipe, state, limits, seed)  # pyrefly: ignore
          return outcome(METHODS[method](given), limits)

        row = rows.get(case, make)
        found.append({**row, 'method': method, 'seed': seed, 'quantile': q})
  return found


def summary(found: Sequence[Mapping[str, Any]]) -> str:
  """A Markdown table: mean regret over seeds, and its standard error."""
  lines = [
    '| method | seeds | regret | of 8 finalists | by quantile | CPU s |',
    '|---|---:|---:|---:|---|---:|',
  ]
  for method in dict.fromkeys(row['method'] for row in found):
    own = [row for row in found if row['method'] == method]
    seeds = sorted({row['seed'] for row in own})
    quantiles = sorted({row['quantile'] for row in own})
    cells = []
    for key in 'regret', 'regret_of_8':
      means = [
        np.mean([r[key] for r in own if r['seed'] == seed]) for seed in seeds
      ]
      error = np.std(means, ddof=1) / len(means) ** 0.5 if seeds[1:] else 0
      cells.append(f'{np.mean(means):.2f} ± {error:.2f}')
    each = ' '.join(
      f'{np.mean([r["regret"] for r in own if r["quantile"] == q]):.2f}'
      for q in quantiles
    )
    seconds = np.mean([r['seconds'] for r in own])
    lines.append(
      f'| {method} | {len(seeds)} | {cells[0]} | {cells[1]} | {each} '
      f'| {seconds:.0f} |'
    )
  return '\n'.join(lines)


def define() -> None:
  """Defines the flags; not on import, since scripts have the same names."""
  flags.DEFINE_string('workdir', None, 'Folder of the results.')
  flags.DEFINE_string('data_dir', None, 'Where CIFAR-10 is prepared.')
  flags.DEFINE_list('methods', list(METHODS), 'Methods, by name.')
  flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds.')
  flags.DEFINE_integer('steps', 6000, 'Steps of the supernet.', 1)
  flags.DEFINE_list('resources', ['macs'], 'Costs under limits.')
  flags.DEFINE_enum(
    'quantiles', 'development', ['development', 'held_out'], 'Which limits.'
  )
  flags.mark_flags_as_required(['workdir', 'data_dir'])


def main(argv: Sequence[str]) -> None:
  del argv
  compilation.keep(None)
  unknown = [m for m in flags.FLAGS.methods if m not in METHODS]
  if unknown:
    raise InputError(
      f'method {unknown[0]!r} is not known; choose from {", ".join(METHODS)}'
    )
  quantiles = getattr(table, flags.FLAGS.quantiles.upper())
  found = run(
    pathlib.Path(flags.FLAGS.workdir),
    flags.FLAGS.data_dir,
    proxy.Recipe(steps=flags.FLAGS.steps),
    flags.FLAGS.methods,
    quantiles,
    [int(seed) for seed in flags.FLAGS.seeds],
    flags.FLAGS.resources,
  )
  print(summary(found))


if __name__ == '__main__':
  define()
  app.run(main)

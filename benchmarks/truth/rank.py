"""How well supernets rank: Kendall's tau with the accuracies of the table.

  python -m benchmarks.truth.rank --workdir=runs/truth --data_dir=DIR \
    --draws=uniform,strict --steps=1500,6000 --seeds=0

trains supernets of the proxy, and judges the same networks by each: 200 of all,
and in bands of 80 to 100 % of each development limit 200 more. Keeps taus in
the workdir: of the losses themselves, and of a regression of them on options,
which takes their noise out. Trivial rankers stand beside them.
`benchmarks.truth.report` prints a table of them.
"""

import functools
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import app, flags
from scipy import stats

from benchmarks.kept import Rows
from benchmarks.truth import proxy, recalibrated, table
from nasjax import supernet
from nasjax.errors import InputError
from nasjax.run import compilation
from nasjax.search.contributions import Sampling
from nasjax.supernet.gates import regression

NETWORKS = 200  # Of all, and of each band.
BAND = 0.8  # Least share of the limit.
IMAGES = 1000
CHUNK = 100  # Networks in one call.
RECALIBRATED = ', recalibrated'


# Their networks are not those of `recalibrated.NET`.
_OF_OTHER_FORM = 'entangled', 'mixture'


def networks() -> dict[str, np.ndarray]:
  """The networks that all are judged on: name of a set to rows."""
  truth, rng = table.load(), np.random.default_rng(0)
  found = {'all': rng.choice(len(truth.indices), NETWORKS, replace=False)}
  for q in table.DEVELOPMENT:
    band = truth.keeping({'macs': truth.quantile(q)}, BAND)
    found[f'band {q}'] = rng.choice(band, NETWORKS, replace=False)
  return found


def additive(
  rows: np.ndarray, losses: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
  """Losses of other networks, by a regression on one-hot options."""
  one_hot = table.load().one_hot
  x = one_hot.reshape(len(one_hot), -1).astype(float)
  return x[predicted] @ regression(x[rows], losses)


def taus(losses: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
  """Kendall's tau with the truth, for each set: raw, and of the regression.

  The regression is judged on the whole band, not only on what it was fitted to.
  Signs are such that 1 is perfect.
  """
  truth, found = table.load(), {}
  for name, rows in networks().items():
    accuracy = truth.accuracy
    whole = np.arange(len(accuracy))
    if name != 'all':
      limit = {'macs': truth.quantile(float(name.split()[1]))}
      whole = truth.keeping(limit, BAND)
    fitted = additive(rows, losses[name], whole)
    depth = (truth.indices[whole] > 0).sum(1)
    found[name] = {
      'raw': _tau(-losses[name], accuracy[rows]),
      'regression': _tau(-fitted, accuracy[whole]),
      'depth': _tau(depth, accuracy[whole]),
      'macs': _tau(truth.costs['macs'][whole], accuracy[whole]),
    }
  return found


def _tau(a: np.ndarray, b: np.ndarray) -> float:
  return float(stats.kendalltau(a, b).statistic)


def gates_of(losses: Mapping[str, np.ndarray]) -> dict[str, float]:
  """The gates, which need no truth.

  Returns:
    `halves`: mean over the bands of Kendall's tau between the regressions on
    both halves of the networks; `rises_with_macs`: of the networks of all.
  """
  truth = table.load()

  def named(rows):
    return {
      name: truth.indices[rows, i] for i, name in enumerate(truth.space.choices)
    }

  found = {}
  for name, rows in networks().items():
    whole = np.arange(len(truth.indices))
    if name != 'all':
      limit = {'macs': truth.quantile(float(name.split()[1]))}
      whole = truth.keeping(limit, BAND)
    found[name] = supernet.gates(
      truth.space.choices,
      named(rows),
      losses[name],
      truth.costs['macs'][rows],
      named(whole),
    )
  bands = [gate.agree for name, gate in found.items() if name != 'all']
  return {
    'halves': float(np.mean(bands)),
    'rises_with_macs': found['all'].rises,
  }


def judge(
  workdir: pathlib.Path,
  recipe: proxy.Recipe,
  data_dir: str,
  seed: int,
  recalibrate: bool = False,
) -> dict[str, Any]:
  """Trains a supernet, and compares its losses with the truth.

  Args:
    workdir: of the results.
    recipe: how it is trained.
    data_dir: where CIFAR-10 is prepared.
    seed: of everything random.
    recalibrate: whether networks are normalised by statistics of training
      images, instead of those of the judged images.
  """
  built = proxy.build(recipe, data_dir, Sampling(images=IMAGES))
  start = time.process_time()
  state = proxy.supernet(workdir / 'supernets', recipe, data_dir, seed, built)
  trained = time.process_time() - start
  valid = built.images.valid
  own = jax.jit(
    lambda state, options: built.parts.losses(state, valid, options)
  )
  judged = recalibrated.losses(built, IMAGES) if recalibrate else own
  truth, losses = table.load(), {}
  for name, rows in networks().items():
    parts = []
    for i in range(0, len(rows), CHUNK):
      options = recalibrated.options_of(truth.indices[rows[i : i + CHUNK]])
      parts.append(np.asarray(judged(state, options)))
    losses[name] = np.concatenate(parts)
  return {
    **recipe.__dict__,
    'draw': f'{recipe.draw}{RECALIBRATED}' if recalibrate else recipe.draw,
    'seed': seed,
    'taus': taus(losses),
    **gates_of(losses),
    'seconds': trained,
    'losses': {name: x.round(5).tolist() for name, x in losses.items()},
  }


def check(draws: Sequence[str], recalibrate: bool) -> None:
  """Raises InputError for a draw that is unknown or cannot be recalibrated."""
  for draw in draws:
    if draw not in proxy.DRAWS:
      raise InputError(
        f'draw {draw!r} is not known; choose from {", ".join(proxy.DRAWS)}'
      )
    if recalibrate and draw in _OF_OTHER_FORM:
      raise InputError(
        f'draw {draw!r} does not go with --recalibrate; leave it out'
      )


def define() -> None:
  """Defines the flags; not on import, since scripts have the same names."""
  flags.DEFINE_string('workdir', None, 'Folder of the results.')
  flags.DEFINE_string('data_dir', None, 'Where CIFAR-10 is prepared.')
  flags.DEFINE_list('draws', list(proxy.DRAWS), 'Ways to train.')
  flags.DEFINE_list('steps', ['1500', '6000', '24000'], 'Weight steps.')
  flags.DEFINE_list('seeds', ['0'], 'Seeds.')
  flags.DEFINE_bool(
    'recalibrate', False, 'Judge by batch statistics of training images.'
  )
  flags.mark_flags_as_required(['workdir', 'data_dir'])


def main(argv: Sequence[str]) -> None:
  del argv
  compilation.keep(None)
  workdir = pathlib.Path(flags.FLAGS.workdir)
  data_dir = flags.FLAGS.data_dir
  again = flags.FLAGS.recalibrate
  check(flags.FLAGS.draws, again)
  rows, found = Rows(workdir / 'ranks.jsonl'), []
  for steps in map(int, flags.FLAGS.steps):
    for draw in flags.FLAGS.draws:
      for seed in map(int, flags.FLAGS.seeds):
        recipe = proxy.Recipe(steps=steps, draw=draw)
        make = functools.partial(judge, workdir, recipe, data_dir, seed, again)
        case = f'{recipe}, seed {seed}{RECALIBRATED if again else ""}'
        found.append(rows.get(case, make))
  print(f'{len(found)} supernets are in {workdir}; print a table of them by')
  print(f'python -m benchmarks.truth.report --workdir={workdir}')


if __name__ == '__main__':
  define()
  app.run(main)

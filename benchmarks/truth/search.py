"""Whole searches in NAS-Bench-Macro, judged by the accuracies of its table.

  python -m benchmarks.truth.search --workdir=runs/truth --data_dir=DIR \
    --quantiles=development --seeds=0,1,2 --methods=contributions,regression

trains a supernet of the proxy for each seed, searches by each method under a
limit at each quantile of MACs, and prints mean regrets. What is finished is
kept in the workdir: killed and typed again, it goes on. `plan.md` beside this
file says what is tried, and what is quoted.
"""

import functools
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.truth import proxy, table
from benchmarks.truth.kept import Rows
from nasjax import constraint, cost, guard, relax, search
from nasjax.errors import InputError
from nasjax.run import compilation
from nasjax.search import contributions
from nasjax.search.contributions import Sampling
from nasjax.space import init_alphas

FILL = 0.9  # Share of the limit on MACs that a network uses at least.
FINALISTS = 8
ALPHA_STEPS = 100
ENTROPY = -2.0  # Weight, with losses in standard deviations.
SAMPLING = Sampling(per_step=8, memory=800, images=1000)

Scores = dict[str, np.ndarray]


class Found(NamedTuple):
  """What a method found under one limit.

  Attributes:
    rows: rows of the table, best first by the method's own scores, of networks
      within the limits.
    seconds: CPU seconds, without those of the supernet.
    more: further values to keep.
  """

  rows: list[int]
  seconds: float
  more: dict[str, Any]


class Given(NamedTuple):
  """What a method gets.

  Attributes:
    data_dir: where CIFAR-10 is prepared.
    recipe: of the supernet.
    state: after the warm-up.
    limits: resource to limit.
    seed: of everything random.
  """

  data_dir: str
  recipe: proxy.Recipe
  state: search.State
  limits: Mapping[str, float]
  seed: int


def by_scores(scores: Scores, limits: Mapping[str, float]) -> list[int]:
  """The networks within limits with the highest sums of scores, best first.

  The table is small enough to look at every network; `nasjax.derive` finds the
  same without.
  """
  truth = table.load()
  stacked = np.stack([scores[name] for name in truth.space.choices])
  total = np.einsum('nco,co->n', truth.one_hot, stacked)
  rows = truth.keeping(limits, FILL)
  order = np.argsort(-total[rows], kind='stable')
  return rows[order[:FINALISTS]].tolist()


@functools.cache
def _built(data_dir: str, recipe: proxy.Recipe) -> proxy.Built:
  macs = cost.macs(proxy.SPACE)
  kept = constraint.keep({macs: sum(macs.bounds()) / 2})
  return proxy.build(
    recipe,
    data_dir,
    SAMPLING,
    projection=kept.projection,
    alpha_tx=search.adam(0.05),
    guards=guard.Guards(entropy=lambda step: jnp.float32(ENTROPY)),
  )


@functools.cache
def _alpha_step(data_dir: str, recipe: proxy.Recipe) -> Callable:
  parts, (train, valid) = _built(data_dir, recipe)
  key = jax.random.key(0)
  shapes = jax.eval_shape(lambda k: parts.init(k, train, valid), key)
  step = functools.partial(compilation.compiled, 'alpha step', donate=False)
  return step(parts.alpha_step, shapes, train, valid)


def _begun(given: Given) -> search.State:
  """The state after the warm-up, with the limits and without alphas' moves."""
  costs = {getattr(cost, n)(proxy.SPACE): v for n, v in given.limits.items()}
  kept = constraint.keep(costs)
  assert kept.projection is not None
  state, alphas = given.state, init_alphas(proxy.SPACE)
  return state._replace(
    key=jax.random.fold_in(jax.random.key(given.seed), 1),
    alphas=alphas,
    alpha_opt_state=search.adam(0.05).init(alphas),
    projection=kept.projection.init(),
    judged=contributions.empty(proxy.SPACE.choices, SAMPLING.memory),
  )


def by_contributions(given: Given) -> Found:
  """Alphas follow contributions under the limit; deriving takes the last."""
  step = _alpha_step(given.data_dir, given.recipe)
  _, (train, valid) = _built(given.data_dir, given.recipe)
  state = _begun(given)
  start = time.process_time()
  for _ in range(ALPHA_STEPS):
    state, _ = step(state, train, valid)
  jax.block_until_ready(state)
  probs = relax.softmax(state.alphas)
  scores = contributions.scores(state.judged, probs, SAMPLING)
  scores = {name: np.asarray(s) for name, s in scores.items()}
  seconds = time.process_time() - start
  more = {
    'probs': {n: np.asarray(p).round(3).tolist() for n, p in probs.items()}
  }
  return Found(by_scores(scores, given.limits), seconds, more)


@functools.cache
def _judge(data_dir: str, recipe: proxy.Recipe) -> Callable:
  """`(state, options) -> losses`, compiled once for 100 networks."""
  parts, (_, valid) = _built(data_dir, recipe)
  compiled = jax.jit(parts.losses)
  return lambda state, options: compiled(state, valid, options)


def by_regression(given: Given) -> Found:
  """The same number of networks at uniform probs; no alphas, no limit."""
  key = given.data_dir, given.recipe, given.seed
  if key not in _regressed:  # The same for every limit.
    _regressed.clear()
    _regressed[key] = _regression(given)
  scores, deviation, seconds = _regressed[key]
  found = by_scores(scores, given.limits)
  return Found(found, seconds, {'deviation': deviation})


_regressed: dict[Any, tuple[Scores, float, float]] = {}


def _regression(given: Given) -> tuple[Scores, float, float]:
  judged = _judge(given.data_dir, given.recipe)
  probs = relax.softmax(init_alphas(proxy.SPACE))
  key = jax.random.fold_in(jax.random.key(given.seed), 2)
  start = time.process_time()
  options, log_probs = contributions.draw(key, probs, SAMPLING.memory)
  losses = [
    judged(given.state, {n: o[i : i + 100] for n, o in options.items()})
    for i in range(0, SAMPLING.memory, 100)
  ]
  buffer = contributions.add(
    contributions.empty(proxy.SPACE.choices, SAMPLING.memory),
    options,
    jnp.concatenate(losses),
    log_probs,
  )
  effects = contributions.effects(buffer, probs, SAMPLING.ridge)
  scores = {n: -np.asarray(g) for n, g in effects.gradient.items()}
  seconds = time.process_time() - start
  return scores, float(effects.deviation), seconds


def by_noise(given: Given) -> Found:
  """Control: alphas that learnt nothing."""
  rng = np.random.default_rng(given.seed)
  scores = {n: rng.normal(size=len(c)) for n, c in proxy.SPACE.choices.items()}
  return Found(by_scores(scores, given.limits), 0.0, {})


def at_random(given: Given) -> Found:
  """Control: random networks that use 90 % of the limit."""
  rng = np.random.default_rng(given.seed)
  rows = table.load().keeping(given.limits, FILL)
  return Found(rng.permutation(rows)[:FINALISTS].tolist(), 0.0, {})


def by_depth(given: Given) -> Found:
  """Control: most options that are not the identity, then most MACs."""
  truth = table.load()
  rows = truth.keeping(given.limits, FILL)
  depth = (truth.indices[rows] > 0).sum(1)
  order = np.lexsort((-truth.costs['macs'][rows], -depth))
  return Found(rows[order[:FINALISTS]].tolist(), 0.0, {})


METHODS: Mapping[str, Callable[[Given], Found]] = {
  'contributions': by_contributions,
  'regression': by_regression,
  'noise': by_noise,
  'random': at_random,
  'depth': by_depth,
}
WITHOUT_SUPERNET = 'noise', 'random', 'depth'


def outcome(found: Found, limits: Mapping[str, float]) -> dict[str, Any]:
  """Regrets of the first and of the best of eight by its first test."""
  truth = table.load()
  best = truth.chosen(found.rows)
  return {
    'row': found.rows[0],
    'regret': truth.regret(found.rows[0], limits),
    'regret_of_8': truth.regret(best, limits),
    'finalists': found.rows,
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
        alone = method in WITHOUT_SUPERNET
        how = '' if alone else f', {recipe}'
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


_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the results.')
_DATA_DIR = flags.DEFINE_string('data_dir', None, 'Where CIFAR-10 is prepared.')
_METHODS = flags.DEFINE_list('methods', list(METHODS), 'Methods, by name.')
_SEEDS = flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds.')
_STEPS = flags.DEFINE_integer('steps', 6000, 'Steps of the supernet.', 1)
_QUANTILES = flags.DEFINE_enum(
  'quantiles', 'development', ['development', 'held_out'], 'Which limits.'
)


def main(argv: Sequence[str]) -> None:
  del argv
  compilation.keep(None)
  unknown = [m for m in _METHODS.value if m not in METHODS]
  if unknown:
    raise InputError(
      f'method {unknown[0]!r} is not known; choose from {", ".join(METHODS)}'
    )
  quantiles = getattr(table, _QUANTILES.value.upper())
  found = run(
    pathlib.Path(_WORKDIR.value),
    _DATA_DIR.value,
    proxy.Recipe(steps=_STEPS.value),
    _METHODS.value,
    quantiles,
    [int(seed) for seed in _SEEDS.value],
  )
  print(summary(found))


if __name__ == '__main__':
  flags.mark_flags_as_required(['workdir', 'data_dir'])
  app.run(main)

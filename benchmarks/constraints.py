"""Which form of constraint meets a limit, and how nearly.

  python -m benchmarks.constraints --workdir=runs/constraints

searches the embedded data set once for every form of constraint, limit (25, 50
and 75 % of the space's range of MACs) and seed, nothing tuned, and prints a
table. What is finished is kept in the workdir: killed and typed again, it goes
on, and two processes may share the forms by `--forms`. Smaller than the
defaults of `experiments.search`, three seeds take about an hour on one core.
"""

import functools
import json
import pathlib
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from experiments import cli, compilation, constraints, searching
from experiments import search as script
from nasjax import derive
from nasjax.search import State
from nasjax.space import argmax

PLACES = (0.25, 0.5, 0.75)  # of the range from the smallest cost to the largest
SIZES = {'steps': 180, 'warmup_steps': 60, 'batch_size': 16}
ANY_LIMIT = 2_000_000  # Limits are data: whatever is compiled takes all.


@functools.cache
def inputs(form: str, limit: int, seed: int) -> searching.Inputs:
  """What the flags of one search name."""
  return script.prepare(config(form, limit, seed))


def config(form: str, limit: int, seed: int) -> dict[str, Any]:
  given = {'constraint': form, 'limit': [f'macs={limit}'], 'seed': seed}
  return {**cli.defaults(script.OPTIONS), **SIZES, **given}


def arrays(seed: int):
  """The halves that weights and alphas learn from."""
  own = inputs('lagrangian', ANY_LIMIT, seed)
  return jax.device_put((own.train, own.valid))


def bare(state: State) -> State:
  """Without what forms differ in: the weights' step looks at none of it."""
  return state._replace(constraints=(), projection=())


@functools.cache
def parts(form: str):
  return script.build(config(form, ANY_LIMIT, 0), inputs(form, ANY_LIMIT, 0))


@functools.cache
def begun(seed: int) -> State:
  key = jax.random.key(seed)
  _, start = compilation.initial(parts('lagrangian').init, key, *arrays(seed))
  return bare(start())


@functools.cache
def weight_step() -> Callable:
  step = jax.jit(parts('lagrangian').weight_step)
  return step.lower(begun(0), arrays(0)[0]).compile()


@functools.cache
def warm(seed: int) -> State:
  """The end of the warm-up, in which no form has a part."""
  state, (train, _) = begun(seed), arrays(seed)
  for _ in range(SIZES['warmup_steps']):
    state, _ = weight_step()(state, train)
  return state


def with_constraint(state: State, kept: constraints.Kept) -> State:
  return state._replace(
    constraints=tuple(c.init() for _, c in kept.constraints),
    projection=() if kept.projection is None else kept.projection.init(),
  )


@functools.cache
def alpha_step(form: str) -> Callable:
  kept = inputs(form, ANY_LIMIT, 0).kept
  step = jax.jit(parts(form).alpha_step)
  return step.lower(with_constraint(begun(0), kept), *arrays(0)).compile()


def searched(form: str, limit: int, seed: int) -> State:
  """The last state of one search."""
  state = with_constraint(warm(seed), inputs(form, limit, seed).kept)
  train, valid = arrays(seed)
  for _ in range(SIZES['steps'] - SIZES['warmup_steps']):
    weights, _ = weight_step()(bare(state), train)
    state = weights._replace(
      constraints=state.constraints, projection=state.projection
    )
    state, _ = alpha_step(form)(state, train, valid)
  return state


def outcome(form: str, limit: int, seed: int) -> dict[str, Any]:
  """What one search came to, in MACs."""
  state, own = searched(form, limit, seed), inputs(form, limit, seed)
  (macs,) = own.kept.limits
  law = own.relaxation.law(state.alphas, own.temperature(state.step), None)
  within, filled = (
    macs.exact(derive.within(own.space, state.alphas, {macs: limit}, fill=f))
    for f in (0.0, 0.98)
  )
  entropies = [
    -(p * jnp.log(jnp.maximum(p, 1e-30))).sum() for p in law.values()
  ]
  return {
    'form': form,
    'limit': limit,
    'seed': seed,
    'expected': float(macs(law)),
    'argmax': macs.exact(argmax(own.space, state.alphas)),
    'within': within,
    'filled': filled,
    'entropy': statistics.mean(map(float, entropies)),
  }


def limits() -> list[int]:
  (macs,) = inputs('lagrangian', ANY_LIMIT, 0).kept.limits
  low, high = macs.bounds()
  return [round(low + place * (high - low)) for place in PLACES]


def outcomes(
  workdir: pathlib.Path, form: str, seeds: int
) -> list[dict[str, Any]]:
  """Those of all limits and seeds; what was finished before is read."""
  path = workdir / f'{form}.jsonl'
  lines = path.read_text().splitlines() if path.exists() else []
  rows = {(r['limit'], r['seed']): r for r in map(json.loads, lines)}
  for seed in range(seeds):
    for limit in limits():
      if (limit, seed) not in rows:
        rows[limit, seed] = outcome(form, limit, seed)
        with path.open('a') as file:
          file.write(json.dumps(rows[limit, seed]) + '\n')
  return list(rows.values())


def table(rows: Iterable[dict[str, Any]]) -> str:
  """A row per form: medians over limits and seeds, as shares of the limit."""
  groups: dict[str, list[dict[str, Any]]] = {}
  for row in rows:
    groups.setdefault(row['form'], []).append(row)
  lines = [
    '| form | expected cost | argmax (range) | derived | derived, filled '
    '| over the limit | entropy (nats) |',
    '|---|---:|---:|---:|---:|---:|---:|',
  ]
  for form, group in groups.items():
    share = {
      key: [row[key] / row['limit'] for row in group]
      for key in ('expected', 'argmax', 'within', 'filled')
    }
    middle = {key: statistics.median(values) for key, values in share.items()}
    over = sum(max(r['within'], r['filled']) > r['limit'] for r in group)
    spread = f'{min(share["argmax"]):.0%} to {max(share["argmax"]):.0%}'
    entropy = statistics.mean(row['entropy'] for row in group)
    lines.append(
      f'| `{form}` | {middle["expected"]:.1%} | {middle["argmax"]:.1%} '
      f'({spread}) | {middle["within"]:.1%} | {middle["filled"]:.1%} '
      f'| {over} of {len(group)} | {entropy:.2f} |'
    )
  return '\n'.join(lines)


def main() -> None:
  workdir = pathlib.Path(flags.FLAGS.workdir)
  workdir.mkdir(parents=True, exist_ok=True)
  rows = []
  for form in flags.FLAGS.forms.split(','):
    cli.lookup('constraint', form, constraints.FORMS)
    found = outcomes(workdir, form, flags.FLAGS.seeds)
    print(table(found).splitlines()[-1], flush=True)
    rows += found
  print(table(rows))


if __name__ == '__main__':
  cli.define_workdir()
  flags.DEFINE_integer('seeds', 3, 'of each form and limit', 1)
  flags.DEFINE_string('forms', ','.join(constraints.FORMS), 'which to search')
  cli.run(main, required=('workdir',))

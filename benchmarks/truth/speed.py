"""What a step of a single path costs, beside training one network.

  python -m benchmarks.truth.speed [--turns=5] [--steps=100]

prints a Markdown table of CPU seconds, on the proxy of NAS-Bench-Macro with
random images: 6,000 path steps against 6,000 steps of training networks alone;
200 networks judged on 1,000 images; the alpha steps of a search; a whole search
of 6,000 path steps; and deriving. Path steps and training steps are of the same
six networks, drawn at random, and take turns in one process, so other work on
the machine falls on both.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.truth import by_contributions, proxy
from nasjax import constraint, cost, data, derive, guard, relax, search, train
from nasjax.ops import Numerics
from nasjax.search import contributions
from nasjax.space import (
  Architecture,
  Space,
  as_chain,
  init_alphas,
  one_hot,
)

STEPS, ALONE, JUDGED = 6000, 6, 200


class Timed(NamedTuple):
  """CPU seconds of one call, and of compiling it."""

  seconds: float
  compile: float


def images(number: int) -> data.Arrays:
  """Random images of the proxy, on the device."""
  rng = np.random.default_rng(0)
  shape = number, proxy.IMAGE_SIZE, proxy.IMAGE_SIZE, 3
  return jax.device_put(
    data.Arrays(
      rng.integers(0, 256, shape, dtype=np.uint8),
      rng.integers(0, 10, number).astype(np.int32),
    )
  )


def drawn(space: Space) -> list[Architecture]:
  """Random networks, all options equally often."""
  rng = np.random.default_rng(0)
  columns = []
  for choice in space.choices.values():
    each = np.arange(ALONE) % len(choice)
    columns.append(rng.permutation(each))
  return [
    Architecture.from_indices(space, tuple(map(int, row)))
    for row in np.stack(columns, 1)
  ]


def compiled(step: Callable, *args: Any) -> tuple[Callable, float]:
  """A step that overwrites its state, and the CPU seconds of compiling it."""
  start = time.process_time()
  found = jax.jit(step, donate_argnums=0).lower(*args).compile()
  return found, time.process_time() - start


def turn(step: Callable, state: Any, args: Sequence[Any], steps: int):
  """Takes steps; returns the state and CPU seconds per step."""
  start = time.process_time()
  for _ in range(steps):
    state, _ = step(state, *args)
  jax.block_until_ready(state)
  return state, (time.process_time() - start) / steps


def run(turns: int, steps: int) -> dict[str, Any]:
  """Measures everything; a dict of CPU seconds."""
  recipe = proxy.Recipe(steps=STEPS)
  batches = data.Batches(recipe.batch_size, (0.5,) * 3, (0.2,) * 3)
  macs = cost.macs(proxy.SPACE)
  kept = constraint.keep({macs: sum(macs.bounds()) / 2})
  parts = search.make(
    proxy.SPACE.search_network(),
    proxy.SPACE.choices,
    batches,
    [],
    projection=kept.projection,
    alpha_tx=search.adam(0.05),
    weight_tx=proxy.optimizer(recipe),
    relaxation=relax.PATHS,
    sampling=by_contributions.SAMPLING,
    guards=guard.Guards(
      entropy=lambda step: jnp.float32(by_contributions.ENTROPY)
    ),
  )
  learnt, valid = images(5000), images(by_contributions.SAMPLING.images)
  state = jax.jit(parts.init)(jax.random.key(0), learnt, valid)
  state = state._replace(alphas=init_alphas(proxy.SPACE.choices))
  path, path_compile = compiled(parts.weight_step, state, learnt)

  small = as_chain(proxy.SPACE.small)
  alone = []
  for a in drawn(small):
    own = train.make(
      small.fix(a).network(Numerics()),
      batches,
      tx=proxy.optimizer(recipe),
      smoothing=0.0,
    )
    begun = jax.jit(own.init)(jax.random.key(0), learnt)
    step, seconds = compiled(own.step, begun, learnt)
    # Alphas so far apart that only this network is drawn.
    sure = {name: np.asarray(1e3 * p) for name, p in one_hot(a).items()}
    alone.append([step, begun, seconds, sure])

  paths, singles = [], []
  for _ in range(turns + 1):  # The first turn warms up.
    both = np.zeros(2)
    for one in alone:
      state, seconds = turn(
        path, state._replace(alphas=one[3]), (learnt,), steps
      )
      one[1], own_seconds = turn(one[0], one[1], (learnt,), steps)
      both += seconds, own_seconds
    paths.append(both[0] / ALONE)
    singles.append(both[1] / ALONE)
  state = state._replace(alphas=init_alphas(proxy.SPACE.choices))

  alpha, alpha_compile = compiled(parts.alpha_step, state, learnt, valid)
  state, _ = turn(alpha, state, (learnt, valid), 1)
  state, alpha_seconds = turn(alpha, state, (learnt, valid), 10)

  probs = relax.softmax(init_alphas(proxy.SPACE.choices))
  options, _ = contributions.draw(jax.random.key(1), probs, JUDGED)
  start = time.process_time()
  judge = jax.jit(parts.losses).lower(state, valid, options).compile()
  judge_compile = time.process_time() - start
  jax.block_until_ready(judge(state, valid, options))
  start = time.process_time()
  jax.block_until_ready(judge(state, valid, options))
  judged = time.process_time() - start

  alphas = {n: np.asarray(a) for n, a in state.alphas.items()}
  start = time.process_time()
  derive.within(proxy.SPACE, alphas, {macs: 8e7}, fill=0.9)
  derived = time.process_time() - start
  ratios = [a / b for a, b in zip(paths[1:], singles[1:], strict=True)]
  number = by_contributions.ALPHA_STEPS
  return {
    'path': statistics.median(paths[1:]),
    'alone': statistics.median(singles[1:]),
    'ratio': statistics.median(ratios),
    'alpha': alpha_seconds,
    'judged': judged,
    'derived': derived,
    'search': STEPS * statistics.median(paths[1:])
    + number * alpha_seconds
    + derived,
    'compile': path_compile + alpha_compile,
    'compile one': statistics.fmean(one[2] for one in alone),
    'compile judge': judge_compile,
  }


def table_of(found: dict[str, Any]) -> str:
  """The Markdown table."""
  steps, number = f'{STEPS:,}', by_contributions.ALPHA_STEPS
  rows = [
    (f'{steps} path steps', STEPS * found['path']),
    (
      f'{steps} training steps of the same networks alone',
      STEPS * found['alone'],
    ),
    (f'{number} alpha steps, {8 * number} networks', number * found['alpha']),
    (f'{JUDGED} networks judged in one call', found['judged']),
    ('deriving within a limit', found['derived']),
    (f'a search of {steps} path steps', found['search']),
    ('compiling the search', found['compile']),
    ('compiling the training of one network', found['compile one']),
  ]
  lines = ['| | CPU s |', '|---|---:|']
  lines += [f'| {name} | {seconds:.2f} |' for name, seconds in rows]
  lines.append(f'\nA path step costs {found["ratio"]:.2f} of a training step.')
  return '\n'.join(lines)


def define() -> None:
  """Defines the flags; not on import, since scripts have the same names."""
  flags.DEFINE_integer('turns', 5, 'Turns of each.', 1)
  flags.DEFINE_integer('steps', 30, 'Steps of each network in a turn.', 1)


def main(argv: Sequence[str]) -> None:
  del argv
  print(table_of(run(flags.FLAGS.turns, flags.FLAGS.steps)))


if __name__ == '__main__':
  define()
  app.run(main)

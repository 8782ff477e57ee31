"""Times steps of a search that runs all ops, and of one that runs a few.

    python -m benchmarks.relax [--repeats=15] [--space=mobile_small]

Prints one Markdown table: a weight step and an alpha step at batch 32, median
milliseconds over draws, the temporary memory of their programs, and how long
both took to compile. The programs alternate within one run, so that what else
the machine does falls on all. The last two rows compute the same network, once
drawn from the supernet and once alone: their ratio is the price of the
conditionals.
"""

import datetime
import os
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from experiments.flags import names
from nasjax import constraint, cost, data, relax, search
from nasjax.space import Architecture, Space, fix

_REPEATS = flags.DEFINE_integer('repeats', 15, 'Timings of each.', 1)
_SPACE = flags.DEFINE_string('space', 'mobile_small', 'What is searched.')

BATCH = 32
CERTAIN = 100.0  # an alpha that no noise outweighs


class Program(NamedTuple):
  """A compiled step, the state it starts from, and what it took."""

  name: str
  run: Callable[[search.State], search.State]
  state: search.State
  megabytes: float
  compile_s: float


def images_of(space: Space) -> data.Arrays:
  """Random images: what they show does not change what they cost."""
  rng = np.random.default_rng(0)
  shape = 4 * BATCH, space.image_size, space.image_size, space.channels
  labels = rng.integers(0, space.num_classes, 4 * BATCH).astype(np.int32)
  images = rng.integers(0, 256, shape).astype(np.uint8)
  return jax.device_put(data.Arrays(images, labels))


def largest(space: Space) -> Architecture:
  """The architecture of the most MACs."""
  macs = cost.macs(space)
  _, most = macs.bounds()
  start = {name: jnp.zeros(len(o)) for name, o in space.choices.items()}
  # Additive: every choice by itself.
  slopes = jax.grad(lambda p: macs(p) / most)(relax.softmax(start))
  indices = [int(slopes[name].argmax()) for name in space.choices]
  return Architecture.from_indices(space, indices)


def programs(
  name: str,
  space: Space,
  relaxed: relax.Relaxed,
  steps: tuple[str, ...],
  at: Architecture | None = None,
) -> dict[str, Program]:
  """Compiled steps of a search, by the name of the step.

  Args:
    name: of the row.
    space: what is searched.
    relaxed: by which relaxation.
    steps: `'weight_step'`, `'alpha_step'` or both.
    at: what the alphas are certain of; None is uniform.
  """
  mean, std = (0.5,) * space.channels, (0.3,) * space.channels
  macs = cost.macs(space)
  costs = [(macs, constraint.linear(1.0, 1e6))] if space.choices else []
  parts = search.make(
    space.search_network(),
    space.choices,
    data.Batches(BATCH, mean, std),
    costs,
    weight_tx=optax.sgd(0.01, momentum=0.9),
    alpha_tx=optax.adam(1e-6),
    relaxation=relaxed,
  )
  arrays = images_of(space)
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  if at is not None:
    chosen = zip(space.choices.items(), at.indices, strict=True)
    alphas = {
      s: CERTAIN * jax.nn.one_hot(i, len(ops)) for (s, ops), i in chosen
    }
    state = state._replace(alphas=alphas)
  found = {}
  for step in steps:
    start = time.perf_counter()
    sets = (arrays,) if step == 'weight_step' else (arrays, arrays)
    compiled = jax.jit(getattr(parts, step)).lower(state, *sets).compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis().temp_size_in_bytes / 1e6
    run = lambda s, c=compiled, a=sets: c(s, *a)[0]  # noqa: E731
    found[step] = Program(name, run, state, memory, seconds)
  return found


def medians_ms(all_programs: list[Program], repeats: int) -> list[float]:
  """Of each, over steps that follow each other, the programs alternating."""
  states: list[Any] = [p.state for p in all_programs]
  times = np.zeros((repeats + 1, len(all_programs)))
  for row in times:
    for i, program in enumerate(all_programs):
      start = time.perf_counter()
      states[i] = jax.block_until_ready(program.run(states[i]))
      row[i] = 1e3 * (time.perf_counter() - start)
  return list(np.median(times[1:], axis=0))  # the first warms up


def main(_):
  space = names.space(_SPACE.value)()
  both = ('weight_step', 'alpha_step')
  top = largest(space)
  rows = [
    programs('all ops (`softmax`)', space, relax.SOFTMAX, both),
    programs('`binary_gates`', space, relax.BINARY_GATES, both),
    programs('`gdas`', space, relax.GDAS, both),
    programs('`gdas`, drawing the largest', space, relax.GDAS, both[:1], top),
    programs('the largest alone', fix(space, top), relax.SOFTMAX, both[:1]),
  ]
  flat = [program for row in rows for program in row.values()]
  medians = medians_ms(flat, _REPEATS.value)
  times = dict(zip(map(id, flat), medians, strict=True))
  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.default_backend()}, Python {platform.python_version()}, jax '
    f'{jax.__version__}; {space.name}, batch {BATCH}, medians of '
    f'{_REPEATS.value}\n'
  )
  print('| what runs | weight step | alpha step | memory | compilation |')
  print('|---|---:|---:|---:|---:|')
  for row in rows:
    cells = [next(iter(row.values())).name]
    cells += [f'{times[id(row[s])]:.1f} ms' if s in row else '' for s in both]
    cells.append(' / '.join(f'{p.megabytes:.0f}' for p in row.values()) + ' MB')
    cells.append(f'{sum(p.compile_s for p in row.values()):.0f} s')
    print('| ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
  app.run(main)

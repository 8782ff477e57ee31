"""A sweep over limits: one search after the other, and as one population.

  python -m benchmarks.population [--members=8] [--steps=20] [--supernet=mixed]

searches `mobile_small` at 32 pixels for as many steps at each of so many
limits, and prints one Markdown table: each search compiled for itself, all by
one compiled program in turn, and all in one step side by side. Seconds are of
tracing, compiling and all steps together, without a cache of programs.
"""

import datetime
import os
import platform
import time

import jax
import numpy as np
import optax
from absl import app, flags

from experiments.flags import allocator
from nasjax import constraint, cost, data, relax, search, spaces
from nasjax.supernet import Entangled, Supernet

_MEMBERS = flags.DEFINE_integer('members', 8, 'Limits.', 2)
_STEPS = flags.DEFINE_integer('steps', 20, 'Of each search.', 1)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 32, 'Images in a step.', 1)
_SUPERNET = flags.DEFINE_enum(
  'supernet', 'mixed', ['mixed', 'entangled'], 'How candidates are held.'
)


def keepers(macs: cost.Cost, limit: float):
  """What holds a limit: the default of the scripts."""
  penalty = [constraint.linear(0.0, limit)]
  return penalty, constraint.project([macs], [limit], equal=True)


def make(own, macs: cost.Cost, limit: float) -> search.Search:
  penalty, projection = keepers(macs, limit)
  kinds = {'mixed': Supernet, 'entangled': Entangled}
  return search.make(
    kinds[_SUPERNET.value](own),
    own.choices,
    data.Batches(_BATCH_SIZE.value, (0.5,) * 3, (0.25,) * 3),
    [(macs, penalty[0])],
    projection=projection,
    weight_tx=optax.sgd(0.01, 0.9),
    alpha_tx=optax.adam(0.01),
  )


def images() -> data.Arrays:
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (4096, 32, 32, 3)).astype(np.uint8)
  return jax.device_put(data.Arrays(pixels, np.arange(4096, dtype='i4') % 10))


class Program:
  """A step, compiled; how long that took, and how long all calls did."""

  def __init__(self, step, state, arrays):
    start = time.perf_counter()
    jitted = jax.jit(step, donate_argnums=0)
    self._run = jitted.lower(state, arrays, arrays).compile()
    self.compile_s, self.steps_s = time.perf_counter() - start, 0.0

  def take(self, state, arrays):
    start = time.perf_counter()
    for _ in range(_STEPS.value):
      state, metrics = self._run(state, arrays, arrays)
    jax.block_until_ready(metrics)
    self.steps_s += time.perf_counter() - start


def main(_) -> None:
  allocator.keep_pages()
  jax.config.update('jax_enable_compilation_cache', False)
  own = spaces.mobile_small(image_size=32, channels=3, num_classes=10)
  macs, arrays, members = cost.macs(own), images(), _MEMBERS.value
  low, high = macs.bounds()
  limits = [float(x) for x in np.linspace(low, high, members + 2)[1:-1]]
  parts = make(own, macs, limits[0])
  init = jax.jit(parts.init)

  def start(i):
    state = init(jax.random.key(i), arrays, arrays)
    return search.population.member(state, *keepers(macs, limits[i]))

  alone = []
  for i, limit in enumerate(limits):
    alone.append(Program(make(own, macs, limit).step, start(i), arrays))
    alone[-1].take(start(i), arrays)
  turn = Program(parts.step, start(0), arrays)
  for i in range(members):
    turn.take(start(i), arrays)
  many = search.population.together(parts, own.choices, relax.SOFTMAX)
  states = search.population.stack([start(i) for i in range(members)])
  side = Program(many.step, states, arrays)
  side.take(states, arrays)
  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.devices()[0].device_kind}, jax {jax.__version__}; {members} limits, '
    f'{_SUPERNET.value}, {_STEPS.value} steps each, batches of '
    f'{_BATCH_SIZE.value}\n'
  )
  print('| searches | programs | compile s | steps s | in all | ratio |')
  print('|---|---:|---:|---:|---:|---:|')
  cases = {'each for itself': alone, 'in turn': [turn], 'side by side': [side]}
  whole = sum(p.compile_s + p.steps_s for p in alone)
  for name, programs in cases.items():
    compile_s = sum(p.compile_s for p in programs)
    steps_s = sum(p.steps_s for p in programs)
    total = compile_s + steps_s
    print(
      f'| {name} | {len(programs)} | {compile_s:.1f} | {steps_s:.1f} '
      f'| {total:.1f} | {total / whole:.2f} |'
    )


if __name__ == '__main__':
  app.run(main)

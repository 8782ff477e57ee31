"""Times a gradient pass of supernets, and compiling them.

  python -m benchmarks.supernet [--repeats=9] [--batch_size=32] [--quick]

prints one Markdown table: the mixed and the entangled supernet, and training
the largest network that they hold; for `mobile_small`, for its slots with 3 to
12 candidates of which the largest is the same, and for fewer of its slots. A
step of a search has two passes, one for the weights and one for the
probabilities; one of training has the first alone. The networks alternate
within one run, so that what else the machine does falls on all; the figures are
medians.

A second table is of what more candidates cost, which alternate there: of the
entangled supernet, whose largest is the same, and of the sampled one, whose
mean is: whole steps of the weights, optimizer and all. One of these computes
one candidate of each slot, so that a figure is the mean of 8 draws.
"""

import dataclasses
import datetime
import functools
import os
import platform
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from experiments.flags import allocator
from nasjax import data, ops, relax, search, space, spaces, train
from nasjax.supernet import Supernet
from nasjax.supernet.entangled import Entangled
from nasjax.train import optimizers

_REPEATS = flags.DEFINE_integer('repeats', 9, 'Timings of each.', 1)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 32, 'Images in a pass.', 1)
_QUICK = flags.DEFINE_bool('quick', False, 'Whether to time `tiny` only.')

# The first n of them are a slot's; the first one is the largest.
CANDIDATES = tuple(
  ops.MBConv(kernel, expand) for expand in (6, 3, 4, 1) for kernel in (7, 5, 3)
)


# Expansions with a mean of 4, each with three kernels.
SAME_MEAN = {3: (4,), 6: (3, 5), 9: (2, 4, 6), 12: (2, 3, 5, 6)}
_DRAWS = 8


def with_candidates(own: tuple[ops.Op, ...]) -> space.Space:
  """The slots of `mobile_small` with other candidates."""
  small = spaces.mobile_small()

  def slot(old):
    return dataclasses.replace(old, ops=own) if len(old.ops) > 1 else old

  return dataclasses.replace(small, slots=tuple(map(slot, small.slots)))


def of_slots(number: int) -> space.Space:
  """`mobile_small` where only the first slots are chosen; the rest is fixed."""
  small = spaces.mobile_small()
  chosen = list(small.choices)[:number]
  fixed = {slot.name: slot.ops[0] for slot in small.slots}
  slots = (
    slot
    if slot.name in chosen
    else dataclasses.replace(slot, ops=(fixed[slot.name],))
    for slot in small.slots
  )
  return dataclasses.replace(small, slots=tuple(slots))


def largest(searched: space.Space) -> space.Space:
  """The network with the most parameters in every slot."""

  def choice(slot):
    blocks = [op for op in slot.ops if isinstance(op, ops.MBConv)]
    return max(blocks, key=lambda op: (op.expand, op.kernel)).name

  slots = {slot.name: slot for slot in searched.slots}
  names = tuple(choice(slots[name]) for name in searched.choices)
  return space.fix(searched, space.Architecture(searched, names))


class Passes(NamedTuple):
  """Compiled gradient passes of a network, without arguments.

  Attributes:
    runs: for the weights and, where there are any, for the probabilities.
    compile_s: seconds that each took to trace and compile.
  """

  runs: list[functools.partial]
  compile_s: list[float]


def passes(net: Any, batch_size: int) -> Passes:
  """Compiles what a step of a search computes, but for the optimizers."""
  own = net.space
  rng = np.random.default_rng(0)
  shape = batch_size, own.image_size, own.image_size, own.channels
  images = rng.normal(size=shape).astype('float32')
  labels = rng.integers(own.num_classes, size=batch_size)
  alphas = space.init_alphas(own)
  probs = relax.softmax(alphas)
  shapes = jax.eval_shape(
    lambda: net.init(jax.random.key(0), images, probs, train=False)
  )

  def drawn(shape):
    # Kernels of mean 0, and positive scales and variances.
    fan = max(1, int(np.prod(shape.shape[:-1])))
    x = rng.normal(size=shape.shape) / fan**0.5
    return (x if len(shape.shape) > 1 else 1 + abs(x)).astype(shape.dtype)

  # What draws them in JAX would have to be compiled, too.
  variables = jax.tree.map(drawn, shapes)

  def loss(params, alphas, stats):
    logits, new = net.apply(
      {'params': params, 'batch_stats': stats},
      images,
      relax.softmax(alphas),
      train=True,
      mutable=['batch_stats'],
    )
    return train.cross_entropy(logits, labels), new

  arguments = variables['params'], alphas, variables['batch_stats']
  found = Passes([], [])
  for position in range(2 if alphas else 1):
    start = time.perf_counter()
    grad = jax.jit(jax.grad(loss, position, has_aux=True))
    program = grad.lower(*arguments).compile()
    found.compile_s.append(time.perf_counter() - start)
    found.runs.append(functools.partial(program, *arguments))
  return found


def timed(each: list[Passes], repeats: int) -> list[np.ndarray]:
  """Milliseconds of every pass of each, `f64[passes]`."""
  flat = [run for found in each for run in found.runs]
  times_ms = np.zeros((repeats + 1, len(flat)))
  for row in times_ms:
    for i, run in enumerate(flat):
      start = time.perf_counter()
      jax.block_until_ready(run())
      row[i] = 1e3 * (time.perf_counter() - start)
  medians = iter(np.median(times_ms[1:], axis=0))  # the first warms up
  return [np.array([next(medians) for _ in found.runs]) for found in each]


def drawing(searched: space.Space, batch_size: int) -> Passes:
  """Whole steps of the weights, of ops that are drawn anew each time."""
  rng = np.random.default_rng(1)
  shape = 4 * batch_size, searched.image_size, searched.image_size
  images = rng.integers(255, size=(*shape, searched.channels), dtype=np.uint8)
  labels = rng.integers(searched.num_classes, size=len(images))
  arrays = data.Arrays(jnp.array(images), jnp.array(labels, jnp.int32))
  mean, std = ((x,) * searched.channels for x in (0.5, 0.3))
  parts = search.make(
    searched.search_network(),
    searched.choices,
    data.Batches(batch_size, mean, std),
    [],
    weight_tx=optimizers.sgd(0.01),
    alpha_tx=search.adam(0.01),
    relaxation=relax.GDAS,
  )
  state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  start = time.perf_counter()
  step = jax.jit(parts.weight_step, donate_argnums=0)
  program = step.lower(state, arrays).compile()
  compile_s = time.perf_counter() - start

  def run():
    nonlocal state
    for _ in range(_DRAWS):
      state, metrics = program(state, arrays)
    return metrics

  return Passes([run], [compile_s])


def row(cells) -> str:
  return '| ' + ' | '.join(cells) + ' |'


def growth_rows(numbers: tuple[int, ...]) -> None:
  """The entangled and the sampled supernet, with more and more candidates."""
  kinds = 'entangled, ms a pass', 'sampled, ms a step', 'compile s of each'
  print(row(['candidates', *kinds]))
  print('|---|---:|---:|---:|')
  each = []
  for n in numbers:
    blocks = (ops.MBConv(k, e) for e in SAME_MEAN[n] for k in (7, 5, 3))
    own = Entangled(with_candidates(CANDIDATES[:n]))
    each += [
      passes(own, _BATCH_SIZE.value),
      drawing(with_candidates(tuple(blocks)), _BATCH_SIZE.value),
    ]
  # What runs for the first time is slower: every candidate is to have run.
  timed(each, 2 if _QUICK.value else 12)
  times_ms = timed(each, 2 * _REPEATS.value)
  for i, n in enumerate(numbers):
    pair = each[2 * i : 2 * i + 2]
    entangled_ms, sampled_ms = times_ms[2 * i : 2 * i + 2]
    compile_s = ', '.join(f'{np.mean(p.compile_s):.0f}' for p in pair)
    cells = f'{entangled_ms.mean():.1f}', f'{sampled_ms[0] / _DRAWS:.1f}'
    print(row([str(n), *cells, compile_s]), flush=True)


def main(_):
  allocator.keep_pages()
  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.devices()[0].device_kind}, jax {jax.__version__}, float32; batches '
    f'of {_BATCH_SIZE.value}, medians of {_REPEATS.value}; a pass is the mean '
    'of those of a step\n'
  )
  print(row(['slots', 'network', 'ms a pass', 'of the largest', 'compile s']))
  print('|---|---|---:|---:|---:|')
  cases = {
    '`mobile_small`': spaces.mobile_small(),
    **{f'{n} candidates': with_candidates(CANDIDATES[:n]) for n in SAME_MEAN},
    **{f'{n} slots': of_slots(n) for n in (2, 4)},
  }
  if _QUICK.value:
    cases = {'`tiny`': spaces.tiny()}
  for name, own in cases.items():
    nets = {
      'mixed': Supernet(own),
      'entangled': Entangled(own),
      'largest alone': Supernet(largest(own)),
    }
    each = [passes(net, _BATCH_SIZE.value) for net in nets.values()]
    means = [t.mean() for t in timed(each, _REPEATS.value)]
    for kind, found, mean in zip(nets, each, means, strict=True):
      compile_s = np.mean(found.compile_s)
      cells = f'{mean:.0f}', f'{mean / means[-1]:.2f}', f'{compile_s:.1f}'
      print(row([name, kind, *cells]), flush=True)
  print()
  growth_rows((3,) if _QUICK.value else tuple(SAME_MEAN))


if __name__ == '__main__':
  app.run(main)

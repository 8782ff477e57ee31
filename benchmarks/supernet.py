"""Times a gradient pass of supernets, and compiling them.

  python -m benchmarks.supernet [--repeats=9] [--batch_size=32] [--quick]

prints one Markdown table: the mixed and the entangled supernet, and training
the largest network that they hold; for `mobile_small`, and for its slots with 3
to 12 candidates of which the largest is the same. A step of a search has two
passes, one for the weights and one for the probabilities; one of training has
the first alone. The networks alternate within one run, so that what else the
machine does falls on all; the figures are medians.
"""

import dataclasses
import datetime
import functools
import os
import platform
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app, flags

from nasjax import ops, relax, space, spaces, train
from nasjax.entangled import Entangled
from nasjax.supernet import Supernet

_REPEATS = flags.DEFINE_integer('repeats', 9, 'Timings of each.', 1)
_BATCH_SIZE = flags.DEFINE_integer('batch_size', 32, 'Images in a pass.', 1)
_QUICK = flags.DEFINE_bool('quick', False, 'Whether to time `tiny` only.')

# The first n of them are a slot's; the first one is the largest.
CANDIDATES = tuple(
  ops.MBConv(kernel, expand) for expand in (6, 3, 4, 1) for kernel in (7, 5, 3)
)


def of_candidates(number: int) -> space.Space:
  """The slots of `mobile_small` with other candidates, and no skip."""
  small = spaces.mobile_small()

  def slot(old):
    own = CANDIDATES[:number] if len(old.ops) > 1 else old.ops
    return dataclasses.replace(old, ops=own)

  return dataclasses.replace(small, slots=tuple(map(slot, small.slots)))


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


def compare(nets: list[Any], batch_size: int, repeats: int):
  """For each network milliseconds and compile seconds, `f64[passes]` each."""
  each = [passes(net, batch_size) for net in nets]
  flat = [run for found in each for run in found.runs]
  times_ms = np.zeros((repeats + 1, len(flat)))
  for row in times_ms:
    for i, run in enumerate(flat):
      start = time.perf_counter()
      jax.block_until_ready(run())
      row[i] = 1e3 * (time.perf_counter() - start)
  medians = iter(np.median(times_ms[1:], axis=0))  # the first warms up
  return [
    (np.array([next(medians) for _ in found.runs]), np.array(found.compile_s))
    for found in each
  ]


def row(cells) -> str:
  return '| ' + ' | '.join(cells) + ' |'


def main(_):
  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'{jax.devices()[0].device_kind}, jax {jax.__version__}, float32; batches '
    f'of {_BATCH_SIZE.value}, medians of {_REPEATS.value}; a pass is the mean '
    'of those of a step\n'
  )
  print(row(['slots', 'network', 'ms a pass', 'of the largest', 'compile s']))
  print('|---|---|---:|---:|---:|')
  cases = {f'{n} candidates': of_candidates(n) for n in (3, 6, 9, 12)}
  cases = {'`mobile_small`': spaces.mobile_small(), **cases}
  if _QUICK.value:
    cases = {'`tiny`': spaces.tiny()}
  for name, own in cases.items():
    nets = {
      'mixed': Supernet(own),
      'entangled': Entangled(own),
      'largest alone': Supernet(largest(own)),
    }
    found = compare(list(nets.values()), _BATCH_SIZE.value, _REPEATS.value)
    alone = found[-1][0].mean()
    for kind, (times_ms, compile_s) in zip(nets, found, strict=True):
      mean = times_ms.mean()
      cells = f'{mean:.0f}', f'{mean / alone:.2f}', f'{compile_s.mean():.1f}'
      print(row([name, kind, *cells]), flush=True)


if __name__ == '__main__':
  app.run(main)

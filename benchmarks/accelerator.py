"""What a step costs on an accelerator: against its roofline, and side by side.

  python -m benchmarks.accelerator [--steps=50] [--members=8] [--quick]

prints three Markdown tables, of `mobile_small` at 32 pixels: a weight step of
each supernet against what the device could do at best, the largest of its
arithmetic over the measured rate of matrix products and its bytes over the
measured bandwidth, both as XLA counts them for the compiled program; a search
step of several members side by side against one after the other
(`nasjax.search.population`); and the depthwise convolution, native and as taps.
`--quick` shrinks all, for a look on a CPU.
"""

import datetime
import functools
import platform
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags

from benchmarks import pytorch
from nasjax import batch, constraint, cost, data, depthwise, relax, search
from nasjax.ops import Numerics

_STEPS = flags.DEFINE_integer('steps', 50, 'In a row, per timing.', 1)
_MEMBERS = flags.DEFINE_integer('members', 8, 'Of the population.', 2)
_QUICK = flags.DEFINE_bool('quick', False, 'Whether to look only.')

KINDS = 'mixed', 'entangled', 'sampled'
_TIMINGS = 5


def seconds(call: Callable[[], object], times: int) -> float:
  """Median over timings of so many calls in a row, per call."""
  jax.block_until_ready(call())
  found = []
  for _ in range(_TIMINGS):
    start = time.perf_counter()
    for _ in range(times):
      out = call()
    jax.block_until_ready(out)
    found.append((time.perf_counter() - start) / times)
  return float(np.median(found))


def peaks(dtype: str) -> tuple[float, float]:
  """FLOP/s of a large matrix product, and bytes/s of a large copy."""
  n = 256 if _QUICK.value else 8192
  key = jax.random.key(0)
  a = jax.random.normal(key, (n, n), dtype)
  product = jax.jit(lambda a: a @ a)
  many = jnp.zeros((1 if _QUICK.value else 16) * 2**26, 'float32')
  copy = jax.jit(lambda x: x + 1)
  flops = 2 * n**3 / seconds(lambda: product(a), 5)
  return flops, 2 * many.nbytes / seconds(lambda: copy(many), 5)


def search_of(kind: str, size: int, dtype: str | None) -> search.Search:
  """Of `mobile_small`, under a limit on MACs."""
  own = pytorch.network(kind)
  macs = cost.macs(own)
  limit = 0.4 * macs.bounds()[1]
  return search.make(
    own,
    batch.Batches(size, (0.5,) * 3, (0.25,) * 3),
    [(macs, constraint.linear(0.0, limit))],
    projection=constraint.project([macs], [limit], equal=True),
    weight_tx=optax.sgd(0.01, 0.9),
    alpha_tx=optax.adam(0.01),
    relaxation=relax.GDAS if kind == 'sampled' else relax.SOFTMAX,
    supernet='entangled' if kind == 'entangled' else 'mixed',
    numerics=Numerics(dtype=dtype),
  )


def images() -> data.Arrays:
  rng = np.random.default_rng(0)
  n = 4096
  pixels = rng.integers(0, 256, (n, 32, 32, 3)).astype(np.uint8)
  return jax.device_put(data.Arrays(pixels, np.arange(n, dtype=np.int32) % 10))


class Steps:
  """A compiled step and where it is."""

  def __init__(self, step: Callable, state, *arrays):
    start = time.perf_counter()
    lowered = jax.jit(step, donate_argnums=0).lower(state, *arrays)
    self.program = lowered.compile()
    self.compile_s = time.perf_counter() - start
    self._state, self._arrays = state, arrays

  def __call__(self):
    self._state, metrics = self.program(self._state, *self._arrays)
    return metrics


def roofline_rows(arrays: data.Arrays) -> None:
  print('| supernet | batch | dtype | ms | at best | share | compile s |')
  print('|---|---:|---|---:|---:|---:|---:|')
  sizes = (16,) if _QUICK.value else (64, 1024)
  for dtype in 'float32', 'bfloat16':
    flops, bandwidth = peaks(dtype)
    for kind in KINDS[:1] if _QUICK.value else KINDS:
      for size in sizes:
        parts = search_of(kind, size, None if dtype == 'float32' else dtype)
        init = jax.jit(parts.init)
        run = Steps(
          parts.weight_step, init(jax.random.key(0), arrays, arrays), arrays
        )
        took = seconds(run, _STEPS.value)
        counted = run.program.cost_analysis()
        best = max(
          counted['flops'] / flops, counted['bytes accessed'] / bandwidth
        )
        print(
          f'| {kind} | {size} | {dtype} | {1e3 * took:.2f} | {1e3 * best:.2f} '
          f'| {best / took:.0%} | {run.compile_s:.0f} |',
          flush=True,
        )
    print(
      f'\nmeasured: {flops / 1e12:.0f} TFLOP/s in {dtype} products, '
      f'{bandwidth / 1e12:.2f} TB/s\n'
    )


def population_rows(arrays: data.Arrays) -> None:
  members = _MEMBERS.value
  print(f'| supernet | batch | {members} in turn, ms | side by side | ratio |')
  print('|---|---:|---:|---:|---:|')
  for kind in KINDS[:1] if _QUICK.value else KINDS[:2]:
    size = 16 if _QUICK.value else 64
    parts = search_of(kind, size, None)
    own = pytorch.network(kind)
    many = search.population.together(parts, own, relax.SOFTMAX)
    keys = jax.random.split(jax.random.key(0), members)
    states = jax.jit(many.init)(keys, arrays, arrays)
    one = jax.jit(parts.init)(keys[0], arrays, arrays)
    alone = Steps(parts.step, one, arrays, arrays)
    beside = Steps(many.step, states, arrays, arrays)
    times = max(1, _STEPS.value // 5)
    turn = members * seconds(alone, times)
    side = seconds(beside, times)
    print(
      f'| {kind} | {size} | {1e3 * turn:.1f} | {1e3 * side:.1f} '
      f'| {side / turn:.2f} |',
      flush=True,
    )


def depthwise_rows() -> None:
  print('| N, H, C, k | native forward, both gradients | taps | ratio |')
  print('|---|---:|---:|---:|')
  sizes = [(64, 16, 144, 5), (1024, 16, 144, 3), (256, 112, 96, 3)]
  for n, h, c, k in sizes[:1] if _QUICK.value else sizes:
    key = jax.random.key(0)
    x = jax.random.normal(key, (n, h, h, c))
    w = jax.random.normal(key, (k, k, 1, c))
    took = []
    for form in 'native', 'taps':

      @functools.partial(jax.jit, static_argnames='form')
      def run(x, w, form):
        y, pull = jax.vjp(functools.partial(depthwise.conv, form=form), x, w)
        return y, pull(y)

      took.append(seconds(functools.partial(run, x, w, form), 5))
    native, taps = took
    print(
      f'| {n}, {h}, {c}, {k} | {1e3 * native:.2f} ms | {1e3 * taps:.2f} ms '
      f'| {native / taps:.2f} |',
      flush=True,
    )


def main(_) -> None:
  device = jax.devices()[0].device_kind
  print(
    f'{datetime.date.today()}, {device}, Python {platform.python_version()}, '
    f'jax {jax.__version__}; medians of {_TIMINGS}\n'
  )
  arrays = images()
  roofline_rows(arrays)
  population_rows(arrays)
  print()
  depthwise_rows()


if __name__ == '__main__':
  app.run(main)

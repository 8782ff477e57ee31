"""What a step costs on an accelerator, against its roofline.

  python -m benchmarks.accelerator [--steps=50] [--dtype=float32] [--sizes=64]

prints Markdown tables: a weight step of each supernet of `mobile_small` at 32
pixels against what the device could do at best, the larger of its arithmetic
over the measured rate of matrix products and its bytes over the measured
bandwidth, both as XLA counts them for the compiled program; and the depthwise
convolution, native and as taps.
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
from nasjax import constraint, cost, data, relax, search
from nasjax.ops import Numerics, depthwise
from nasjax.supernet import Entangled, Supernet

_STEPS = flags.DEFINE_integer('steps', 50, 'In a row, per timing.', 1)
_SIZES = flags.DEFINE_list('sizes', '64,1024', 'Images in a step.')
_DTYPE = flags.DEFINE_enum(
  'dtype', 'float32', ['float32', 'bfloat16'], 'What is computed in.'
)
_KINDS = flags.DEFINE_list(
  'supernets', 'mixed,entangled,sampled', 'Which of them.'
)
# Of matrix products and of copies, for the roofline.
_EDGE = flags.DEFINE_integer('edge', 8192, 'Of the matrices.', 64)
_COPIED = flags.DEFINE_integer('copied', 2**30, 'Numbers in a copy.', 64)

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
  n = _EDGE.value
  a = jax.random.normal(jax.random.key(0), (n, n), dtype)
  product = jax.jit(lambda a: a @ a)
  many = jnp.zeros(_COPIED.value, 'float32')
  copy = jax.jit(lambda x: x + 1)
  flops = 2 * n**3 / seconds(lambda: product(a), 5)
  return flops, 2 * many.nbytes / seconds(lambda: copy(many), 5)


def search_of(kind: str, size: int, dtype: str | None) -> search.Search:
  """Of `mobile_small`, under a limit on MACs."""
  own = pytorch.network(kind)
  macs = cost.macs(own)
  limit = 0.4 * macs.bounds()[1]
  net = Entangled if kind == 'entangled' else Supernet
  return search.make(
    net(own, Numerics(dtype=dtype)),
    own.choices,
    data.Batches(size, (0.5,) * 3, (0.25,) * 3),
    [(macs, constraint.linear(0.0, limit))],
    projection=constraint.project([macs], [limit], equal=True),
    weight_tx=optax.sgd(0.01, 0.9),
    alpha_tx=optax.adam(0.01),
    relaxation=relax.GDAS if kind == 'sampled' else relax.SOFTMAX,
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
  dtype = _DTYPE.value
  flops, bandwidth = peaks(dtype)
  print(
    f'{dtype}: {flops / 1e12:.1f} TFLOP/s in matrix products, '
    f'{bandwidth / 1e12:.2f} TB/s in copies\n'
  )
  print('| supernet | batch | ms | at best | share | images / s | compile s |')
  print('|---|---:|---:|---:|---:|---:|---:|')
  for kind in _KINDS.value:
    for size in map(int, _SIZES.value):
      parts = search_of(kind, size, None if dtype == 'float32' else dtype)
      state = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
      run = Steps(parts.weight_step, state, arrays)
      took = seconds(run, _STEPS.value)
      counted = run.program.cost_analysis()
      best = max(
        counted['flops'] / flops, counted['bytes accessed'] / bandwidth
      )
      print(
        f'| {kind} | {size} | {1e3 * took:.2f} | {1e3 * best:.2f} '
        f'| {best / took:.0%} | {size / took:,.0f} | {run.compile_s:.0f} |',
        flush=True,
      )
  print()


def depthwise_rows() -> None:
  print('| N, H, C, k | native forward, both gradients | taps | ratio |')
  print('|---|---:|---:|---:|')
  sizes = [(64, 16, 144, 5), (1024, 16, 144, 3), (256, 112, 96, 3)]
  for n, h, c, k in sizes:
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
  depthwise_rows()


if __name__ == '__main__':
  app.run(main)

"""Max pooling, native against taps: forward and gradient.

    python -m benchmarks.pooling [--repeats=11]

prints one Markdown table. The forms alternate within one run; the figures are
medians, of the function and of it together with its gradient.
"""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import app

from benchmarks.depthwise import FORMS, REPEATS, machine
from nasjax.ops import pooling

# N, H = W, C, kernel, stride: of ResNet, SqueezeNet, ShuffleNetV2, and small.
SHAPES = (
  (16, 112, 64, 3, 2),
  (16, 55, 96, 3, 2),
  (16, 112, 24, 3, 2),
  (64, 32, 16, 3, 1),
)


def passes(shape, form):
  """Compiled forward, and with the gradient, without arguments."""
  n, size, channels, kernel, stride = shape
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(n, size, size, channels)), jnp.float32)
  run = functools.partial(
    pooling.max_pool, kernel=kernel, stride=stride, form=form
  )

  def with_gradient(x):
    y, pull = jax.vjp(run, x)
    return pull(y)

  each = (jax.jit(f).lower(x).compile() for f in (run, with_gradient))
  return [functools.partial(program, x) for program in each]


def main(_) -> None:
  print(f'{machine()}; ms, native / taps, medians of {REPEATS.value}\n')
  print('| N, H, C, k, stride | forward | ratio | with gradient | ratio |')
  print('|---|---|---:|---|---:|')
  for shape in SHAPES:
    runs = [passes(shape, form) for form in FORMS]
    times_ms = np.zeros((REPEATS.value + 1, 2, 2))
    for row in times_ms:
      for i, j in np.ndindex(row.shape):
        start = time.perf_counter()
        jax.block_until_ready(runs[i][j]())
        row[i, j] = 1e3 * (time.perf_counter() - start)
    cells = [', '.join(map(str, shape))]
    for native, taps in np.median(times_ms[1:], axis=0).T:
      cells += [f'{native:.2f} / {taps:.2f}', f'{native / taps:.1f}']
    print('| ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
  app.run(main)

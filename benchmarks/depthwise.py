"""Depthwise convolution, native against taps: forward and both gradients.

    python -m benchmarks.depthwise [--repeats=11] [--quick]

Prints one Markdown table. The forms alternate within one run, so that what
else the machine does falls on both; the figures are medians.
"""

import datetime
import functools
import platform
import time

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from absl import app, flags

from nasjax.ops import depthwise

REPEATS = flags.DEFINE_integer('repeats', 11, 'Timings of each.', 1)
_QUICK = flags.DEFINE_bool('quick', False, 'Whether to time two shapes only.')

# N, H = W, C, k, stride
SHAPES = (
  (64, 7, 240, 5, 1),
  (64, 14, 240, 3, 2),
  (64, 28, 32, 3, 1),
  (32, 28, 144, 5, 2),
  (64, 14, 96, 3, 1),
  (64, 14, 96, 5, 1),
)
FORMS = ('native', 'taps')


def machine() -> str:
  """What ran it: processor or accelerator, versions and date, in one line."""
  name = jax.devices()[0].device_kind
  if jax.default_backend() == 'cpu':
    try:
      with open('/proc/cpuinfo') as f:
        names = [z for z in f if z.startswith('model name')]
      name = f'{len(names)} x {names[0].split(":")[1].strip()}'
    except (OSError, IndexError):
      name = platform.machine()
  return (
    f'{name}, jax {jax.__version__}, jaxlib {jaxlib.__version__}, '
    f'Python {platform.python_version()}, {datetime.date.today()}, float32'
  )


def passes(shape, form):
  """Compiled forward, dx and dw of one form, without arguments."""
  n, size, channels, k, stride = shape
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(n, size, size, channels)), jnp.float32)
  kernel = jnp.asarray(rng.normal(size=(k, k, 1, channels)), jnp.float32)
  f = functools.partial(depthwise.conv, stride=stride, form=form)
  g = jnp.ones_like(f(x, kernel))

  def of_image(x, kernel, g):
    return jax.linear_transpose(lambda x: f(x, kernel), x)(g)[0]

  def of_kernel(x, kernel, g):
    return jax.linear_transpose(lambda kernel: f(x, kernel), kernel)(g)[0]

  def forward(x, kernel, g):
    return f(x, kernel)

  compiled = []
  for run in (forward, of_image, of_kernel):
    program = jax.jit(run).lower(x, kernel, g).compile()
    compiled.append(functools.partial(program, x, kernel, g))
  return compiled


def compare(shape, repeats: int) -> np.ndarray:
  """`f64[forms, passes]` median milliseconds, the forms alternating."""
  runs = [passes(shape, form) for form in FORMS]
  times_ms = np.zeros((repeats + 1, len(FORMS), len(runs[0])))
  for row in times_ms:
    for i, j in np.ndindex(row.shape):
      start = time.perf_counter()
      jax.block_until_ready(runs[i][j]())
      row[i, j] = 1e3 * (time.perf_counter() - start)
  return np.median(times_ms[1:], axis=0)  # the first warms up


def main(_):
  print(f'{machine()}; ms, native / taps, medians of {REPEATS.value}\n')
  print('| N, H, C, k, stride | forward | ratio | dx | ratio | dw | ratio |')
  print('|---|---|---|---|---|---|---|')
  for shape in SHAPES[:2] if _QUICK.value else SHAPES:
    cells = [', '.join(map(str, shape))]
    for native, taps in compare(shape, REPEATS.value).T:
      cells += [f'{native:.2f} / {taps:.2f}', f'{native / taps:.1f}']
    print('| ' + ' | '.join(cells) + ' |', flush=True)


if __name__ == '__main__':
  app.run(main)

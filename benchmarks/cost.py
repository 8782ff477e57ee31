"""Times counting and the expected cost.

  python -m benchmarks.cost

prints one Markdown table: the expected MACs of the FBNet space at 224 pixels
with its gradient, jitted, on one core; and in processes of their own, imports
included, counting MobileNetV2, by closed forms and traced whole, with the
memory that needed at most, and building the expected MACs of a space in which
widths and patterns are choices.
"""

import datetime
import os
import platform
import resource
import subprocess
import sys
import time

COUNT = 'from nasjax import cost, zoo; v2 = zoo.mobilenet_v2(); '
COUNT += 'print(cost.macs(v2).constant, cost.params(v2).constant)'
# The whole program of the network, as for a function that is no space.
TRACED = """
import jax, jax.numpy as jnp
from nasjax import count, zoo
from nasjax.ops import Numerics
from nasjax.supernet import Supernet
net = Supernet(zoo.mobilenet_v2(), Numerics(lowering='native'))
images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
init = lambda key, x: net.init(key, x, {}, train=False)
variables = jax.eval_shape(init, jax.random.key(0), images)
run = lambda v, x: net.apply(v, x, {}, train=False)
print(count.macs(run, variables, images), count.params(variables['params']))
"""
BUILD = 'from nasjax import cost, spaces; '
BUILD += 'print(cost.macs(spaces.mobile_macro_small()).bounds())'


def one_core() -> None:
  """Keeps this process, and what it starts, on one core."""
  if hasattr(os, 'sched_setaffinity'):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def median_us(call, repeats: int = 2000) -> float:
  """Median microseconds of a call that waits for its result."""
  for _ in range(10):
    call()
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    call()
    times.append(time.perf_counter() - start)
  return sorted(times)[repeats // 2] * 1e6


def expected_cost() -> tuple[float, float, float]:
  """Microseconds of a jitted cost and gradient; seconds to build, compile."""
  import jax

  from nasjax import cost, relax, space, spaces

  start = time.perf_counter()
  fbnet = spaces.fbnet()
  macs = cost.macs(fbnet)
  built = time.perf_counter() - start
  alphas = space.init_alphas(fbnet, jax.random.key(0))
  both = jax.jit(jax.value_and_grad(lambda a: macs(relax.softmax(a))))
  start = time.perf_counter()
  both = both.lower(alphas).compile()
  compiled = time.perf_counter() - start
  call = lambda: jax.block_until_ready(both(alphas))  # noqa: E731
  return median_us(call), built, compiled


def whole_process(program: str, runs: int = 5) -> float:
  """Median seconds of a Python process that runs a program."""
  times = []
  for _ in range(runs):
    start = time.perf_counter()
    subprocess.run([sys.executable, '-c', program], check=True, stdout=-3)
    times.append(time.perf_counter() - start)
  return sorted(times)[runs // 2]


def peak_megabytes() -> float:
  """Of the largest process so far that this one has started."""
  # Kilobytes on Linux.
  return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
  one_core()
  seconds = whole_process(COUNT)
  traced = whole_process(TRACED)
  megabytes = peak_megabytes()
  building = whole_process(BUILD)
  microseconds, built, compiled = expected_cost()
  import jax

  print(
    f'{datetime.date.today()}, {platform.machine()}, one core, Python '
    f'{platform.python_version()}, jax {jax.__version__}\n'
  )
  print('| what | time | bar |')
  print('|---|---:|---:|')
  print(
    f'| expected MACs of `fbnet` and gradient | {microseconds:.0f} us | 1 ms |'
  )
  print(f'| its tables | {built:.2f} s | |')
  print(f'| compiling cost and gradient | {compiled:.2f} s | |')
  print(f'| counting `mobilenet_v2`, whole process | {seconds:.2f} s | 3 s |')
  print(f'| the same, traced whole, whole process | {traced:.2f} s | 3 s |')
  print(f'| its peak memory | {megabytes:.0f} MB | 1 GB |')
  print(
    f'| MACs of `mobile_macro_small`, whole process | {building:.2f} s | 3 s |'
  )


if __name__ == '__main__':
  main()

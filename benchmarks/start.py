"""How long a search's first step takes to come, from its start.

  python -m benchmarks.start [--starts=3]

starts the demo's search again and again, each in a workdir of its own, and ends
it when the line of its first step stands in `metrics.jsonl`. The first of each
pair finds no compiled programs, the second one those of the first.
"""

import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import jax
from absl import app, flags

from benchmarks import demo

_STARTS = flags.DEFINE_integer('starts', 3, 'Pairs of starts.', 1)

BARS_S = {'cold': 25, 'warm': 10}


def first_step_s(command: list[str], workdir: pathlib.Path) -> float:
  """Seconds from the start of a search to its first line of metrics."""
  lines = workdir / 'metrics.jsonl'
  start = time.perf_counter()
  with subprocess.Popen(
    command, cwd=demo.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
  ) as process:
    os.set_blocking(process.stderr.fileno(), False)
    said = b''
    while not (lines.exists() and lines.read_bytes().endswith(b'\n')):
      # What is not read would fill the pipe in the end.
      said += process.stderr.read() or b''
      if process.poll() is not None:
        raise RuntimeError(f'the search ended before a step: {said.decode()}')
      time.sleep(0.02)
    took = time.perf_counter() - start
    process.kill()
  return took


def main(_) -> None:
  search, *_ = demo.commands((demo.ROOT / 'Makefile').read_text())
  search = [a for a in search if not a.startswith('--workdir')]
  found = {name: [] for name in BARS_S}
  with tempfile.TemporaryDirectory() as folder:
    for pair in range(_STARTS.value):
      cache = f'--compile_cache={folder}/programs_{pair}'
      for name, times in found.items():
        workdir = pathlib.Path(folder) / f'{name}_{pair}'
        command = [sys.executable, *search, f'--workdir={workdir}', cache]
        times.append(first_step_s([*command, '--log_every=1'], workdir))
  print(
    f'{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, '
    f'Python {platform.python_version()}, jax {jax.__version__}; '
    f'{_STARTS.value} starts of each\n'
  )
  print('| compiled programs | median | smallest | largest | bar |')
  print('|---|---:|---:|---:|---:|')
  for name, what in (('cold', 'none kept'), ('warm', 'of an earlier start')):
    times = found[name]
    cells = statistics.median(times), min(times), max(times)
    cells = ' | '.join(f'{t:.1f} s' for t in cells)
    print(f'| {what} | {cells} | {BARS_S[name]} s |')


if __name__ == '__main__':
  app.run(main)

"""Time and memory of the demo, without the install.

  python -m benchmarks.demo

runs what `make demo` runs, in a temporary folder and with a cold compilation
cache, and prints the wall time of each command and the largest resident memory
of any of its processes.
"""

import os
import pathlib
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time

from nasjax.run import compilation

ROOT = pathlib.Path(__file__).resolve().parents[1]


def commands(makefile: str) -> list[list[str]]:
  """The arguments of every command of the demo's recipe."""
  recipe = re.search(r'^demo:.*\n((?:\t.*\n)+)', makefile, re.MULTILINE)[1]
  lines = recipe.replace('\\\n', ' ').splitlines()
  return [shlex.split(line)[1:] for line in lines]


def main() -> None:
  total = 0.0
  with tempfile.TemporaryDirectory() as folder:
    env = {**os.environ, compilation.VARIABLE: f'{folder}/cache'}
    for command in commands((ROOT / 'Makefile').read_text()):
      moved = [arg.replace('runs/demo', folder) for arg in command]
      start = time.perf_counter()
      subprocess.run([sys.executable, *moved], cwd=ROOT, env=env, check=True)
      took = time.perf_counter() - start
      total += took
      print(f'{took:6.0f} s  {shlex.join(command)}')
  # In kilobytes on Linux: the largest of all children that have ended.
  peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
  print(f'{total:6.0f} s in all, of at most 360')
  print(f'{peak / 1e9:6.2f} GB at most, of at most 4')


if __name__ == '__main__':
  main()

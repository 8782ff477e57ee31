"""What is timed by hand goes with the code that it times."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Each defines flags of its own, so they do not go together.
LOAD = """
import importlib, sys
from absl import flags
for name in sys.argv[1:]:
  module = importlib.import_module(f'benchmarks.{name}')
  assert callable(module.main), name
  for flag in list(flags.FLAGS):
    delattr(flags.FLAGS, flag)
"""


def test_every_benchmark_loads_and_its_page_has_its_command():
  scripts = (ROOT / 'benchmarks').glob('*.py')
  names = sorted(p.stem for p in scripts if 'def main' in p.read_text())
  assert len(names) > 5
  done = subprocess.run(
    [sys.executable, '-c', LOAD, *names],
    cwd=ROOT,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  for page in (ROOT / 'benchmarks').glob('*.md'):
    assert page.stem in names
    assert f'python -m benchmarks.{page.stem}' in page.read_text()

"""What was freed stays this process's."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Twice a block as large as a step's, written to; how many pages were fresh.
PROGRAM = """
import resource, sys
import numpy as np
from experiments import allocator
acts = allocator.keep_pages() if sys.argv[1] == 'kept' else None
found = []
for _ in range(2):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  np.ones(1 << 24)
  found.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(acts, *found)
"""


def _faults(how):
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, how],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  acts, first, second = done.stdout.split()
  if how == 'kept' and acts == 'False':
    pytest.skip('the C library is not glibc')
  return int(first), int(second)


def test_a_block_that_is_taken_again_has_no_fresh_pages():
  first, second = _faults('kept')
  assert first > 100
  assert second < first / 10


def test_without_it_all_are_fresh():
  if not sys.platform.startswith('linux'):
    pytest.skip('of Linux')
  first, second = _faults('as it comes')
  assert second > first / 2

"""What was freed stays this process's."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

from experiments.flags import allocator, early

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Twice a block as large as a step's, written to; how many pages were fresh.
PROGRAM = """
import resource, sys
import numpy as np
from experiments.flags import allocator
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
    env={k: v for k, v in os.environ.items() if k != allocator.VARIABLE},
    capture_output=True,
    text=True,
    check=True,
  )
  acts, first, second = done.stdout.split()
  if how == 'kept' and acts == 'False':
    pytest.skip('not glibc, or huge pages without asking')
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


MADVISE = 'always [madvise] never\n'


@pytest.mark.parametrize(
  ('before', 'library', 'kernel', 'after'),
  [
    ('', 'glibc 2.36', MADVISE, 'glibc.malloc.hugetlb=1'),
    ('a.b=1', 'glibc 2.40', MADVISE, 'a.b=1:glibc.malloc.hugetlb=1'),
    ('glibc.malloc.hugetlb=0', 'glibc 2.36', MADVISE, None),
    ('', 'glibc 2.34', MADVISE, None),
    ('', 'musl', MADVISE, None),
    ('', 'glibc 2.36', 'always madvise [never]', None),
    ('', 'glibc 2.36', '[always] madvise never', None),
  ],
)
def test_huge_pages_are_asked_for_once_where_they_can_be_had(
  before, library, kernel, after
):
  environment = {'HOME': 'x', allocator.VARIABLE: before}
  found = allocator.with_huge_pages(environment, library, kernel)
  if after is None:
    assert found is None
  else:
    assert found == {'HOME': 'x', allocator.VARIABLE: after}


def _restarted(monkeypatch, original, act):
  calls = []
  monkeypatch.setattr(os, 'execve', lambda *args: calls.append(args))
  monkeypatch.setattr(os, 'confstr', lambda name: 'glibc 2.36')
  monkeypatch.setattr(allocator, '_kernel', lambda: MADVISE)
  monkeypatch.setattr(sys, 'platform', 'linux')
  monkeypatch.delenv(allocator.VARIABLE, raising=False)
  act(original)
  return calls


def test_a_script_starts_again_with_what_was_typed(monkeypatch):
  typed = ['python3', '-W', 'error', '-m', 'experiments.count', '--json']
  ((program, arguments, environment),) = _restarted(
    monkeypatch, typed, allocator.restart
  )
  assert program == sys.executable
  assert arguments == [sys.executable, *typed[1:]]
  assert environment[allocator.VARIABLE] == allocator.HUGE_PAGES


@pytest.mark.parametrize(
  'off', [None, '--nohuge_pages', '-nohuge_pages', '--huge_pages=False']
)
def test_a_flag_turns_it_off(monkeypatch, off):
  def begin(original):
    monkeypatch.setattr(sys, 'argv', ['count', '--json', *filter(None, [off])])
    monkeypatch.setattr(sys, 'orig_argv', original)
    monkeypatch.setattr(early.interrupts, 'quiet_imports', lambda: None)
    early.begin('count')

  script = ['python3', '-m', 'experiments.count']
  calls = _restarted(monkeypatch, script, begin)
  assert len(calls) == (off is None)


def test_who_imports_the_package_is_left_alone(monkeypatch):
  def act(original):
    for name in ('search', 'train', 'count', 'compare', 'sweep.__main__'):
      importlib.reload(importlib.import_module(f'experiments.{name}'))

  assert not _restarted(monkeypatch, ['python3', '-c', 'x'], act)


def test_benchmarks_start_again_and_imports_of_them_do_not(monkeypatch):
  import benchmarks

  def act(original):
    monkeypatch.setattr(sys, 'orig_argv', original)
    importlib.reload(benchmarks)

  typed = ['python3', '-m', 'benchmarks.start', '--repeats=1']
  assert len(_restarted(monkeypatch, typed, act)) == 1
  for other in (['pytest'], ['python3', '-m', 'pytest', 'benchmarks.start']):
    assert not _restarted(monkeypatch, other, act)


@pytest.mark.slow
def test_it_says_the_same_after_a_restart():
  """And has one: a script that is started has what it asked for."""
  environment = {k: v for k, v in os.environ.items() if k != allocator.VARIABLE}
  typed = [sys.executable, '-m', 'experiments.count', '--no_such_flag']
  said = {
    subprocess.run(
      typed, cwd=ROOT, env=environment | own, capture_output=True, text=True
    ).stderr
    for own in ({}, {allocator.VARIABLE: allocator.HUGE_PAGES})
  }
  assert len(said) == 1
  assert 'no_such_flag' in said.pop()

"""Parts from both ends: joined, they are the architectures."""

import math
import time

import numpy as np
import pytest

from nasjax.derive import halves, lagrangian_bound
from tests.derive.derive_cases import every_architecture
from tests.derive.lagrangian_bound_test import SPACES, problem_of

_ALL = 10**6  # More parts than there are.


def _joined(bounds, heads, tails):
  """Score and costs of every pair of parts that meets in a node."""
  i, j = np.nonzero(heads.node[:, None] == tails.node)
  costs = heads.costs[:, i] + tails.costs[:, j]
  kept = (costs <= bounds.most[:, None] + bounds.slack[:, None]).all(axis=0)
  return (heads.score[i] + tails.score[j])[kept]


@pytest.mark.parametrize('preset', SPACES)
@pytest.mark.parametrize('seed', range(5))
def test_the_best_pair_of_all_parts_is_the_best_architecture(preset, seed):
  s, problem = problem_of(preset, seed)
  bounds = lagrangian_bound.relaxed(problem)
  heads, tails = halves.halves(bounds, _ALL, -math.inf)
  assert heads.dropped == tails.dropped == -math.inf
  indices = (a.index for a in every_architecture(s))
  best = max(problem.value(i) for i in indices if problem.kept(i))
  assert _joined(bounds, heads, tails).max() == pytest.approx(best)


@pytest.mark.parametrize('preset', SPACES)
def test_what_is_left_out_has_no_higher_bound_than_is_said(preset):
  _, problem = problem_of(preset, 0)
  bounds = lagrangian_bound.relaxed(problem)
  everything = halves.halves(bounds, _ALL, -math.inf)
  few = halves.halves(bounds, 1, -math.inf)
  assert all(len(part.node) <= 1 for part in few)
  dropped = max(part.dropped for part in few)
  lost = _joined(bounds, *everything).max()
  found = _joined(bounds, *few)
  assert max(found.max(initial=-math.inf), dropped) >= lost - 1e-9


def test_without_time_there_are_none():
  _, problem = problem_of(SPACES[0], 0)
  bounds = lagrangian_bound.relaxed(problem)
  assert halves.halves(bounds, 9, -math.inf, time.monotonic() - 1) is None

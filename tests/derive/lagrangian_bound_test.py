"""The bound by prices: above every architecture that keeps the limits."""

import numpy as np
import pytest

from nasjax import spaces
from nasjax.derive import lagrangian_bound
from nasjax.derive.problem import Problem, scores_of
from tests.derive.derive_cases import costs_of, drawn_alphas, every_architecture

# Of one pattern: patterns are solved one by one.
SPACES = [spaces.tiny, spaces.tiny_width]


def problem_of(preset, seed, share=0.5):
  s, (macs, params, _) = costs_of(preset)
  scores = scores_of(s, drawn_alphas(s, np.random.default_rng(seed)))
  limits = {}
  for c in (macs, params):
    low, high = c.bounds()
    limits[c] = low + share * (high - low)
  return s, Problem(scores, limits)


@pytest.mark.parametrize('preset', SPACES)
@pytest.mark.parametrize('seed', range(10))
def test_nothing_that_keeps_the_limits_is_above_the_bound(preset, seed):
  s, problem = problem_of(preset, seed)
  indices = [a.index for a in every_architecture(s)]
  bounds = lagrangian_bound.relaxed(problem)
  bound = bounds.after[0].max() + bounds.corner
  assert bound == pytest.approx(bounds.before[-1].max() + bounds.corner)
  best = max(problem.value(i) for i in indices if problem.kept(i))
  assert best <= bound + 1e-9
  # Prices say something: without them the bound is the unlimited optimum.
  free = max(map(problem.value, indices))
  assert bound <= free + 1e-9


@pytest.mark.parametrize('preset', SPACES)
def test_limits_below_every_network_are_proven_to_be_so(preset):
  _, problem = problem_of(preset, 0, share=-0.01)
  assert lagrangian_bound.relaxed(problem) is None

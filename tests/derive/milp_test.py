"""The mixed-integer program, held to enumeration."""

import math

import numpy as np
import pytest

from nasjax.derive import milp
from nasjax.derive.found import NEVER
from nasjax.derive.problem import Problem, scores_of
from tests.derive.derive_cases import (
  TINY,
  costs_of,
  drawn_alphas,
  every_architecture,
)


def _problem(preset, seed, share=0.5):
  s, (macs, params, _) = costs_of(preset)
  scores = scores_of(s, drawn_alphas(s, np.random.default_rng(seed)))
  low, high = macs.bounds()
  limits = {macs: low + share * (high - low), params: params.bounds()[1]}
  return s, Problem(scores, limits)


@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('seed', range(5))
def test_the_most_probable_within_limits_is_found(preset, seed):
  s, problem = _problem(preset, seed)
  kept = [a.index for a in every_architecture(s) if problem.kept(a.index)]
  found = milp.best(problem)
  assert problem.kept(found.index)
  assert problem.value(found.index) == max(map(problem.value, kept))


@pytest.mark.parametrize('preset', TINY)
def test_a_cost_is_minimised_instead_of_the_scores(preset):
  s, problem = _problem(preset, 0)
  macs, params = problem.limits
  kept = [a.index for a in every_architecture(s) if problem.kept(a.index)]
  found = milp.best(problem, params)
  assert params.at(found.index) == min(map(params.at, kept))
  assert macs.at(found.index) <= problem.limits[macs]


@pytest.mark.parametrize('preset', TINY)
def test_below_the_smallest_nothing_is_allowed(preset):
  _, problem = _problem(preset, 0, share=-0.01)
  assert milp.best(problem) == NEVER
  assert NEVER.bound == -math.inf

"""The frontier is brute force at every budget."""

import itertools

import numpy as np
import pytest

from nasjax import cost, derive, space, spaces
from tests.conftest import refused
from tests.derive.derive_cases import (
  PRESETS,
  TINY,
  costs_of,
  drawn_alphas,
  every_architecture,
  wide_table,
)


@pytest.mark.parametrize('preset', TINY)
def test_pareto_is_brute_force_at_every_budget(preset):
  s, costs = costs_of(preset)
  every = every_architecture(s)
  rng = np.random.default_rng(3)
  for case in range(10):
    c = costs[case % 2]
    alphas = drawn_alphas(s, rng)
    points = derive.pareto(s, alphas, c)
    assert points[-1].architecture == space.argmax(s, alphas)
    scores = {a: derive.log_prob(a, alphas) for a in every}
    for budget in sorted({c.exact(a) for a in every}):
      if budget > points[-1].cost:
        break
      point = derive.within_budget(points, budget)
      best = max(scores[a] for a in every if c.exact(a) <= budget)
      assert point.log_prob == pytest.approx(best, abs=1e-9)
    for point in points:
      assert point.cost == c.exact(point.architecture)
      assert point.log_prob == pytest.approx(scores[point.architecture])
    for below, above in itertools.pairwise(points):
      assert below.cost < above.cost
      assert below.log_prob < above.log_prob


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('preset', PRESETS)
def test_pareto_and_the_solver_agree(preset):
  """Two independent algorithms, on spaces too large to enumerate."""
  s, (macs, _, _) = costs_of(preset)
  rng = np.random.default_rng(5)
  alphas = drawn_alphas(s, rng)
  points = derive.pareto(s, alphas, macs)
  for budget in rng.uniform(points[0].cost, points[-1].cost, 5):
    point = derive.within_budget(points, budget)
    found = derive.within(s, alphas, {macs: budget})
    score = derive.log_prob(found, alphas)
    assert point.log_prob == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize('preset', [*TINY, spaces.mobile_small])
def test_within_is_the_frontier_at_each_of_its_costs_and_a_unit_below(preset):
  s = preset()
  for seed in range(22, 25):
    rng = np.random.default_rng(seed)
    energy, alphas = wide_table(s, rng), drawn_alphas(s, rng, 1.0)
    points = derive.pareto(s, alphas, energy)
    for point in points[:: 1 + len(points) // 10]:
      for limit in (point.cost, point.cost - 1):
        if limit < points[0].cost:
          continue
        score = derive.within_budget(points, limit).log_prob
        found = derive.within(s, alphas, {energy: limit})
        assert energy.exact(found) <= limit
        assert derive.log_prob(found, alphas) == pytest.approx(score, abs=1e-9)


def test_pareto_of_choices_that_cost_nothing_takes_the_most_probable():
  s = spaces.tiny()
  free = cost.Cost('free', 'units', (cost.Table((), (), (7,)),))
  alphas = drawn_alphas(s, np.random.default_rng(6))
  (point,) = derive.pareto(s, alphas, free)
  assert (point.cost, point.architecture) == (7, space.argmax(s, alphas))


def test_budgets_beyond_a_frontier_are_refused_with_what_would_help():
  s, (macs, _, memory) = costs_of(spaces.tiny)
  alphas = drawn_alphas(s, np.random.default_rng(7))
  points = derive.pareto(s, alphas, macs)
  most = points[-1].cost
  refused(
    f'beyond {most}.*search again, with a higher limit',
    derive.within_budget,
    points,
    most + 1,
  )
  low = points[0].cost
  refused(f'cheapest needs {low}', derive.within_budget, points, low - 1)
  with pytest.raises(ValueError, match='additive'):
    derive.pareto(s, alphas, memory)

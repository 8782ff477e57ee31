"""Deriving: limits are kept, and nothing more probable keeps them."""

import collections
import dataclasses
import functools
import itertools

import numpy as np
import pytest
from scipy import stats

from nasjax import cost, derive, space, spaces, zoo
from nasjax.errors import InputError
from tests.conftest import refused

TINY = [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
PRESETS = [
  spaces.mobile_small,
  spaces.mobile_224,
  spaces.fbnet,
  spaces.proxylessnas,
  spaces.mobilenet_v3,
  spaces.mobile_width,
  spaces.mobile_width_small,
  spaces.mobile_macro,
  spaces.mobile_macro_small,
]


def _every(s):
  sizes = (range(len(options)) for options in s.choices.values())
  return [
    space.Architecture.from_indices(s, indices)
    for indices in itertools.product(*sizes)
  ]


def _alphas(s, rng, scale=2.0):
  return {k: scale * rng.normal(size=len(n)) for k, n in s.choices.items()}


def _limit(c, rng):
  low, high = c.bounds()
  return int(low + rng.uniform(-0.1, 1.1) * (high - low))


@pytest.mark.parametrize('preset', TINY)
def test_200_random_cases_equal_brute_force(preset):
  s = preset()
  macs, params, memory = cost.macs(s), cost.params(s), cost.memory(s)
  every = _every(s)
  rng = np.random.default_rng(0)
  # Additive as the first two are, and unlike them of no network's making.
  numbers = {
    k: {n: int(rng.integers(1, 100)) for n in names}
    for k, names in s.choices.items()
  }
  price = cost.table(s, 'price', 'EUR', numbers)
  infeasible = 0
  for case in range(200):
    alphas = _alphas(s, rng)
    limits = {macs: _limit(macs, rng)}
    if case % 2:
      limits[params] = _limit(params, rng)
    if case % 4 > 1:
      third = memory if case % 4 == 3 else price
      limits[third] = _limit(third, rng)
    if case % 8 == 7:
      limits[price] = _limit(price, rng)
    kept = [
      derive.log_prob(a, alphas)
      for a in every
      if all(c.exact(a) <= limit for c, limit in limits.items())
    ]
    if not kept:
      infeasible += 1
      with pytest.raises(InputError, match='no architecture'):
        derive.within(s, alphas, limits)
      continue
    found = derive.within(s, alphas, limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())
    assert derive.log_prob(found, alphas) == pytest.approx(max(kept), abs=1e-9)
  assert 0 < infeasible < 100  # Both outcomes were seen.


@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('scale', [1e-3, 1e-6, 1e-7])
def test_alphas_that_hardly_differ_are_told_apart(preset, scale):
  """As at the start of a search; the solver has a tolerance of its own."""
  s, (macs, _, _) = _costs(preset)
  every = _every(s)
  rng = np.random.default_rng(0)
  for _ in range(40):
    alphas = _alphas(s, rng, scale)
    limit = macs.exact(every[rng.integers(len(every))])
    found = derive.within(s, alphas, {macs: limit})
    best = max(
      derive.log_prob(a, alphas) for a in every if macs.exact(a) <= limit
    )
    score = derive.log_prob(found, alphas)
    assert score == pytest.approx(best, abs=1e-5 * scale, rel=0)


@functools.cache
def _costs(preset):
  s = preset()
  return s, (cost.macs(s), cost.params(s), cost.memory(s))


@pytest.mark.slow
@pytest.mark.parametrize('preset', PRESETS)
def test_one_to_three_limits_are_never_exceeded(preset, derivations):
  """Limits are those that some random architecture keeps, so one exists."""
  s, costs = _costs(preset)
  rng = np.random.default_rng(1)
  sizes = [len(options) for options in s.choices.values()]
  for case in range(derivations):
    kept = space.Architecture.from_indices(s, [rng.integers(n) for n in sizes])
    order = rng.permutation(3)[: 1 + case % 3]
    limits = {costs[i]: costs[i].exact(kept) for i in order}
    alphas = _alphas(s, rng)
    found = derive.within(s, alphas, limits)
    assert all(c.exact(found) <= limit for c, limit in limits.items())
    # Nothing that is known to keep them is more probable.
    score = derive.log_prob(found, alphas)
    assert score >= derive.log_prob(kept, alphas) - 1e-9
    if case % 10 == 0:
      for c in costs[:2]:
        filled = derive.within(s, alphas, limits, fill=0.9)
        assert all(c.exact(filled) <= limit for c, limit in limits.items())
        assert derive.log_prob(filled, alphas) <= score + 1e-9


@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('fill', [0.7, 0.95, 1.0])
def test_filled_is_the_most_probable_that_uses_its_limit(preset, fill):
  s, (macs, params, memory) = _costs(preset)
  every = _every(s)
  rng = np.random.default_rng(2)
  for case in range(40):
    alphas = _alphas(s, rng)
    kept = every[rng.integers(len(every))]
    limits = {c: c.exact(kept) for c in (macs, params, memory)[: 1 + case % 3]}
    found = derive.within(s, alphas, limits, fill=fill)
    wanted = [
      derive.log_prob(a, alphas)
      for a in every
      if all(c.exact(a) <= limit for c, limit in limits.items())
      # The maximum does not count as used: memory is not additive.
      and any(c.exact(a) >= fill * v for c, v in list(limits.items())[:2])
    ]
    assert wanted  # The architecture that the limits are from is one.
    score = derive.log_prob(found, alphas)
    assert score == pytest.approx(max(wanted), abs=1e-9)


def test_what_no_architecture_can_fill_is_derived_without():
  s, (macs, _, _) = _costs(spaces.tiny)
  alphas = _alphas(s, np.random.default_rng(0))
  limits = {macs: 10 * macs.bounds()[1]}
  assert derive.within(s, alphas, limits, fill=0.9) == space.argmax(s, alphas)
  with pytest.raises(ValueError, match=r'fill of 0 to 1, got 1\.5'):
    derive.within(s, alphas, limits, fill=1.5)


def test_a_certificate_has_the_numbers_of_a_recount():
  s, (macs, params, memory) = _costs(spaces.mobile_small)
  rng = np.random.default_rng(4)
  exceeded = 0
  for _ in range(20):
    alphas = _alphas(s, rng)
    limits = {macs: 1_000_000, params: 60_000, memory: memory.bounds()[1]}
    found = derive.within(s, alphas, limits)
    plain = space.argmax(s, alphas)
    certificate = derive.certificate(found, alphas, limits)
    assert certificate.log_prob == derive.log_prob(found, alphas)
    assert certificate.argmax_log_prob >= certificate.log_prob
    assert list(certificate.kept) == ['macs', 'params', 'memory']
    for c, limit in limits.items():
      kept = certificate.kept[c.name]
      counted = {'macs': cost.macs, 'params': cost.params}.get(
        c.name, cost.memory
      )(space.fix(s, found)).constant
      assert (kept.cost, kept.limit, kept.unit) == (counted, limit, c.unit)
      assert kept.slack == limit - counted >= 0
      assert kept.argmax_cost == c.exact(plain)
      assert kept.argmax_excess == max(0, c.exact(plain) - limit)
      exceeded += kept.argmax_excess > 0
    if macs.exact(plain) > 1_000_000:
      with pytest.raises(ValueError, match='macs requires at most 1000000'):
        derive.certificate(plain, alphas, limits)
  assert exceeded > 10


def test_a_certificate_of_two_costs_of_one_name_is_refused():
  s, (macs, _, _) = _costs(spaces.tiny)
  a = space.Architecture.from_indices(s, (0, 0, 0))
  ones = {k: dict.fromkeys(n, 1) for k, n in s.choices.items()}
  limits = {macs: 10**9, cost.table(s, 'macs', 'mJ', ones): 3}
  with pytest.raises(ValueError, match='several of macs'):
    derive.certificate(a, space.init_alphas(s), limits)


# --- From one search, every budget -------------------------------------------


@pytest.mark.parametrize('preset', TINY)
def test_pareto_is_brute_force_at_every_budget(preset):
  s, costs = _costs(preset)
  every = _every(s)
  rng = np.random.default_rng(3)
  for case in range(10):
    c = costs[case % 2]
    alphas = _alphas(s, rng)
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


@pytest.mark.parametrize('preset', PRESETS)
def test_pareto_and_the_solver_agree(preset):
  """Two independent algorithms, on spaces too large to enumerate."""
  s, (macs, _, _) = _costs(preset)
  rng = np.random.default_rng(5)
  alphas = _alphas(s, rng)
  points = derive.pareto(s, alphas, macs)
  for budget in rng.uniform(points[0].cost, points[-1].cost, 5):
    point = derive.within_budget(points, budget)
    found = derive.within(s, alphas, {macs: budget})
    score = derive.log_prob(found, alphas)
    assert point.log_prob == pytest.approx(score, abs=1e-9)


def _wide_table(s, rng):
  """A cost whose numbers differ by less than any tolerance of a solver."""
  numbers = {
    k: {o: int(rng.integers(0, 10**11)) for o in names}
    for k, names in s.choices.items()
  }
  return cost.table(s, 'energy', 'nJ', numbers)


@pytest.mark.parametrize('preset', [*TINY, spaces.mobile_small])
def test_within_is_the_frontier_at_each_of_its_costs_and_a_unit_below(preset):
  s = preset()
  for seed in range(22, 25):
    rng = np.random.default_rng(seed)
    energy, alphas = _wide_table(s, rng), _alphas(s, rng, 1.0)
    points = derive.pareto(s, alphas, energy)
    for point in points[:: 1 + len(points) // 10]:
      for limit in (point.cost, point.cost - 1):
        if limit < points[0].cost:
          continue
        score = derive.within_budget(points, limit).log_prob
        found = derive.within(s, alphas, {energy: limit})
        assert energy.exact(found) <= limit
        assert derive.log_prob(found, alphas) == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize('preset', TINY)
def test_what_has_to_be_used_is_exact_to_the_unit(preset):
  s = preset()
  every = _every(s)
  rng = np.random.default_rng(8)
  energy = _wide_table(s, rng)
  by_cost = sorted(every, key=energy.exact)
  for _ in range(10):
    alphas = _alphas(s, rng)
    fullest = by_cost[rng.integers(len(every))]
    limit = energy.exact(fullest)
    found = derive.within(s, alphas, {energy: limit}, fill=1.0)
    assert energy.exact(found) == limit
    # Dearer by a unit, and nothing uses all of it any more.
    found = derive.within(s, alphas, {energy: limit + 1}, fill=1.0)
    best = max(
      derive.log_prob(a, alphas) for a in every if energy.exact(a) <= limit
    )
    assert derive.log_prob(found, alphas) == pytest.approx(best, abs=1e-9)


def test_what_alphas_do_not_tell_apart_is_kept_to_the_unit_too():
  """Everything is as probable, and much is over by less than a tolerance."""
  s = spaces.fbnet()
  rng = np.random.default_rng(9)
  energy, flat = _wide_table(s, rng), _alphas(s, rng, 0.0)
  low, high = energy.bounds()
  for limit in (low, low + 1, (low + high) // 2):
    assert energy.exact(derive.within(s, flat, {energy: limit})) <= limit


def test_pareto_of_choices_that_cost_nothing_takes_the_most_probable():
  s = spaces.tiny()
  free = cost.Cost('free', 'units', (cost.Table((), (), (7,)),))
  alphas = _alphas(s, np.random.default_rng(6))
  (point,) = derive.pareto(s, alphas, free)
  assert (point.cost, point.architecture) == (7, space.argmax(s, alphas))


def test_budgets_beyond_a_frontier_are_refused_with_what_would_help():
  s, (macs, _, memory) = _costs(spaces.tiny)
  alphas = _alphas(s, np.random.default_rng(7))
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


# --- Random architectures ----------------------------------------------------


@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize(
  ('number', 'fill'), [(1, 0.0), (1, 0.8), (2, 0.0), (2, 0.8), (3, 0.0)]
)
@pytest.mark.parametrize('place', [0.3, 0.5, 0.9])
def test_samples_are_uniform_among_the_feasible(preset, number, fill, place):
  """Pearson's chi-squared at the 99.9 % level, against enumeration."""
  s, costs = _costs(preset)
  every = _every(s)
  # Tight and loose: there draws are tilted most, down or, to fill, up.
  nth = int(place * len(every))
  limits = {c: sorted(c.exact(a) for a in every)[nth] for c in costs[:number]}
  feasible = [
    a
    for a in every
    if all(c.exact(a) <= limit for c, limit in limits.items())
    and any(c.exact(a) >= fill * limits[c] for c in costs[: min(2, number)])
  ]
  assert len(feasible) < len(every)
  each = 200
  drawn = derive.sample_within(
    s, limits, each * len(feasible), np.random.default_rng(0), fill=fill
  )
  counts = collections.Counter(drawn)
  assert set(counts) == set(feasible)
  if len(feasible) > 1:
    _, p = stats.chisquare([counts[a] for a in feasible])
    assert p > 0.001


@pytest.mark.parametrize('place', [0.02, 0.5, 0.95])
def test_samples_keep_tight_and_loose_limits_of_a_large_space(place):
  s, (macs, params, _) = _costs(spaces.fbnet)
  low, high = macs.bounds()
  limits = {macs: low + place * (high - low), params: params.bounds()[1]}
  drawn = derive.sample_within(
    s, limits, 5, np.random.default_rng(0), distinct=True
  )
  assert len(set(drawn)) == 5
  assert all(macs.exact(a) <= limits[macs] for a in drawn)
  del limits[params]
  drawn = derive.sample_within(
    s, limits, 5, np.random.default_rng(0), fill=0.95
  )
  assert all(0.95 <= macs.exact(a) / limits[macs] <= 1 for a in drawn)


@pytest.mark.parametrize('share', [0.9, 1.0, 1.02])
@pytest.mark.parametrize('fill', [0.0, 0.9, 0.95])
def test_samples_of_two_loose_limits_fill_one_of_them(share, fill):
  """Random architectures are far from them; one draw in a million uses it."""
  s, (macs, params, _) = _costs(spaces.mobile_small)
  limits = {c: share * c.bounds()[1] for c in (macs, params)}
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 20, rng, fill=fill, distinct=True)
  assert len(set(drawn)) == 20
  for a in drawn:
    used = [c.exact(a) / limit for c, limit in limits.items()]
    assert max(used) <= 1
    assert max(used) >= fill


def test_samples_of_a_limit_that_cannot_be_filled_beside_another():
  """Nothing fills the parameters within the MACs: those are filled instead."""
  s, (macs, params, _) = _costs(spaces.mobile_small)
  low, high = macs.bounds()
  limits = {macs: low + (high - low) / 10, params: params.bounds()[1]}
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 20, rng, fill=0.95)
  assert all(0.95 <= macs.exact(a) / limits[macs] <= 1 for a in drawn)


def test_samples_of_the_largest_limit_are_drawn_from_all():
  """Nothing is tilted where nothing can bind: all draws are accepted."""
  s, (macs, params, _) = _costs(spaces.tiny)
  limits = {c: c.bounds()[1] for c in (macs, params)}
  every = _every(s)
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 200 * len(every), rng)
  counts = collections.Counter(drawn)
  _, p = stats.chisquare([counts[a] for a in every])
  assert p > 0.001


def test_samples_of_what_costs_nothing():
  s = spaces.tiny()
  free = {k: dict.fromkeys(n, 0.0) for k, n in s.choices.items()}
  nothing = cost.table(s, 'nothing', 'units', free)
  rng = np.random.default_rng(0)
  assert len(derive.sample_within(s, {nothing: 0}, 3, rng)) == 3


def test_samples_of_a_limit_that_nothing_fills_are_drawn_without():
  s, (macs, _, _) = _costs(spaces.tiny)
  limits = {macs: 2 * macs.bounds()[1]}
  rng = np.random.default_rng(0)
  drawn = derive.sample_within(s, limits, 12, rng, fill=0.98, distinct=True)
  assert set(drawn) == set(_every(s))


def test_samples_that_do_not_exist_are_refused():
  s, (macs, _, _) = _costs(spaces.tiny)
  low, high = macs.bounds()
  rng = np.random.default_rng(0)
  refused(f'{low} to {high}', derive.sample_within, s, {macs: low - 1}, 1, rng)
  assert derive.sample_within(s, {macs: low}, 0, rng) == []
  few = functools.partial(derive.sample_within, distinct=True)
  refused('found 1 of 2 random.* ask for fewer$', few, s, {macs: low}, 2, rng)
  most = functools.partial(few, fill=1.0)
  refused('of which 100% is used.*lower fill', most, s, {macs: low}, 2, rng)


# --- What is refused, and what does not matter -------------------------------


def test_a_limit_can_be_met_to_the_unit(draw):
  s = spaces.mobile_small()
  macs = cost.macs(s)
  a = draw(s)
  alphas = {k: 9 * v for k, v in space.one_hot(a).items()}
  assert derive.within(s, alphas, {macs: macs.exact(a)}) == a
  assert derive.within(s, alphas, {macs: macs.exact(a) - 1}) != a


def test_without_limits_it_is_the_argmax():
  s = spaces.mobile_small()
  alphas = _alphas(s, np.random.default_rng(2))
  assert derive.within(s, alphas, {}) == space.argmax(s, alphas)


def test_an_infinite_limit_is_none():
  s, (macs, params, memory) = _costs(spaces.mobile_small)
  alphas = _alphas(s, np.random.default_rng(2))
  limits = dict.fromkeys((macs, params, memory), float('inf'))
  for fill in (0.0, 0.9):
    assert derive.within(s, alphas, limits, fill=fill) == space.argmax(
      s, alphas
    )
  rng = np.random.default_rng(0)
  assert len(derive.sample_within(s, limits, 3, rng)) == 3
  limits[macs] = macs.bounds()[0]
  found = derive.within(s, alphas, limits)
  assert derive.sample_within(s, limits, 1, rng, fill=0.5) == [found]


def test_a_limit_that_is_not_a_number_is_refused():
  s, (macs, _, _) = _costs(spaces.tiny)
  limits = {macs: float('nan')}
  says = 'the limit on macs is nan'
  refused(says, derive.within, s, space.init_alphas(s), limits)
  rng = np.random.default_rng(0)
  refused(says, derive.sample_within, s, limits, 1, rng)


def test_bounds_of_floats_can_be_met():
  """A sum of floats depends on its order: they are of the one of `exact`."""
  s = spaces.mobile_small()
  for seed in range(30):
    rng = np.random.default_rng(seed)
    numbers = {k: dict.fromkeys(n) for k, n in s.choices.items()}
    for row in numbers.values():
      row.update({o: float(rng.random()) for o in row})
    energy = cost.table(s, 'energy', 'mJ', numbers)
    low, high = energy.bounds()
    alphas = _alphas(s, rng)
    assert energy.exact(derive.within(s, alphas, {energy: low})) == low
    found = derive.within(s, alphas, {energy: high}, fill=1.0)
    assert energy.exact(found) == high


def test_a_network_is_all_that_can_be_derived_from_it():
  network = zoo.mobilenet_v2()
  macs = cost.macs(network)
  limits = {macs: macs.constant}
  only = space.Architecture(network, ())
  rng = np.random.default_rng(0)
  assert derive.within(network, {}, limits, fill=1.0) == only
  assert derive.pareto(network, {}, macs) == [(macs.constant, 0.0, only)]
  assert derive.sample_within(network, limits, 3, rng) == [only] * 3
  few = functools.partial(derive.sample_within, rng=rng, distinct=True)
  assert few(network, limits, 1) == [only]
  refused('found 1 of 2 random.* ask for fewer$', few, network, limits, 2)
  refused('no architecture has macs', few, network, {macs: 1}, 1)


def test_what_is_of_another_space_is_refused_with_what_is_wrong():
  s, (macs, _, _) = _costs(spaces.tiny)
  alphas = _alphas(s, np.random.default_rng(0))
  other = _costs(spaces.mobile_small)[1][0]
  of_space = "macs is a cost of 'mobile_small' .*, not of 'tiny'"
  with pytest.raises(ValueError, match=of_space):
    derive.within(s, alphas, {other: 1e9})
  with pytest.raises(ValueError, match=of_space):
    derive.sample_within(s, {other: 1e9}, 1, np.random.default_rng(0))
  with pytest.raises(ValueError, match=of_space):
    derive.pareto(s, alphas, other)
  anyones = dataclasses.replace(other, space=None)
  options = r'costs of tiny, got macs with stage1_1 \(7 options\)'
  with pytest.raises(ValueError, match=options):
    derive.within(s, alphas, {anyones: 1e9})
  alphas['stage2_1'] = np.zeros(9)
  for derived in (
    lambda: derive.within(s, alphas, {macs: 1e9}),
    lambda: derive.pareto(s, alphas, macs),
  ):
    with pytest.raises(ValueError, match=r'stage2_1 of shape .*got \(9,\)'):
      derived()
  del alphas['stage2_1']
  with pytest.raises(ValueError, match='got none of stage2_1'):
    derive.within(s, alphas, {macs: 1e9})


def test_temperature_does_not_change_what_is_derived():
  s = spaces.mobile_small()
  macs = cost.macs(s)
  alphas = _alphas(s, np.random.default_rng(3))
  cold = {k: v / 0.1 for k, v in alphas.items()}
  limits = {macs: sum(macs.bounds()) // 3}
  assert derive.within(s, alphas, limits) == derive.within(s, cold, limits)


def test_an_unreachable_limit_names_the_reachable_range():
  s = spaces.tiny()
  macs = cost.macs(s)
  low, high = macs.bounds()
  with pytest.raises(InputError, match=f'{low} to {high}'):
    derive.within(s, space.init_alphas(s), {macs: low - 1})


def test_limits_that_only_together_cannot_be_kept_are_said_so():
  """Two resources of opposite order: cheap in one is dear in the other."""
  s = spaces.tiny()
  names = s.choices
  rising = {k: {o: i for i, o in enumerate(n)} for k, n in names.items()}
  falling = {
    k: {o: len(n) - 1 - i for i, o in enumerate(n)} for k, n in names.items()
  }
  up = cost.table(s, 'up', 'units', rising)
  down = cost.table(s, 'down', 'units', falling)
  with pytest.raises(InputError, match='up is at least 4 units') as e:
    derive.within(s, space.init_alphas(s), {up: 3, down: 0})
  assert 'all limits together' in str(e.value)


def test_alphas_that_are_not_finite_are_refused():
  s = spaces.tiny()
  alphas = {k: np.full(len(n), np.nan) for k, n in s.choices.items()}
  with pytest.raises(ValueError, match='finite'):
    derive.within(s, alphas, {})

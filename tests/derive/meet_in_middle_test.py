"""Deriving ends: in time, with a bound that holds, and at Ctrl-C."""

import itertools
import math
import os
import signal
import threading
import time

import numpy as np
import pytest

from nasjax import cost, derive, ops, space, spaces
from nasjax.derive import (
  layers,
  meet_in_middle,
)
from nasjax.derive.problem import Problem
from nasjax.space import Slot
from tests.conftest import refused

TINY = [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
FILLS = [0.0, 0.5, 0.98, 1.0]


def _every(s):
  sizes = (range(len(options)) for options in s.choices.values())
  return [
    space.Architecture.from_indices(s, indices)
    for indices in itertools.product(*sizes)
  ]


def _alphas(s, rng, scale=1.0):
  return {k: scale * rng.normal(size=len(n)) for k, n in s.choices.items()}


def _table(s, name, number):
  """A cost of one number for each option, of no network's making."""
  numbers = {k: {o: number() for o in n} for k, n in s.choices.items()}
  return cost.table(s, name, 'units', numbers)


def _random(s, rng):
  sizes = [len(options) for options in s.choices.values()]
  return space.Architecture.from_indices(s, [rng.integers(n) for n in sizes])


def _costs(s, rng):
  """Of networks, of floats, of integers without a common factor; a maximum."""
  return [
    cost.macs(s),
    cost.params(s),
    cost.memory(s),
    _table(s, 'float', lambda: float(rng.random())),
    _table(s, 'prime', lambda: int(rng.integers(1, 10**6))),
  ]


def _case(s, costs, rng, case):
  """One to three limits, tight for an architecture or between the bounds."""
  picked = [costs[i] for i in rng.permutation(len(costs))[: 1 + case % 3]]
  kept = _random(s, rng)
  limits = {}
  for c in picked:
    low, high = c.bounds()
    between = low + rng.uniform(0, 1.1) * (high - low)
    limits[c] = c.exact(kept) if rng.random() < 0.7 else between
  return limits


def _kept(a, limits):
  return all(c.exact(a) <= limit for c, limit in limits.items())


# --- Ranking, against enumeration --------------------------------------------


@pytest.mark.quick_every(5)
@pytest.mark.parametrize('preset', [spaces.tiny, spaces.tiny_width])
@pytest.mark.parametrize('widths', [(1,), (3,), (1, 4), meet_in_middle.WIDTHS])
def test_ranking_is_below_the_optimum_and_its_bound_above(preset, widths):
  s = preset()
  every, rng = _every(s), np.random.default_rng(0)
  costs = _costs(s, rng)
  found_gap = infeasible = 0
  for case in range(120):
    scores = _alphas(s, rng, 2.0)
    value = lambda a: sum(scores[k][i] for k, i in a.index.items())  # noqa: B023, E731
    limits = _case(s, costs, rng, case)
    sums = [c for c in limits if c.reduction == 'sum']
    fill = FILLS[case % 4]
    floor = (sums[0], fill * limits[sums[0]]) if sums and fill else None
    allowed = [
      value(a)
      for a in every
      if _kept(a, limits) and (floor is None or floor[0].exact(a) >= floor[1])
    ]
    best = max(allowed, default=-math.inf)
    problem = Problem(scores, limits, floor)
    found = meet_in_middle.best(problem, widths=widths)
    got = -math.inf
    if found.index is not None:
      a = space.Architecture.from_indices(s, list(found.index.values()))
      assert _kept(a, limits)
      assert floor is None or floor[0].exact(a) >= floor[1]
      got = value(a)
    infeasible += best == -math.inf
    found_gap += got < found.bound - 1e-9
    assert got <= best + 1e-9
    assert found.bound >= best - 1e-9
    if widths == meet_in_middle.WIDTHS:
      assert got == pytest.approx(best, abs=1e-9)
      assert found.bound == pytest.approx(best, abs=1e-9)
    # What is no better than the best is not there to be found.
    if best > -math.inf:
      more = best + 1e-9  # Beyond rounding.
      again = meet_in_middle.best(problem, above=more, widths=widths)
      assert again.index is None
      assert again.bound >= best
  assert infeasible > 5
  if widths == meet_in_middle.WIDTHS:
    assert found_gap == 0
  elif len(every) > 12:  # Short lists prove not all.
    assert found_gap > 0


@pytest.mark.quick_every(5)
@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('fill', FILLS)
def test_what_is_proven_is_the_best_of_all(preset, fill):
  s = preset()
  every, rng = _every(s), np.random.default_rng(1)
  costs = _costs(s, rng)
  for case in range(30):
    # Spread as much as scores that forbid options are, too.
    alphas = _alphas(s, rng, 1e6 if case % 5 == 4 else 1.0)
    limits = _case(s, costs, rng, case)
    within = [a for a in every if _kept(a, limits)]
    if not within:
      refused('no architecture', derive.solution, s, alphas, limits, fill=fill)
      continue
    sums = [c for c in limits if c.reduction == 'sum']
    filled = [
      a
      for a in within
      if not sums or any(c.exact(a) >= fill * limits[c] for c in sums)
    ]
    best = max(derive.log_prob(a, alphas) for a in filled or within)
    for seconds in (10.0, 0.0):
      found = derive.solution(s, alphas, limits, fill=fill, seconds=seconds)
      a, gap, fill_open = found
      value = derive.log_prob(a, alphas)
      assert _kept(a, limits)
      # Short of time what fills no limit may be returned, and it is said.
      assert fill_open or value <= best + 1e-9 * abs(best)
      assert best <= value + gap + 1e-9 * abs(best)
      if seconds:
        assert a in (filled or within)
        assert value == pytest.approx(best, rel=1e-9, abs=1e-9)
        assert (gap, fill_open) == (0.0, False)


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('preset', TINY)
@pytest.mark.parametrize('scale', [1e-3, 1e-7])
@pytest.mark.parametrize('fill', [0.98, 1.0])
def test_alphas_that_hardly_differ_are_ranked(preset, scale, fill):
  s = preset()
  every, rng = _every(s), np.random.default_rng(9)
  macs = cost.macs(s)
  for _ in range(20):
    alphas = _alphas(s, rng, scale)
    limit = macs.exact(_random(s, rng))
    filled = [a for a in every if fill * limit <= macs.exact(a) <= limit]
    best = max(derive.log_prob(a, alphas) for a in filled)
    found = derive.within(s, alphas, {macs: limit}, fill=fill)
    score = derive.log_prob(found, alphas)
    assert score == pytest.approx(best, abs=1e-5 * scale, rel=0)


@pytest.mark.parametrize('preset', [spaces.mobile_small, spaces.mobile_width])
def test_a_whole_cost_is_reached_or_not_as_some_architecture_has_it(preset):
  s = preset()
  rng = np.random.default_rng(2)
  params = cost.params(s)
  named = dict(zip(s.choices, _alphas(s, rng).values(), strict=True))
  graph = layers.layers(named, [params], {})
  have = {params.exact(_random(s, rng)) for _ in range(200)}
  for number in have:
    rest = number - params.constant
    assert layers.reaches(graph, 0, rest, rest)
    # All differ by multiples of 4.
    assert not layers.reaches(graph, 0, rest + 1, rest + 3)
  low, high = (b - params.constant for b in params.bounds())
  assert not layers.reaches(graph, 0, low - 9, low - 1)
  assert not layers.reaches(graph, 0, high + 1, high + 9)


# --- What used to run without end --------------------------------------------


def _dense(s, alphas, c, limit):
  """Largest log-probability at a cost of exactly `limit`, by a table of all.

  For costs of one table for each choice.
  """
  values = {t.axes[0]: np.array(t.values) for t in c.tables if t.axes}
  unit = math.gcd(*(int(x) for v in values.values() for x in v - v.min()))
  rest = limit - c.constant - sum(int(v.min()) for v in values.values())
  if rest < 0 or rest % unit:
    return -math.inf
  best = np.full(rest // unit + 1, -np.inf)
  best[0] = 0
  for name in s.choices:
    scores = np.log(np.exp(alphas[name]) / np.exp(alphas[name]).sum())
    after = np.full_like(best, -np.inf)
    own = values.get(name, np.zeros(len(scores), int))
    for step, score in zip((own - own.min()) // unit, scores, strict=True):
      if step < len(best):
        shifted = best[: len(best) - step] + score
        np.maximum(after[step:], shifted, out=after[step:])
    best = after
  return best[-1]


@pytest.mark.parametrize(
  ('preset', 'limit'),
  [
    (spaces.mobile_224, 150_000_000),
    (spaces.mobile_224, None),
    (spaces.fbnet, 300_000_000),
    (spaces.fbnet, None),
    (spaces.proxylessnas, None),
  ],
)
@pytest.mark.parametrize('scale', [0.0, 1.0])
def test_a_limit_is_filled_to_the_unit_or_it_is_proven_that_none_does(
  preset, limit, scale
):
  s = preset()
  macs, rng = cost.macs(s), np.random.default_rng(3)
  limit = limit or macs.exact(_random(s, rng))
  alphas = _alphas(s, rng, scale)
  best = _dense(s, alphas, macs, limit)
  found = derive.solution(s, alphas, {macs: limit}, fill=1.0)
  assert (found.gap, found.fill_open) == (0.0, False)
  if best == -math.inf:
    assert found.architecture == derive.within(s, alphas, {macs: limit})
    return
  assert macs.exact(found.architecture) == limit
  score = derive.log_prob(found.architecture, alphas)
  assert score == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize('fill', [0.999, 1.0])
def test_two_limits_are_filled_as_enumeration_says(fill):
  """3.6 million architectures, in one array for each number."""
  s = spaces.mobile_small()
  limits = {cost.macs(s): 1_600_000, cost.params(s): 60_000}
  alphas = _alphas(s, np.random.default_rng(4))

  def everywhere(tables, constant):
    total = np.full(1, constant)
    for name in s.choices:
      total = np.add.outer(total, tables[name]).ravel()
    return total

  sums = {
    c: everywhere(
      {t.axes[0]: np.array(t.values) for t in c.tables if t.axes}, c.constant
    )
    for c in limits
  }
  logs = {k: a - np.log(np.exp(a).sum()) for k, a in alphas.items()}
  scores = everywhere(logs, 0.0)
  allowed = np.all([sums[c] <= v for c, v in limits.items()], axis=0)
  used = np.any([sums[c] >= fill * v for c, v in limits.items()], axis=0)
  found = derive.solution(s, alphas, limits, fill=fill)
  assert (found.gap, found.fill_open) == (0.0, False)
  assert _kept(found.architecture, limits)
  assert any(c.exact(found.architecture) >= fill * limits[c] for c in limits)
  score = derive.log_prob(found.architecture, alphas)
  assert score == pytest.approx(scores[allowed & used].max(), abs=1e-9)


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('scale', [0.0, 1.0])
def test_widths_and_patterns_fill_a_limit_to_the_unit(scale):
  s = spaces.mobile_macro_small()
  macs, rng = cost.macs(s), np.random.default_rng(5)
  alphas = _alphas(s, rng, scale)
  for limit in (1_500_000, macs.exact(_random(s, rng))):
    found = derive.solution(s, alphas, {macs: limit}, fill=1.0)
    assert macs.exact(found.architecture) == limit
    assert (found.gap, found.fill_open) == (0.0, False)
    loose = derive.within(s, alphas, {macs: limit})
    best, most = (
      derive.log_prob(a, alphas) for a in (found.architecture, loose)
    )
    assert best <= most + 1e-9
    for leader in derive.leaders(s, alphas, {macs: limit}, fill=1.0):
      assert macs.exact(leader) == limit
      assert derive.log_prob(leader, alphas) <= best + 1e-9
  # Two apart from any cost, and so not to be filled.
  odd = derive.solution(s, alphas, {macs: limit + 2}, fill=1.0)
  assert macs.exact(odd.architecture) < limit + 2
  assert (odd.gap, odd.fill_open) == (0.0, False)


@pytest.fixture(scope='module')
def ten():
  """60 slots of 12 options, and ten limits that nothing proves much of."""
  blocks = tuple(
    ops.MBConv(kernel=kernel, expand=expand)
    for kernel in (3, 5, 7)
    for expand in (1, 2, 3, 6)
  )
  slots = tuple(Slot(f's{i}', blocks, 16, 1) for i in range(60))
  s = space.Space(name='ten', slots=slots, image_size=8, channels=3)
  rng = np.random.default_rng(6)
  costs = [
    _table(s, f'c{i}', lambda: int(rng.integers(1, 1000))) for i in range(10)
  ]
  alphas, kept = _alphas(s, rng), _random(s, rng)
  return s, alphas, {c: 0.8 * c.exact(kept) for c in costs}


@pytest.mark.slow
@pytest.mark.parametrize('fill', [0.0, 0.98, 1.0])
def test_ten_limits_end_in_time_with_a_gap_that_holds(ten, fill):
  s, alphas, limits = ten
  start = time.monotonic()
  short = derive.solution(s, alphas, limits, fill=fill, seconds=0)
  longer = derive.solution(s, alphas, limits, fill=fill, seconds=2)
  assert time.monotonic() - start < 40  # It took as long as it likes.
  values = [derive.log_prob(a, alphas) for a, _, _ in (short, longer)]
  for (a, gap, is_open), value in zip((short, longer), values, strict=True):
    assert _kept(a, limits)
    # What happens to use a limit to the unit may be far below the bound.
    assert 0 < gap < (10 if fill < 1 or is_open else math.inf)
    if fill < 1:  # What either found is possible, so no bound is below it.
      assert value + gap >= max(values) - 1e-9


def test_what_is_not_found_in_time_is_said_to_be_open():
  """Both limits together ask for an odd sum of even numbers."""
  s = spaces.fbnet()
  rng = np.random.default_rng(7)
  up = _table(s, 'up', lambda: 2 * int(rng.integers(0, 10**5)))
  rows = {t.axes[0]: t.values for t in up.tables if t.axes}
  down = cost.table(
    s,
    'down',
    'units',
    {
      k: {o: max(rows[k]) - v for o, v in zip(names, rows[k], strict=True)}
      for k, names in s.choices.items()
    },
  )
  whole = sum(map(max, rows.values()))
  half = up.exact(_random(s, rng)) + 1
  limits = {up: half, down: whole - half}
  refused(
    r'in 0 seconds, and no proof that there is none: raise a limit',
    derive.within,
    s,
    _alphas(s, rng),
    limits,
    seconds=0,
  )


@pytest.mark.parametrize('seconds', [-1, float('nan')])
def test_seconds_are_a_time(seconds):
  s = spaces.tiny()
  alphas = space.init_alphas(s)
  with pytest.raises(ValueError, match=f'0 seconds, got {seconds}'):
    derive.within(s, alphas, {}, seconds=seconds)


def test_ctrl_c_ends_deriving(ten):
  s, alphas, limits = ten
  sent = []

  def interrupt():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  timer = threading.Timer(2.0, interrupt)
  timer.start()
  try:
    with pytest.raises(KeyboardInterrupt):
      derive.within(s, alphas, limits, seconds=20)
    assert time.monotonic() - sent[0] < 2
  finally:
    timer.cancel()
    signal.signal(signal.SIGINT, before)


# --- The certificate ---------------------------------------------------------


def test_a_certificate_says_how_much_is_filled_and_what_is_proven():
  s = spaces.tiny()
  macs, memory = cost.macs(s), cost.memory(s)
  alphas = _alphas(s, np.random.default_rng(8))
  most = macs.bounds()[1]
  for limit, fill in ((most, 0.9), (10 * most, 0.9)):
    limits = {macs: limit, memory: memory.bounds()[1]}
    a, gap, fill_open = derive.solution(s, alphas, limits, fill=fill)
    certificate = derive.certificate(
      a, alphas, limits, fill=fill, gap=gap, fill_open=fill_open
    )
    # The maximum is no share that is used.
    assert certificate.filled == macs.exact(a) / limit
    assert (certificate.filled >= fill) == (limit == most)
    assert (certificate.gap, certificate.fill_open) == (0.0, False)
  plain = derive.certificate(a, alphas, {memory: 10**9})
  assert (plain.filled, plain.gap) == (None, None)

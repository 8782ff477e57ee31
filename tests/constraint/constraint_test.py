"""Constraints: one contract for all forms, and what each promises besides."""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint, cost, relax, space, spaces
from nasjax.constraint import Constraint

LIMIT = 10.0


class Form(NamedTuple):
  """What a form declares.

  Attributes:
    make: the constraint, with a limit of 10 and a task's loss of 1 around it.
    signs: of d loss / d cost below (5), at (10) and above (15) the limit, in
      the first update.
    develops: sign of what a second update at the same cost changes of the
      slope, below, at and above the limit.
    bends: whether the slope jumps at the limit, where it then is one of the
      subgradients.
  """

  make: Constraint
  signs: tuple[int, int, int]
  develops: tuple[int, int, int] = (0, 0, 0)
  bends: bool = False


grown = functools.partial(constraint.lagrangian, LIMIT, rate=0.2)
FORMS = {
  'linear': Form(constraint.linear(2.0, LIMIT), (1, 1, 1)),
  'linear at 0': Form(constraint.linear(0.0, LIMIT), (0, 0, 0)),
  'hinge': Form(constraint.hinge(LIMIT, 2.0), (0, 0, 1), bends=True),
  'absolute': Form(constraint.absolute(LIMIT, 2.0), (-1, 1, 1), bends=True),
  'log_power': Form(constraint.log_power(LIMIT), (1, 1, 1)),
  'log_power, additive': Form(
    constraint.log_power(LIMIT, additive=True), (1, 1, 1)
  ),
  'ratio_power': Form(constraint.ratio_power(LIMIT), (1, 1, 1)),
  'ratio_power, hard': Form(
    constraint.ratio_power(LIMIT, 0.0, 1.0), (0, 0, 1), bends=True
  ),
  'band': Form(constraint.band(LIMIT, 2.0), (-1, 0, 1), bends=True),
  'lagrangian': Form(grown(), (0, 0, 0), (0, 0, 1)),
  'lagrangian, grown': Form(grown(multiplier=1.0), (1, 1, 1), (-1, 0, 1)),
  'lagrangian, equal': Form(grown(equal=True), (0, 0, 0), (-1, 0, 1)),
  'lagrangian, strict': Form(
    grown(multiplier=1.0, follow_strict=True), (1, 1, 1), (-1, 0, 1)
  ),
  'augmented_lagrangian': Form(
    constraint.augmented_lagrangian(LIMIT, 0.2), (0, 0, 1), (0, 0, 1)
  ),
  'augmented_lagrangian, grown': Form(
    constraint.augmented_lagrangian(LIMIT, 0.2, multiplier=1.0),
    (1, 1, 1),
    (-1, 0, 1),
  ),
}
every_form = pytest.mark.parametrize('name', FORMS)
PLACES = (0.5 * LIMIT, LIMIT, 1.5 * LIMIT)


def _pressure(c, cost, state, strict=None):
  """d loss / d cost, and the state afterwards."""
  strict = jnp.float32(cost if strict is None else strict)
  f = lambda x: c.update(jnp.float32(1.0), x, strict, state)  # noqa: E731
  (_, after), slope = jax.value_and_grad(f, has_aux=True)(jnp.float32(cost))
  return float(slope), after


# --- The contract ------------------------------------------------------------


@every_form
def test_pressure_has_the_declared_signs(name):
  c = FORMS[name].make
  slopes = [_pressure(c, x, c.init())[0] for x in PLACES]
  assert tuple(np.sign(slopes)) == FORMS[name].signs


@every_form
def test_pressure_develops_as_declared(name):
  c = FORMS[name].make
  changes = []
  for x in PLACES:
    first, state = _pressure(c, x, c.init())
    changes.append(_pressure(c, x, state)[0] - first)
  assert tuple(np.sign(np.round(changes, 6))) == FORMS[name].develops


@every_form
def test_slope_is_that_of_finite_differences(name, x64):
  form = FORMS[name]
  c = form.make
  state = jax.tree.map(lambda s: s.astype(jnp.float64), c.init())
  for x in (0.5 * LIMIT, 1.001 * LIMIT, 1.5 * LIMIT):
    strict = x
    f = lambda x, strict=strict: c.update(1.0, x, strict, state)[0]  # noqa: E731
    slope = (f(x + 1e-4) - f(x - 1e-4)) / 2e-4
    assert float(jax.grad(f)(x)) == pytest.approx(float(slope), abs=1e-7)


@every_form
def test_slope_at_the_limit_lies_between_its_sides(name):
  c = FORMS[name].make
  below, at, above = (
    _pressure(c, x, c.init())[0] for x in (9.999, 10.0, 10.001)
  )
  assert min(below, above) - 1e-4 <= at <= max(below, above) + 1e-4
  if not FORMS[name].bends:
    assert below == pytest.approx(above, abs=1e-3)


@every_form
@pytest.mark.parametrize('value', [0.0, 1e-30, 1.0, 1e12])
def test_all_is_finite_for_any_cost(name, value):
  c = FORMS[name].make
  slope, state = _pressure(c, value, c.init())
  loss, _ = c.update(jnp.float32(1.0), value, value, state)
  for x in (slope, loss, *jax.tree.leaves(state)):
    assert np.isfinite(x)


@every_form
def test_the_task_is_not_lost(name):
  """Its gradient keeps its sign and stays; a factor may scale it."""
  c = FORMS[name].make
  for x in PLACES:
    f = lambda loss, x=x: c.update(loss, x, x, c.init())[0]  # noqa: E731
    assert float(jax.grad(f)(1.0)) > 0.5


@every_form
def test_state_keeps_its_shape_under_jit(name):
  c = FORMS[name].make
  before = c.init()
  update = jax.jit(c.update)
  loss, after = update(jnp.float32(1.0), jnp.float32(7), jnp.float32(7), before)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  expected, _ = c.update(1.0, 7.0, 7.0, before)
  assert float(loss) == pytest.approx(float(expected), rel=1e-6)
  assert update._cache_size() == 1
  update(loss, loss, loss, after)
  assert update._cache_size() == 1


@every_form
def test_limits_are_data(name):
  """A sweep over limits is one vmapped program, equal to one by one."""
  c = FORMS[name].make
  field = 'limit'
  limits = jnp.array([5.0, 10.0, 20.0])
  states = jax.vmap(lambda x: c.init()._replace(**{field: x}))(limits)
  losses, _ = jax.vmap(lambda s: c.update(1.0, 12.0, 12.0, s))(states)
  each = [
    c.update(1.0, 12.0, 12.0, c.init()._replace(**{field: x}))[0]
    for x in limits
  ]
  np.testing.assert_allclose(losses, each, rtol=1e-6)
  if any(FORMS[name].signs):
    assert len(set(losses.tolist())) > 1


@every_form
def test_nothing_in_the_state_is_differentiated(name):
  c = FORMS[name].make

  def state(x):
    return sum(jax.tree.leaves(c.update(1.0, x, x, c.init())[1]))

  assert float(jax.grad(state)(15.0)) == 0.0


# --- What each form is -------------------------------------------------------


@pytest.mark.parametrize(
  ('make', 'at_5', 'at_20'),
  [
    (constraint.linear(2.0, 10.0), 3 + 1, 3 + 4),
    (constraint.hinge(10.0, 2.0), 3, 3 + 2),
    (constraint.absolute(10.0, 2.0), 3 + 1, 3 + 2),
    (
      constraint.log_power(10.0, 2.0, 0.5),
      3 * 0.5 * (np.log(6) / np.log(11)) ** 2,
      3 * 0.5 * (np.log(21) / np.log(11)) ** 2,
    ),
    (
      constraint.log_power(10.0, 2.0, 0.5, additive=True),
      3 + 0.5 * (np.log(6) / np.log(11)) ** 2,
      3 + 0.5 * (np.log(21) / np.log(11)) ** 2,
    ),
    (constraint.ratio_power(10.0, 0.5, 2.0), 3 * 0.5**0.5, 3 * 4),
    (constraint.band(10.0, 2.0), 3 + 2 * np.log(2), 3 + 2 * np.log(2)),
    (constraint.lagrangian(10.0, 1.0, 2.0), 3 - 1, 3 + 2),
    (
      constraint.augmented_lagrangian(10.0, 0.5, 0.5, 2.0),
      3 + ((2 - 0.25) ** 2 - 4) / 1.0,
      3 + ((2 + 0.5) ** 2 - 4) / 1.0,
    ),
  ],
)
def test_formulas_by_hand(make, at_5, at_20):
  for value, wanted in ((5.0, at_5), (20.0, at_20)):
    loss, _ = make.update(jnp.float32(3), value, value, make.init())
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_band_looks_at_the_strict_cost_and_pulls_the_expected_one():
  c = constraint.band(10.0, 1.0, tolerance=0.1)
  state = c.init()
  assert _pressure(c, 5.0, state, strict=10.9)[0] == 0
  assert _pressure(c, 5.0, state, strict=11.1)[0] == pytest.approx(1 / 5)
  assert _pressure(c, 15.0, state, strict=8.9)[0] == pytest.approx(-1 / 15)


@pytest.mark.parametrize(
  'make', [constraint.lagrangian, constraint.augmented_lagrangian]
)
def test_duals_follow_the_expected_cost_unless_told(make):
  for follow_strict in (False, True):
    c = make(10.0, 0.5, follow_strict=follow_strict)
    _, by_strict = _pressure(c, 5.0, c.init(), strict=15.0)
    _, by_expected = _pressure(c, 15.0, c.init(), strict=5.0)
    assert (float(by_strict.multiplier) > 0) == follow_strict
    assert (float(by_expected.multiplier) > 0) != follow_strict


def test_lagrangian_grows_above_and_falls_below_the_limit():
  c = constraint.lagrangian(limit=10.0, rate=0.5, multiplier=1.0)
  found = [float(_pressure(c, x, c.init())[1].multiplier) for x in PLACES]
  assert found == [0.75, 1.0, 1.25]


@pytest.mark.parametrize(
  'c',
  [
    constraint.lagrangian(10.0, rate=5.0),
    constraint.augmented_lagrangian(10.0, rate=5.0, penalty=5.0),
  ],
)
def test_an_upper_bound_never_rewards_cost(c):
  state = c.init()
  for _ in range(3):
    slope, state = _pressure(c, 1.0, state)
    assert slope == 0.0
  assert float(state.multiplier) == 0.0
  # A limit that was kept for long is not forgotten.
  for _ in range(2):
    slope, state = _pressure(c, 20.0, state)
  assert slope > 0


@pytest.mark.parametrize(
  ('c', 'target', 'x_wanted', 'wanted'),
  [
    # min (x - 3)^2 with x <= 1: x = 1, and the multiplier is 4 per unit.
    (constraint.lagrangian(1.0, 0.05), 3.0, 1.0, 4.0),
    (constraint.augmented_lagrangian(1.0, 0.05, 2.0), 3.0, 1.0, 4.0),
    # With x <= 4 nothing presses; with x = 4 something pulls, at 2 * 4.
    (constraint.lagrangian(4.0, 0.05), 3.0, 3.0, 0.0),
    (constraint.augmented_lagrangian(4.0, 0.05, 2.0), 3.0, 3.0, 0.0),
    (constraint.lagrangian(4.0, 0.2, equal=True), 3.0, 4.0, -8.0),
  ],
)
def test_duals_find_the_constrained_minimum(c, target, x_wanted, wanted):
  @jax.jit
  def step(x, state):
    f = lambda x: c.update((x - target) ** 2, x, x, state)  # noqa: E731
    g, state = jax.grad(f, has_aux=True)(x)
    return x - 0.05 * g, state

  x, state = jnp.float32(3.0), c.init()
  for _ in range(2000):
    x, state = step(x, state)
  assert float(x) == pytest.approx(x_wanted, abs=1e-3)
  assert float(state.multiplier) == pytest.approx(wanted, abs=1e-2)


def test_a_chain_applies_its_links_in_order():
  links = [
    constraint.linear(1.0, 10.0),
    constraint.ratio_power(4.0, 1.0, 2.0),
    constraint.lagrangian(2.0, 0.5, 1.0),
  ]
  both = constraint.chain(*links)
  costs, strict = (5.0, 8.0, 3.0), (1.0, 1.0, 1.0)
  loss, state = both.update(jnp.float32(1), costs, strict, both.init())
  # ((1 + 5/10) * (8/4)^2) + 1 * (3/2 - 1)
  assert float(loss) == pytest.approx(6.5)
  by_hand, kept = jnp.float32(1), []
  for link, c, s, before in zip(links, costs, strict, both.init(), strict=True):
    by_hand, after = link.update(by_hand, c, s, before)
    kept.append(after)
  chex.assert_trees_all_equal((loss, state), (by_hand, tuple(kept)))
  with pytest.raises(ValueError, match='shorter'):
    both.update(1.0, costs[:2], strict[:2], both.init())


@pytest.mark.parametrize(
  'make',
  [
    lambda: constraint.linear(-1.0, 1.0),
    lambda: constraint.linear(1.0, 0.0),
    lambda: constraint.hinge(0.0, 1.0),
    lambda: constraint.hinge(1.0, -1.0),
    lambda: constraint.absolute(1.0, float('inf')),
    lambda: constraint.log_power(0.0),
    lambda: constraint.log_power(1.0, -0.5),
    lambda: constraint.log_power(1.0, 0.5, 0.0),
    lambda: constraint.ratio_power(1.0, -0.1, 1.0),
    lambda: constraint.band(1.0, 1.0, 1.0),
    lambda: constraint.band(1.0, 1.0, -0.1),
    lambda: constraint.lagrangian(0.0, 1.0),
    lambda: constraint.lagrangian(1.0, -1.0),
    lambda: constraint.lagrangian(1.0, 1.0, -1.0),
    lambda: constraint.lagrangian(float('nan'), 1.0),
    lambda: constraint.lagrangian(1.0, 1.0, float('nan'), equal=True),
    lambda: constraint.augmented_lagrangian(1.0, 1.0, 0.0),
    lambda: constraint.augmented_lagrangian(1.0, 2.0, 1.0),
  ],
)
def test_wrong_hyper_parameters_are_refused_where_they_are_given(make):
  with pytest.raises(ValueError, match='requires'):
    make()


# --- Projection --------------------------------------------------------------


def _case(s, costs, seed, temperature):
  """Random alphas and limits that a random architecture keeps."""
  rng = np.random.default_rng(seed)
  scale = temperature * rng.uniform(0, 6)
  alphas = space.init_alphas(s, jax.random.key(seed), scale)
  sizes = [len(options) for options in s.choices.values()]
  a = space.Architecture.from_indices(s, [rng.integers(n) for n in sizes])
  limits = []
  for c in costs:
    low, high = c.bounds()
    limits.append(max(c.exact(a), low + 0.05 * (high - low)))
  return alphas, jnp.array(limits, jnp.float32)


@pytest.mark.parametrize(
  'preset',
  [spaces.tiny, spaces.tiny_width, spaces.tiny_macro, spaces.mobile_small],
)
@pytest.mark.parametrize('number', [1, 2])
@pytest.mark.parametrize('temperature', [1.0, 0.1])
def test_projected_alphas_keep_every_limit(preset, number, temperature):
  s = preset()
  costs = [cost.macs(s), cost.params(s)][:number]
  distribution = functools.partial(relax.softmax, temperature=temperature)
  keep = constraint.project(costs, [1.0] * number)

  @jax.jit
  def projected(alphas, limits):
    return keep.update(
      alphas, distribution, keep.init()._replace(limits=limits)
    )

  touched = 0
  for seed in range(20):
    alphas, limits = _case(s, costs, seed, temperature)
    found, state = projected(alphas, limits)
    chex.assert_tree_all_finite(found)
    probs, before = distribution(found), distribution(alphas)
    ratios = [
      float(c(probs)) / float(limit)
      for c, limit in zip(costs, limits, strict=True)
    ]
    assert max(ratios) < 1 + 1e-4
    kept = all(
      float(c(before)) <= float(limit)
      for c, limit in zip(costs, limits, strict=True)
    )
    touched += not kept
    if kept:  # Nothing is done where nothing has to be.
      chex.assert_trees_all_equal(found, alphas)
      assert not state.duals.any()
    else:  # And no more than has to be.
      assert max(ratios) > 1 - 1e-4
  assert 5 < touched


def test_projection_is_the_closest_distribution():
  """Of random neighbours, products of distributions, that keep the limit."""
  s = spaces.tiny()
  macs = cost.macs(s)
  alphas = space.init_alphas(s, jax.random.key(3), 1.0)
  before = relax.softmax(alphas)
  limit = 0.9 * float(macs(before))
  keep = constraint.project([macs], [limit])
  after = relax.softmax(keep.update(alphas, relax.softmax, keep.init())[0])

  def divergence(p):
    return sum(float((p[k] * jnp.log(p[k] / before[k])).sum()) for k in p)

  nearest = divergence(after)
  rng = np.random.default_rng(0)
  tried = 0
  for _ in range(2000):
    p = {
      k: jax.nn.softmax(jnp.log(v) + 0.1 * rng.normal(size=v.shape))
      for k, v in after.items()
    }
    if float(macs(p)) <= limit:
      tried += 1
      assert divergence(p) >= nearest - 1e-5
  assert tried > 500


def test_equal_projection_uses_the_whole_limit():
  s = spaces.mobile_small()
  macs = cost.macs(s)
  alphas = space.init_alphas(s, jax.random.key(0), 1.0)
  before = float(macs(relax.softmax(alphas)))
  for factor in (0.6, 1.0, 1.4):
    keep = constraint.project([macs], [factor * before], equal=True)
    found, state = keep.update(alphas, relax.softmax, keep.init())
    after = float(macs(relax.softmax(found)))
    assert after == pytest.approx(factor * before, rel=1e-4)
    assert np.sign(round(float(state.duals[0]), 4)) == np.sign(1 - factor)


@pytest.mark.parametrize('preset', [spaces.mobile_small, spaces.tiny_width])
def test_equal_projection_meets_the_first_of_two_limits(preset):
  """All are kept, and one is used whole, wherever the alphas came from."""
  s = preset()
  costs = [cost.macs(s), cost.params(s)]
  keep = constraint.project(costs, [1.0, 1.0], equal=True)

  @jax.jit
  def projected(alphas, limits):
    return keep.update(
      alphas, relax.softmax, keep.init()._replace(limits=limits)
    )

  below, first = 0, []
  for seed in range(20):
    alphas, limits = _case(s, costs, seed, 1.0)
    before = [float(c(relax.softmax(alphas))) for c in costs]
    below += bool((np.array(before) < limits).all())
    found, _ = projected(alphas, limits)
    after = [float(c(relax.softmax(found))) for c in costs]
    ratios = np.array(after) / limits
    assert ratios.max() == pytest.approx(1, rel=1e-4)
    first.append(int(ratios.argmax()))
  assert 0 < below < 20
  assert set(first) == {0, 1}


@pytest.mark.parametrize('factor', [1.0, 2.0])
def test_equal_projection_presses_towards_no_limit_that_all_keep(factor):
  s = spaces.mobile_small()
  macs, params = cost.macs(s), cost.params(s)
  alphas = space.init_alphas(s, jax.random.key(0), 1.0)
  free = factor * macs.bounds()[1]
  keep = constraint.project([macs], [free], equal=True)
  found, state = keep.update(alphas, relax.softmax, keep.init())
  chex.assert_trees_all_equal(found, alphas)
  assert state.duals.tolist() == [0.0]
  # Beside one that binds it is as if it were not there.
  limit = 1.2 * float(params(relax.softmax(alphas)))
  both = constraint.project([macs, params], [free, limit], equal=True)
  found, state = both.update(alphas, relax.softmax, both.init())
  alone = constraint.project([params], [limit], equal=True)
  wanted, _ = alone.update(alphas, relax.softmax, alone.init())
  chex.assert_trees_all_close(found, wanted, atol=1e-5)
  assert float(params(relax.softmax(found))) == pytest.approx(limit, rel=1e-4)
  assert state.duals[0] == 0 > state.duals[1]


def test_projection_of_the_unreachable_stays_finite_and_gets_near():
  s = spaces.mobile_small()
  macs = cost.macs(s)
  low, _ = macs.bounds()
  keep = constraint.project([macs], [0.5 * low])
  found, _ = keep.update(space.init_alphas(s), relax.softmax, keep.init())
  chex.assert_tree_all_finite(found)
  assert float(macs(relax.softmax(found))) == pytest.approx(low, rel=1e-3)


def test_projection_maps_over_limits():
  s = spaces.mobile_small()
  macs = cost.macs(s)
  keep = constraint.project([macs], [1.0])
  limits = jnp.array([[5e5], [1e6], [2e6]])
  alphas = space.init_alphas(s)

  @jax.vmap
  def projected(limit):
    state = keep.init()._replace(limits=limit)
    return macs(relax.softmax(keep.update(alphas, relax.softmax, state)[0]))

  start = float(macs(relax.softmax(alphas)))
  wanted = [min(float(x), start) for x in limits[:, 0]]
  assert projected(limits).tolist() == pytest.approx(wanted, rel=1e-4)


def test_projection_refuses_what_it_cannot_keep():
  s = spaces.tiny()
  macs = cost.macs(s)
  with pytest.raises(ValueError, match='additive'):
    constraint.project([cost.memory(s)], [1000])
  with pytest.raises(ValueError, match='limit for each'):
    constraint.project([macs], [])
  with pytest.raises(ValueError, match='positive limit on macs, got -1'):
    constraint.project([macs], [-1])

"""Constraints: one contract for all forms."""

import functools
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint
from nasjax.constraint import Constraint
from tests.conftest import counted
from tests.constraint.constraint_cases import LIMIT, PLACES, pressure


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


@every_form
def test_pressure_has_the_declared_signs(name):
  c = FORMS[name].make
  slopes = [pressure(c, x, c.init())[0] for x in PLACES]
  assert tuple(np.sign(slopes)) == FORMS[name].signs


@every_form
def test_pressure_develops_as_declared(name):
  c = FORMS[name].make
  changes = []
  for x in PLACES:
    first, state = pressure(c, x, c.init())
    changes.append(pressure(c, x, state)[0] - first)
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
    pressure(c, x, c.init())[0] for x in (9.999, 10.0, 10.001)
  )
  assert min(below, above) - 1e-4 <= at <= max(below, above) + 1e-4
  if not FORMS[name].bends:
    assert below == pytest.approx(above, abs=1e-3)


@every_form
@pytest.mark.parametrize('value', [0.0, 1e-30, 1.0, 1e12])
def test_all_is_finite_for_any_cost(name, value):
  c = FORMS[name].make
  slope, state = pressure(c, value, c.init())
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
  update, traces = counted(c.update)
  loss, after = update(jnp.float32(1.0), jnp.float32(7), jnp.float32(7), before)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  expected, _ = c.update(1.0, 7.0, 7.0, before)
  assert float(loss) == pytest.approx(float(expected), rel=1e-6)
  update(loss, loss, loss, after)
  assert len(traces) == 1


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


@every_form
@pytest.mark.parametrize('place', range(3))
def test_losses_and_costs_are_scalars(name, place):
  """Others would broadcast, to a loss per image or per cost."""
  keep = FORMS[name].make
  given = [1.0, 5.0, 5.0]
  given[place] = jnp.ones(2)
  with pytest.raises(AssertionError, match='rank'):
    jax.eval_shape(keep.update, *given, keep.init())
  losses, _ = jax.vmap(keep.update, (0, None, None, None))(
    jnp.ones(2), 5.0, 5.0, keep.init()
  )
  assert losses.shape == (2,)

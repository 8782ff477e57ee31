"""Limits and the form of constraint that keeps each."""

import jax
import numpy as np
import pytest

from nasjax import (
  constraint,
  relax,
  space,
  spaces,
)
from tests.conftest import refused
from tests.run.run_cases import keep


@pytest.mark.parametrize('name', constraint.FORMS)
def test_every_constraint_is_there_by_name_for_several_limits(name):
  s = spaces.tiny()
  kept, limited = keep(s, ['macs=5000', 'params=900'], constraint=name)
  assert [c.name for c in limited] == ['macs', 'params']
  projected = () if kept.projection is None else kept.projection.costs
  costs = [*(c for c, _ in kept.constraints), *projected]
  assert costs == list(limited)
  alphas = space.init_alphas(s)
  probs = relax.softmax(alphas)
  before, pressed = 1.0, 1.0
  for c, form in kept.constraints:
    state = form.init()
    for _ in range(2):  # Multipliers start at 0.
      pressed, state = form.update(pressed, c(probs), c(probs), state)
  assert (pressed != before) == (kept.projection is None)
  if kept.projection is not None:
    alphas, _ = kept.projection.update(
      alphas, relax.softmax, kept.projection.init()
    )
    for c, limit in limited.items():
      assert float(c(relax.softmax(alphas))) <= (1 + 1e-4) * limit


@pytest.mark.parametrize('number', [-1.0, 1e39, 'nan'])
@pytest.mark.parametrize('name', constraint.FORMS)
def test_a_number_that_a_form_cannot_take_is_refused_by_its_flag(name, number):
  form = constraint.FORMS[name]
  if form.option == 'project':
    return  # Takes none.
  refused(
    rf'^{form.option} is .*; with constraint={name} it must be',
    keep,
    spaces.mobile_small(),
    ['macs=2M'],
    **{'constraint': name, form.option: number},
  )


def test_a_strength_is_that_of_the_named_form():
  s = spaces.tiny()
  numbers = []
  for strength in (None, '3.0'):
    given = {'constraint': 'hinge', 'strength': strength}
    kept, _ = keep(s, ['macs=5000'], **given)
    ((_, hinge),) = kept.constraints
    numbers.append(float(hinge.init().strength))
  assert numbers == [1.0, 3.0]


@pytest.mark.parametrize('name', constraint.FORMS)
def test_limit_and_number_of_a_form_are_data(name):
  """What is compiled for one pair of them serves any other."""
  form = constraint.FORMS[name]
  one = form.make(5.0, form.number)
  other = form.make(8.0, min(2 * form.number, form.most))
  for cost_now in (3.0, 12.0):
    found = []
    for c in (one, other):
      loss, state = c.update(2.0, cost_now, cost_now, other.init())
      # A multiplier acts from the second update on.
      found.append((loss, c.update(2.0, cost_now, cost_now, state)))
    assert jax.tree.all(jax.tree.map(np.array_equal, *found))


def test_what_cannot_be_projected_is_kept_by_a_multiplier():
  s = spaces.tiny()
  kept, _ = keep(s, ['memory=2000', 'macs=5000'])
  multiplied = {c.name: hasattr(k.init(), 'multiplier') for c, k in kept[0]}
  assert multiplied == {'memory': True}
  assert kept.projection.init().limits.tolist() == [5000]
  kept, _ = keep(s, ['memory=2000'])
  assert kept.projection is None

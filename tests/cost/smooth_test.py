"""A smooth maximum, held to enumeration; a constraint that it steers."""

import itertools
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, relax, space, spaces
from nasjax.search import constrained

SPACES = spaces.tiny, spaces.tiny_width, spaces.tiny_macro


def _random(s, seed=0, scale=1.0):
  return relax.softmax(space.init_alphas(s, jax.random.key(seed), scale))


@pytest.mark.parametrize('made', SPACES)
def test_it_is_the_sum_over_combinations_that_are_not_negligible(made, x64):
  s = made()
  memory, probs = cost.memory(s), _random(s)
  probs = jax.tree.map(jnp.float64, probs)
  for negligible, temperature in itertools.product((0.0, 0.3), (0.02, 0.5)):
    kept = []
    for table in memory.tables:
      own = []
      for option in itertools.product(*map(range, table.shape)):
        at = dict(zip(table.axes, option, strict=True))
        p = math.prod(float(probs[a][i]) for a, i in at.items())
        own.append((p, table.at(at)))
      most = max(p for p, _ in own)
      kept += [(p, c) for p, c in own if p >= negligible * most]
    t = temperature * max(c for _, c in kept)
    expected = t * math.log(sum(p * math.exp(c / t) for p, c in kept))
    found = cost.smooth_maximum(
      memory, probs, temperature=temperature, negligible=negligible
    )
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize('made', SPACES)
def test_at_one_hot_it_is_close_to_the_exact_cost(made):
  s = made()
  memory = cost.memory(s)
  for seed in range(5):
    a = space.argmax(s, space.init_alphas(s, jax.random.key(seed), 1.0))
    exact = memory.exact(a)
    found = float(cost.smooth_maximum(memory, space.one_hot(a)))
    most = 0.05 * exact * math.log(len(memory.tables))
    assert exact * (1 - 1e-6) <= found <= (exact + most) * (1 + 1e-6)


def test_the_gradient_is_that_of_finite_differences(x64):
  s = spaces.mobile_small()
  memory = cost.memory(s)
  alphas = jax.tree.map(jnp.float64, space.init_alphas(s))
  key = jax.random.key(1)
  way = jax.tree.map(lambda a: jax.random.normal(key, a.shape, a.dtype), alphas)

  def at(step):
    moved = jax.tree.map(lambda a, w: a + step * w, alphas, way)
    return cost.smooth_maximum(memory, relax.softmax(moved))

  slope = jax.grad(at)(0.0)
  assert abs(slope) > 1e-3
  assert float(slope) == pytest.approx(float(at(1e-4) - at(-1e-4)) / 2e-4, 1e-5)


def test_a_cost_that_adds_up_is_its_expectation():
  s = spaces.tiny()
  macs, probs = cost.macs(s), _random(s)
  assert cost.smooth_maximum(macs, probs) == macs(probs)
  assert cost.steered(macs, probs, jnp.float32(7.0)) == macs(probs)


def test_what_is_negligible_has_no_gradient():
  s = spaces.mobile_small()
  memory, probs = cost.memory(s), _random(s, 3)
  gradient = jax.grad(lambda p: cost.smooth_maximum(memory, p))(probs)
  negligible = 0
  for name, p in probs.items():
    rare = np.asarray(p) < 0.05 * float(p.max())
    negligible += rare.sum()
    assert not np.asarray(gradient[name])[rare].any()
  assert negligible
  assert any(np.asarray(g).any() for g in gradient.values())


def _ended(memory, limit, steered):
  """Alphas that a task pulls to the costly options, under a Lagrangian."""
  s = memory.space
  tx = optax.sgd(0.3)
  keep = constraint.chain(constraint.lagrangian(limit, 0.3))
  costly = {
    name: jnp.asarray(jax.nn.one_hot(len(c) - 1, len(c)))
    for name, c in s.choices.items()
  }
  setting = types.SimpleNamespace(costs=(memory,), constraint=keep)

  @jax.jit
  def step(alphas, opt_state, state):
    def loss(alphas):
      probs = relax.softmax(alphas)
      gain = sum((probs[n] * costly[n]).sum() for n in probs)
      if steered:
        total, kept, _ = constrained._constrained(
          setting, -0.2 * gain, probs, state
        )
      else:  # As a cost that adds up: by the expectation.
        total, kept = keep.update(
          -0.2 * gain, (memory(probs),), (memory(probs),), state
        )
      return total, kept

    gradient, state = jax.grad(loss, has_aux=True)(alphas)
    moves, opt_state = tx.update(gradient, opt_state)
    return optax.apply_updates(alphas, moves), opt_state, state

  alphas = space.init_alphas(s)
  now = alphas, tx.init(alphas), keep.init()
  multipliers, strict = [], []
  for _ in range(150):
    now = step(*now)
    multipliers.append(float(now[2][0].multiplier))
    strict.append(memory.exact(space.argmax(s, now[0])))
  return multipliers, strict


def test_memory_binds_where_its_expectation_never_would():
  """A table of one costly option among many: the expectation stays low."""
  s = spaces.mobile_small()
  numbers = {
    name: {option: 10 for option in names} for name, names in s.choices.items()
  }
  first = next(iter(numbers))
  *_, last = numbers[first]
  numbers[first][last] = 100
  added = cost.table(s, 'peak', 'bytes', numbers)
  memory = cost.Cost('peak', 'bytes', added.tables, 'max', s)
  multipliers, strict = _ended(memory, 90.0, steered=False)
  assert max(multipliers) == 0.0
  assert set(strict) == {100}
  multipliers, strict = _ended(memory, 90.0, steered=True)
  assert max(multipliers) > 0.0
  # It falls to 0 while the limit is kept, and rises again.
  assert strict.count(10) > 0.6 * len(strict)

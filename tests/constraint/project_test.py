"""Projection: every limit is kept, and nothing closer keeps it."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import constraint, cost, relax, space, spaces


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


@pytest.mark.quick_every(5)
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


@pytest.mark.quick_every(2)
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


@pytest.mark.quick_every(2)
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

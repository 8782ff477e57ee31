"""Every relaxation goes with every form of constraint."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, search, spaces
from nasjax.constraint import Kept
from nasjax.ops import Classifier, Conv, Skip
from nasjax.run import config as config_lib
from nasjax.space import Slot, Space
from tests.conftest import counted

# So small that a step compiles in a second.
SPACE = Space(
  name='one_slot',
  image_size=4,
  channels=3,
  slots=(
    Slot('slot', (Conv(1), Conv(3), Skip()), 3),
    Slot('head', (Classifier(),), 2),
  ),
)
LIMIT = 300  # MACs, of 6 to 1302
HEAT = optax.linear_schedule(1.0, 0.2, 5)


def _arrays() -> data.Arrays:
  rng = np.random.default_rng(0)
  labels = np.arange(16, dtype=np.int32) % 2
  images = rng.integers(0, 255, (16, 4, 4, 3)).astype(np.uint8)
  return data.Arrays(images, labels)


def _search(name, kept):
  return search.make(
    SPACE.search_network(),
    SPACE.choices,
    data.Batches(8, (0.5,) * 3, (0.3,) * 3),
    kept.constraints,
    projection=kept.projection,
    weight_tx=optax.sgd(0.05, momentum=0.9),
    alpha_tx=optax.adam(0.05),
    relaxation=config_lib.RELAXATIONS[name],
    temperature=HEAT,
  )


@functools.cache
def _weights(name):
  """A start and a weight step, in which forms have no part: compiled once."""
  parts = _search(name, Kept([], None))
  start = jax.jit(parts.init)(jax.random.key(0), _arrays(), _arrays())
  return start, *counted(parts.weight_step)


def _five_steps(name, kept):
  """Where a search starts, and every state and all metrics of five steps."""
  bare, weight_step, weight_traces = _weights(name)
  alpha_step, alpha_traces = counted(_search(name, kept).alpha_step)
  state = bare._replace(
    constraints=tuple(c.init() for _, c in kept.constraints),
    projection=() if kept.projection is None else kept.projection.init(),
  )
  states, metrics = [state], []
  for _ in range(5):
    moved, one = weight_step(
      state._replace(constraints=(), projection=()), _arrays()
    )
    state = moved._replace(
      constraints=state.constraints, projection=state.projection
    )
    state, more = alpha_step(state, _arrays(), _arrays())
    states.append(state)
    metrics.append(one | more)
  assert len(alpha_traces) == len(weight_traces) == 1
  return states, metrics


@functools.cache
def _unconstrained(name):
  """The alphas after the same steps, free of any cost."""
  states, _ = _five_steps(name, Kept([], None))
  return states[-1].alphas['slot']


@pytest.mark.drawn(5)
@pytest.mark.slow
@pytest.mark.parametrize('name', config_lib.RELAXATIONS)
@pytest.mark.parametrize('form', constraint.FORMS)
def test_five_steps_are_finite_and_keep_their_shapes(name, form):
  macs = cost.macs(SPACE)
  kept = config_lib.SearchConfig(constraint=form).keep({macs: LIMIT})
  states, metrics = _five_steps(name, kept)
  for leaf in jax.tree.leaves((states, metrics)):
    if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      assert np.isfinite(leaf).all()
  start, *_, end = states
  chex.assert_trees_all_equal_shapes_and_dtypes(start, end)
  assert int(end.step) == 5
  assert {'macs', 'macs_strict'} <= metrics[0].keys()
  # All of them press: equal probabilities cost more than the limit.
  assert float(metrics[0]['macs']) > LIMIT
  # But a multiplier that follows the strict cost, while that is below it.
  above = [float(m['macs_strict']) > LIMIT for m in metrics[:-1]]
  if form != 'lagrangian_strict' or any(above):
    apart = end.alphas['slot'] - _unconstrained(name)
    assert jnp.abs(apart).max() > 1e-4
  if kept.projection is not None:
    distribution = config_lib.RELAXATIONS[name].distribution(
      end.alphas, HEAT(end.step), None
    )
    assert float(macs(distribution)) <= LIMIT * 1.001
    assert metrics[-1]['macs_dual'] == end.projection.duals[0]


@pytest.mark.drawn(2)
@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'preset'),
  [
    *((name, spaces.tiny_width) for name in config_lib.RELAXATIONS),
    *((name, spaces.tiny_macro) for name in ('softmax', 'gdas')),
  ],
)
def test_a_step_goes_with_widths_patterns_and_several_limits(name, preset):
  """Traced, not run: what it returns can be given to it again."""
  space = preset()
  limits = {cost.macs(space): 8e3, cost.params(space): 1200}
  kept = constraint.keep(limits | {cost.memory(space): 1.5e3})
  size, depth = space.image_size, space.channels
  arrays = data.Arrays(
    jax.ShapeDtypeStruct((16, size, size, depth), jnp.uint8),
    jax.ShapeDtypeStruct((16,), jnp.int32),
  )
  parts = search.make(
    space.search_network(),
    space.choices,
    data.Batches(8, (0.5,) * depth, (0.3,) * depth),
    kept.constraints,
    projection=kept.projection,
    weight_tx=optax.sgd(0.05, momentum=0.9),
    alpha_tx=optax.adam(0.05),
    relaxation=config_lib.RELAXATIONS[name],
    temperature=HEAT,
  )
  key = jax.eval_shape(jax.random.key, 0)
  before = jax.eval_shape(parts.init, key, arrays, arrays)
  after, metrics = jax.eval_shape(parts.step, before, arrays, arrays)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  assert {'macs_dual', 'params_dual', 'memory_multiplier'} <= metrics.keys()

"""Members of a population are the searches that they would be by themselves."""

import functools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, relax, search, spaces
from tests.conftest import counted

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPACE = spaces.tiny(num_classes=4)
MACS = cost.macs(SPACE)
LIMITS = 4000.0, 5500.0, 7000.0


def _arrays():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (48, 8, 8, 1)).astype(np.uint8)
  return data.Arrays(images, (np.arange(48) % 4).astype(np.int32))


def _kept(limit):
  """Both places where limits live."""
  keep = [constraint.lagrangian(limit, 0.1)]
  return keep, constraint.project([MACS], [limit], equal=True)


def _make(limit, space=SPACE, relaxation=relax.SOFTMAX):
  keep, projection = _kept(limit)
  return search.make(
    space.search_network(),
    space.choices,
    data.Batches(16, (0.4,), (0.3,)),
    [(cost.macs(space), keep[0])],
    weight_tx=optax.sgd(0.05, momentum=0.9),
    alpha_tx=optax.sgd(1.0),
    projection=projection if space is SPACE else None,
    relaxation=relaxation,
  )


def _starts(parts, arrays):
  init = jax.jit(parts.init)
  for seed, limit in enumerate(LIMITS):
    state = init(jax.random.key(seed), arrays, arrays)
    yield search.population.member(state, *_kept(limit))


def _run(step, state, arrays, steps=3):
  for _ in range(steps):
    state, metrics = step(state, arrays, arrays)
  return state, metrics


@functools.cache
def _alone():
  """Starts, ends and last metrics of each, and of how many programs."""
  arrays, parts = _arrays(), _make(LIMITS[1])
  step, traces = counted(parts.step)
  starts = list(_starts(parts, arrays))
  ends, said = zip(*(_run(step, s, arrays) for s in starts), strict=True)
  return starts, ends, said, len(traces)


@pytest.mark.slow
def test_one_program_serves_every_limit_and_seed_bit_for_bit():
  arrays, (_, members, _, programs) = _arrays(), _alone()
  assert programs == 1
  last = _make(LIMITS[2])
  alone = jax.jit(last.init)(jax.random.key(2), arrays, arrays)
  alone, _ = _run(jax.jit(last.step), alone, arrays)
  assert int(alone.step) == 3
  for a, b in zip(*map(jax.tree.leaves, (alone, members[2])), strict=True):
    if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
      a, b = map(jax.random.key_data, (a, b))
    np.testing.assert_array_equal(a, b)
  for limit, state in zip(LIMITS, members, strict=True):
    found = float(MACS(relax.softmax(state.alphas)))
    assert found == pytest.approx(limit, rel=1e-3)


@pytest.mark.slow
def test_side_by_side_they_do_what_each_does():
  starts, ends, said, _ = _alone()
  many = search.population.together(
    _make(LIMITS[0]), SPACE.choices, relax.SOFTMAX
  )
  states, metrics = _run(
    jax.jit(many.step), search.population.stack(starts), _arrays()
  )
  for one, state in zip(ends, search.population.unstack(states), strict=True):
    np.testing.assert_array_equal(
      state.projection.limits, one.projection.limits
    )
    for field in ('alphas', 'params', 'batch_stats'):
      own, other = (jax.tree.leaves(getattr(s, field)) for s in (one, state))
      for a, b in zip(own, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
  losses = [float(metrics['train_loss']) for metrics in said]
  np.testing.assert_allclose(metrics['train_loss'], losses, rtol=1e-4)
  assert len({round(x, 3) for x in losses}) == 3  # Seeds differ.


# Over devices: what it is compiled to, and what it computes.
SPLIT = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh
from tests.search import population_test as t
from nasjax import relax, search
arrays, parts = t._arrays(), t._make(t.LIMITS[0])
starts = list(t._starts(parts, arrays))
states = search.population.stack([starts[i % 3] for i in range(8)])
ends = []
for mesh in None, Mesh(np.array(jax.devices()), ('member',)):
  many = search.population.together(parts, t.SPACE.choices, relax.SOFTMAX, mesh)
  step = jax.jit(many.weight_step).lower(states, arrays).compile()
  text = step.as_text()
  print('f32[8,16,8,8,' in text, 'all-' in text)
  ends.append(jax.device_get(step(states, arrays)[0].params))
gaps = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), *ends)
print(max(jax.tree.leaves(gaps)))
"""


@pytest.mark.slow
def test_members_are_split_over_devices_that_do_not_talk():
  flags = f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count=8'
  done = subprocess.run(
    [sys.executable, '-c', SPLIT],
    cwd=ROOT,
    env=os.environ | {'XLA_FLAGS': flags},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  whole, split, gap = done.stdout.splitlines()
  # No device holds the images of all members, or waits for another.
  assert (whole, split) == ('True False', 'False False')
  assert float(gap) < 1e-5


def test_what_is_drawn_is_not_computed_side_by_side():
  sampled = _make(LIMITS[0], relaxation=relax.GDAS)
  with pytest.raises(ValueError, match='ops that run are drawn'):
    search.population.together(sampled, SPACE.choices, relax.GDAS)
  macro = spaces.tiny_macro()
  with pytest.raises(ValueError, match='options of pattern are drawn'):
    search.population.together(_make(9e9, macro), macro.choices, relax.SOFTMAX)


def test_a_member_of_another_form_is_refused():
  arrays, parts = _arrays(), _make(LIMITS[0])
  state = jax.eval_shape(parts.init, jax.random.key(0), arrays, arrays)
  other = [constraint.hinge(LIMITS[0], 1.0)]
  with pytest.raises(ValueError, match='requires the constraints'):
    search.population.member(state, other, _kept(1.0)[1])
  with pytest.raises(ValueError, match='requires the projection'):
    search.population.member(state, _kept(1.0)[0])

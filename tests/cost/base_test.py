"""Costs: expectation, gradient, bounds."""

import itertools
import os
import subprocess
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, relax, space, spaces


def _enumerated(s):
  sizes = [range(len(n)) for n in s.choices.values()]
  for indices in itertools.product(*sizes):
    yield space.Architecture.from_indices(s, indices)


def _random_alphas(s, seed, scale=1.0):
  return space.init_alphas(s, jax.random.key(seed), scale)


@pytest.mark.quick_every(3)
@pytest.mark.parametrize(
  'preset', [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
)
@pytest.mark.parametrize('resource', [cost.macs, cost.params])
def test_expected_cost_is_the_mean_over_all_architectures(
  x64, resource, preset
):
  s = preset()
  c = resource(s)

  def enumerated(alphas):
    probs = relax.softmax(alphas)
    total = 0.0
    for a in _enumerated(s):
      slots = zip(s.choices, a.indices, strict=True)
      total += c.exact(a) * jnp.prod(
        jnp.array([probs[slot][i] for slot, i in slots])
      )
    return total

  expected = lambda alphas: c(relax.softmax(alphas))  # noqa: E731
  for seed in range(3):
    alphas = _random_alphas(s, seed)
    chex.assert_trees_all_close(
      jax.value_and_grad(expected)(alphas),
      jax.value_and_grad(enumerated)(alphas),
      rtol=1e-12,
      atol=1e-10,  # a gradient of 0, of costs of thousands
    )


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('temperature', [0.3, 1.0, 4.0])
def test_gradient_is_the_closed_form_and_finite_differences(x64, temperature):
  s = spaces.mobile_small()
  c = cost.macs(s)
  alphas = _random_alphas(s, 5)
  expected = lambda a: c(relax.softmax(a, temperature))  # noqa: E731
  g = jax.grad(expected)(alphas)
  for table in c.tables:
    if not table.axes:
      continue
    (slot,) = table.axes
    p = jax.nn.softmax(alphas[slot] / temperature)
    costs = jnp.asarray(table.values, jnp.float64)
    closed = p * (costs - p @ costs) / temperature
    np.testing.assert_allclose(g[slot], closed, rtol=1e-9, atol=1e-9)
  for slot in list(alphas)[:3]:
    for j in range(alphas[slot].size):
      h = 1e-4
      up = {**alphas, slot: alphas[slot].at[j].add(h)}
      down = {**alphas, slot: alphas[slot].at[j].add(-h)}
      slope = (expected(up) - expected(down)) / (2 * h)
      np.testing.assert_allclose(g[slot][j], slope, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize(
  'preset', [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
)
def test_bounds_are_reached_by_enumeration(preset):
  s = preset()
  for c in (cost.macs(s), cost.params(s), cost.memory(s)):
    costs = [c.exact(a) for a in _enumerated(s)]
    assert c.bounds() == (min(costs), max(costs))


def test_costs_work_in_code_that_is_not_ours():
  s = spaces.mobile_small()
  c = cost.macs(s)
  batch = {
    slot: jnp.stack([jnp.zeros(len(n)), jnp.arange(len(n)) * 1.0])
    for slot, n in s.choices.items()
  }
  one = lambda a: c(relax.softmax(a))  # noqa: E731
  mapped = jax.jit(jax.vmap(jax.grad(one)))(batch)
  for i in range(2):
    single = jax.grad(one)(jax.tree.map(lambda x, i=i: x[i], batch))
    chex.assert_trees_all_close(
      jax.tree.map(lambda x, i=i: x[i], mapped), single, rtol=1e-5
    )


SHARDED = """
import chex
import jax
from jax.sharding import AxisType, PartitionSpec
from nasjax import cost, relax, space, spaces

s = spaces.tiny_width()
macs = cost.macs(s)
keys = jax.random.split(jax.random.key(0), 6)
alphas = jax.vmap(lambda key: space.init_alphas(s, key, 1.0))(keys)
one = jax.value_and_grad(lambda alphas: macs(relax.softmax(alphas)))
each = jax.vmap(one)
mesh = jax.make_mesh((3,), ('devices',), axis_types=(AxisType.Auto,))
spec = PartitionSpec('devices')
sharded = jax.jit(
  jax.shard_map(each, mesh=mesh, in_specs=spec, out_specs=spec)
)(alphas)
for leaf in jax.tree.leaves(sharded):
  assert len(leaf.sharding.device_set) == 3
chex.assert_trees_all_close(sharded, jax.jit(each)(alphas), rtol=1e-5)
assert all(g.any() for g in jax.tree.leaves(sharded[1]))
"""


@pytest.mark.slow
def test_costs_and_gradients_are_the_same_over_several_devices():
  flags = os.environ['XLA_FLAGS']
  several = '--xla_force_host_platform_device_count=3'
  run = subprocess.run(
    [sys.executable, '-c', SHARDED],
    env=os.environ
    | {'XLA_FLAGS': f'{flags} {several}', 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
  )
  assert run.returncode == 0, run.stderr


def test_a_cost_is_of_its_space_alone(draw):
  """Other sizes have the same choices, and other costs."""
  own, larger = spaces.tiny(), spaces.tiny(image_size=16)
  macs, a = cost.macs(larger), draw(own)
  with pytest.raises(ValueError, match=r'of 16 pixels .*not of .*of 8 pixels'):
    macs.exact(a)
  assert macs.exact(space.Architecture(larger, a.choice)) > cost.macs(
    own
  ).exact(a)
  # An equal space is the same, whoever made it.
  assert cost.macs(spaces.tiny()).exact(a) == cost.macs(own).exact(a)

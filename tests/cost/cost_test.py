"""Costs: expectation, gradient, bounds and tables."""

import dataclasses
import itertools
import os
import subprocess
import sys

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, ops, relax, space, spaces
from tests.conftest import refused


def _enumerated(s):
  sizes = [range(len(n)) for n in s.choices.values()]
  for indices in itertools.product(*sizes):
    yield space.Architecture.from_indices(s, indices)


def _random_alphas(s, seed, scale=1.0):
  return space.init_alphas(s, jax.random.key(seed), scale)


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


def test_bounds_hold_for_any_tables():
  """Random tables over a ring of choices, against enumeration."""
  rng = np.random.default_rng(0)
  sizes = {'a': 2, 'b': 3, 'c': 2, 'd': 3}
  ring = [('a', 'b'), ('b', 'c'), ('d', 'c'), ('d', 'a'), ('b',), ()]
  for reduction, combine in (('sum', sum), ('max', max)):
    for _ in range(20):
      tables = tuple(
        cost.Table(
          axes,
          tuple(sizes[a] for a in axes),
          tuple(rng.integers(0, 99, [sizes[a] for a in axes]).ravel().tolist()),
        )
        for axes in ring
      )
      every = [
        combine(t.at(dict(zip(sizes, i, strict=True))) for t in tables)
        for i in itertools.product(*map(range, sizes.values()))
      ]
      c = cost.Cost('c', 'units', tables, reduction)
      assert c.bounds() == (min(every), max(every))


def test_memory_by_hand():
  """8x8x1 in, 4x4x4 out of the stem, then a block that expands 4 to 12."""
  s = spaces.tiny()
  a = space.Architecture(s, ('mbconv_k3_e3', 'mbconv_k3_e1', 'skip'))
  # Input 4x4x4 and the expansion's and the depthwise convolution's 4x4x12:
  # no residual (4 to 6 channels), so the input is gone by then.
  assert cost.memory(s).exact(a) == 4 * (4 * 4 * 12 + 4 * 4 * 12)


def test_a_table_of_ones_own_is_summed_and_checked():
  s = spaces.tiny()
  numbers = {
    slot: {op: 0.25 * i for i, op in enumerate(ops_)}
    for slot, ops_ in s.choices.items()
  }
  c = cost.table(s, 'energy', 'mJ', numbers, fixed=1.0)
  assert c.bounds() == (1.0, 2.0)
  a = space.Architecture(s, ('mbconv_k3_e3', 'mbconv_k3_e1', 'skip'))
  assert c.exact(a) == 1.75
  assert float(c(space.one_hot(a))) == 1.75
  del numbers['stage1_1']['mbconv_k3_e1'], numbers['stage2_2']['skip']
  lacks = 'lacks stage1_1/mbconv_k3_e1, stage2_2/skip'
  refused(lacks, cost.table, s, 'energy', 'mJ', numbers)
  for wrong in (-1.0, float('nan'), float('inf')):
    numbers = {k: dict.fromkeys(n, 1.0) for k, n in s.choices.items()}
    numbers['stage2_2']['skip'] = wrong
    refused(
      'stage2_2/skip; costs are finite', cost.table, s, 'e', 'mJ', numbers
    )
  numbers['stage2_2']['skip'] = '3'
  says = "'3' at stage2_2/skip; costs are numbers"
  refused(says, cost.table, s, 'e', 'mJ', numbers)
  numbers['stage2_2']['skip'] = None
  refused('lacks stage2_2/skip', cost.table, s, 'e', 'mJ', numbers)
  numbers['stage2_2'] = 3
  refused('has 3 for stage2_2, which takes', cost.table, s, 'e', 'mJ', numbers)
  numbers['stage2_2'] = dict.fromkeys(s.choices['stage2_2'], 1.0)
  refused('None at fixed/part', cost.table, s, 'e', 'mJ', numbers, fixed=None)
  numbers['attic'] = {'op': 1.0}
  refused('does not have: attic/op', cost.table, s, 'e', 'mJ', numbers)


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


def test_ops_that_differ_in_shape_are_refused():
  class Wrong(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return x[:, 1:]

  @dataclasses.dataclass(frozen=True)
  class WrongOp:
    name = 'wrong'

    def fits(self, in_features, features, stride):
      return True

    def module(self, features, stride, numerics):
      return Wrong()

  slots = (space.Slot('a', (ops.Skip(), WrongOp()), 1),)
  with pytest.raises(ValueError, match='differ in size'):
    cost.macs(space.Space('s', 8, 1, slots))


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


@pytest.mark.parametrize('number', [-1, float('nan'), float('inf')])
def test_numbers_that_are_no_costs_are_refused(number):
  table = cost.Table(('a',), (2,), (1.0, number))
  with pytest.raises(ValueError, match='finite numbers of at least 0'):
    cost.Cost('c', 'units', (table,))

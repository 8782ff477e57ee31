"""MACs of whole programs: nested, repeated, branching, or refused by name."""

import functools
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl
from jax.sharding import Mesh, PartitionSpec

from nasjax import count
from tests.count.count_cases import (
  IMAGES,
  NETWORK,
  RESNET_MACS,
  RESNET_PARAMS,
  SQUARE,
  WRAPPERS,
  ResNet,
  X,
  network,
  shape,
)


@jax.custom_jvp
def jvp_square(x):
  return x @ x


jvp_square.defjvp(lambda primals, tangents: (jvp_square(*primals), tangents[0]))


@jax.custom_vjp
def vjp_square(x):
  return x @ x


vjp_square.defvjp(lambda x: (vjp_square(x), x), lambda x, g: (g @ x.T,))


@jax.custom_batching.custom_vmap
def vmap_square(x):
  return x @ x


vmap_square.def_vmap(lambda size, batched, x: (x @ x, True))


@pytest.mark.parametrize(
  'wrapped',
  [
    jax.jit(lambda x: x @ x),
    jax.jit(jax.jit(lambda x: x @ x)),
    jax.checkpoint(lambda x: x @ x),
    jvp_square,
    vjp_square,
    vmap_square,
    jax.named_call(lambda x: x @ x),
    lax.composite(lambda x: x @ x, name='test.square'),
    lambda x: lax.scan(lambda c, _: (c @ c, None), x, length=1)[0],
    lambda x: lax.map(lambda y: y @ y, x[None]),
    lambda x: lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x.T @ x),
    lambda x: lax.switch(1, [lambda y: y @ y] * 3, x),
  ],
)
def test_every_nested_program_is_walked(wrapped):
  assert count.macs(wrapped, SQUARE) == 64
  twice = jax.jit(lambda x: wrapped(jnp.sin(wrapped(x)).reshape(4, 4)))
  assert count.macs(twice, SQUARE) == 128


def test_custom_vjp_counts_its_own_backward_pass():
  loss = jax.grad(lambda x: vjp_square(x).sum())
  assert count.macs(loss, SQUARE) == 2 * 64


@pytest.mark.parametrize('length', [0, 1, 7])
def test_a_scan_counts_its_length(length):
  def fn(x):
    return lax.scan(lambda c, _: (jnp.sin(c @ c), c), x, length=length)

  assert count.macs(fn, SQUARE) == length * 64


def test_nested_scans_multiply():
  def inner(x):
    return lax.fori_loop(0, 3, lambda _, c: c @ c, x)

  def outer(x):
    return lax.scan(lambda c, _: (inner(c), None), x, length=5)[0]

  assert count.macs(outer, SQUARE) == 5 * 3 * 64


NETWORK_MACS = 25 * 8 * 36 + 25 * 8 * 25 + 80


@pytest.mark.parametrize('batch', [1, 2, 5])
def test_vmap_counts_the_batch(batch):
  images = shape(batch, 1, 9, 9, 4)
  assert count.macs(network, NETWORK, X) == NETWORK_MACS
  over_images = jax.vmap(network, in_axes=(None, 0))
  assert count.macs(over_images, NETWORK, images) == batch * NETWORK_MACS
  stacked = jax.tree.map(lambda w: shape(batch, *w.shape), NETWORK)
  over_both = jax.vmap(network)
  assert count.macs(over_both, stacked, images) == batch * NETWORK_MACS


def test_remat_in_a_gradient_counts_the_repeated_forward_pass():
  def fn(x):
    return jnp.sin(x @ x).sum()

  once = count.macs(jax.grad(fn), SQUARE)
  assert once == 3 * 64
  assert count.macs(jax.grad(jax.checkpoint(fn)), SQUARE) == 4 * 64


def test_unused_results_count():
  def unused(x):
    x @ x
    return x

  assert count.macs(unused, SQUARE) == 64
  assert count.macs(jax.jit(unused), SQUARE) == 64
  assert count.macs(jax.checkpoint(unused), SQUARE) == 64
  assert count.macs(lambda x: jax.vmap(unused)(x[None]), SQUARE) == 64


def test_element_wise_pooling_and_normalisation_are_free():
  def fn(x):
    x = nn.max_pool(nn.relu6(x * 3 + 1), (3, 3), padding='SAME')
    x = jax.nn.softmax(
      nn.pooling.pool(x, 0.0, lax.add, (3, 3), (1, 1), 'SAME') - x.mean()
    )
    return jnp.sort(jnp.cumsum(x, 1)).at[0].add(1.0), jnp.argmax(x)

  assert count.macs(fn, X) == 0
  assert count.macs(lambda: jax.random.normal(jax.random.key(0), (3,))) == 0


def test_shard_map_counts_all_devices():
  mesh = Mesh(jax.devices()[:1], ('d',))
  spec = PartitionSpec('d')
  fn = jax.shard_map(
    lambda x: x @ x.T, mesh=mesh, in_specs=spec, out_specs=spec
  )
  assert count.macs(fn, SQUARE) == 64
  assert count.macs(jax.jit(fn), SQUARE) == 64


SHARDED = """
import jax
from jax.sharding import AxisType, PartitionSpec as P
from nasjax import count
mesh = jax.make_mesh((2, 3), ('a', 'b'), axis_types=(AxisType.Auto,) * 2)
fn = jax.shard_map(lambda w, x: x @ w, mesh=mesh, out_specs=P('a', 'b'),
                   in_specs=(P(None, 'b'), P('a')))
x = jax.ShapeDtypeStruct((8, 5), 'float32')
w = jax.ShapeDtypeStruct((5, 9), 'float32')
table = count.table(fn, w, x)
peak = count.peak_memory(fn, w, x)
print(count.macs(fn, w, x), table.rows[0].macs, table.params, peak.bytes)
"""


def test_shard_map_over_several_devices_equals_the_unsharded_count():
  flags = '--xla_force_host_platform_device_count=6'
  run = subprocess.run(
    [sys.executable, '-c', SHARDED],
    env={**os.environ, 'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    check=True,
  )
  macs, table_macs, params, peak = map(int, run.stdout.split())
  assert macs == table_macs == 8 * 5 * 9
  assert params == 45
  assert peak == 4 * (8 * 5 + 8 * 9)


def test_branches_that_differ_are_a_range_and_an_error():
  def fn(x):
    with jax.named_scope('choice'):
      x = lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x)
    return lax.switch(
      2, [lambda y: y @ y @ y @ y, lambda y: y, lambda y: y @ y], x @ x
    )

  result = count.macs_range(fn, SQUARE)
  assert result[:2] == (64, 64 + 64 + 3 * 64)
  assert result.which == (
    count.Branch('choice', 1, (0, 64)),
    count.Branch('', 0, (192, 0, 64)),
  )
  with pytest.raises(ValueError, match=r'between 64 and 320.*macs_range'):
    count.macs(fn, SQUARE)
  with pytest.raises(ValueError, match='between 64 and 320'):
    count.table(fn, SQUARE)


def test_ranges_pass_through_loops_and_nested_branches():
  def branch(x):
    return lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x)

  def fn(x):
    def nest():
      return branch(x @ x)

    x = lax.cond(x[0, 0] > 1, nest, lambda: x @ x)
    return lax.fori_loop(0, 3, lambda _, c: branch(c), x)

  low, high, which = count.macs_range(fn, SQUARE)
  assert (low, high) == (64, 128 + 3 * 64)
  assert [item.macs for item in which] == [(64, 128), (0, 64), (0, 64)]


def test_equal_branches_are_exact():
  def fn(x):
    return lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: (x + 1) @ x)

  assert count.macs(fn, SQUARE) == 64
  assert count.macs_range(fn, SQUARE) == count.Range(64, 64, ())


def test_vmap_of_a_cond_runs_both_branches():
  def fn(x):
    return lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x)

  assert count.macs(jax.vmap(fn), shape(3, 4, 4)) == 3 * 64


def test_of_a_platform_choice_the_default_counts():
  def fn(x):
    return lax.platform_dependent(
      x, cpu=lambda x: x @ x @ x, tpu=lambda x: x, default=lambda x: x @ x
    )

  assert count.macs(fn, SQUARE) == 64
  assert count.macs(jax.jit(fn), SQUARE) == 64
  assert count.table(lambda w, x: fn(x), {}, SQUARE).macs == 64


def test_a_while_loop_with_macs_is_an_error():
  def fn(x, n):
    return lax.fori_loop(0, n, lambda _, c: c @ c, x)

  with pytest.raises(ValueError, match=r'while loop.*64 MACs.*lax\.scan'):
    count.macs(fn, SQUARE, 3)

  def condition(x):
    return lax.while_loop(lambda c: (c @ c)[0, 0] > 0, lambda c: c - 1, x)

  with pytest.raises(ValueError, match='while loop'):
    count.macs_range(condition, SQUARE)


def test_a_while_loop_without_macs_is_free():
  def fn(x):
    return lax.while_loop(lambda c: c.sum() > 0, lambda c: c - 1, x @ x)

  assert count.macs(fn, SQUARE) == 64


@pytest.mark.parametrize(
  ('fn', 'name'),
  [
    (
      lambda x: pl.pallas_call(lambda a, b: None, out_shape=x)(x),
      'pallas_call',
    ),
    (lambda x: jax.pure_callback(np.square, x, x), 'pure_callback'),
    (lambda x: jnp.linalg.cholesky(x), 'cholesky'),
    (lambda x: jnp.fft.fft(x), 'fft'),
    (
      lambda x: lax.custom_linear_solve(
        lambda v: x @ v, x[0], lambda _, b: b, symmetric=True
      ),
      'custom_linear_solve',
    ),
    (lambda x: jax.ffi.ffi_call('target', x)(x), 'ffi_call'),
    (
      lambda x: jax.export.export(jax.jit(lambda y: y @ y))(x).call(x),
      'call_exported',
    ),
  ],
)
def test_what_cannot_be_counted_is_an_error_with_its_name(fn, name):
  with pytest.raises(ValueError, match=f"'{name}' in 'here"):
    count.macs(lambda x: jax.named_scope('here')(fn)(x), jnp.eye(4))


def test_an_unknown_primitive_is_an_error():
  unknown = jax.extend.core.Primitive('mystery')
  unknown.def_abstract_eval(lambda x: x)
  with pytest.raises(ValueError, match=r"'mystery'.*unknown"):
    count.macs(unknown.bind, SQUARE)


def test_an_error_of_the_function_stays_as_it_is():
  class OwnError(Exception):
    pass

  error = OwnError('whole')

  def fn(x):
    raise error

  for counted in (count.macs, count.macs_range, count.peak_memory, count.table):
    with pytest.raises(OwnError) as caught:
      counted(fn, SQUARE)
    assert caught.value is error
  with pytest.raises(TypeError, match='dot_general'):
    count.macs(jnp.matmul, SQUARE, shape(3, 3))


def test_keyword_arguments_are_traced_or_static_by_their_type():
  def fn(x, *, train, scale, mode=None):
    if train:
      return x @ x @ scale
    return x @ scale if mode == 'eval' else x

  scale = SQUARE
  assert count.macs(fn, SQUARE, train=True, scale=scale) == 128
  assert count.macs(fn, SQUARE, train=False, scale=scale, mode='eval') == 64


@pytest.mark.quick_every(2)
@pytest.mark.parametrize('remat', [False, True])
@pytest.mark.parametrize('train', [False, True])
def test_a_resnet_against_a_count_by_hand(remat, train):
  module = ResNet(remat)
  variables = count.module_shapes(module, IMAGES, train=train)
  kwargs = {'train': train, 'mutable': ['batch_stats']}
  assert count.macs(module, variables, IMAGES, **kwargs) == RESNET_MACS
  assert count.params(variables) == RESNET_PARAMS
  assert count.params(variables['params']) == RESNET_PARAMS
  assert isinstance(count.params(variables), int)
  apply = functools.partial(module.apply, **kwargs)
  for wrap, times in WRAPPERS.values():
    wrapped = wrap(apply)
    assert count.macs(wrapped, variables, IMAGES) == times * RESNET_MACS

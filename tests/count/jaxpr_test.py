"""What an equation runs, how often, and where it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from nasjax.count import jaxpr as program

X = jax.ShapeDtypeStruct((4, 4), jnp.float32)


def only_eqn(fn):
  (eqn,) = program.trace(fn, X).eqns
  return eqn


def names(jaxpr):
  return [eqn.primitive.name for eqn in jaxpr.eqns]


@jax.custom_jvp
def custom(x):
  return jnp.sin(x)


custom.defjvp(lambda primals, tangents: (custom(*primals), tangents[0]))


@pytest.mark.parametrize(
  'fn',
  [
    jax.jit(jnp.sin),
    jax.checkpoint(jnp.sin),
    custom,
    lax.composite(jnp.sin, name='test.sin'),
  ],
)
def test_a_call_runs_its_body_once_on_its_own_operands(fn):
  eqn = only_eqn(fn)
  body = program.called(eqn)
  assert names(body) == ['sin']
  assert [v.aval for v in body.invars] == [v.aval for v in eqn.invars]
  assert program.repeated(eqn) is None
  assert program.nested(eqn)[0] is body


def test_what_is_no_call_has_no_body():
  for fn in (jnp.sin, lambda x: lax.map(jnp.sin, x)):
    assert program.called(only_eqn(fn)) is None
  assert program.repeated(only_eqn(jnp.sin)) is None
  assert program.nested(only_eqn(jnp.sin)) == []


@pytest.mark.parametrize('length', [0, 1, 7])
def test_a_scan_repeats_its_length(length):
  eqn = only_eqn(
    lambda x: lax.scan(lambda c, _: (jnp.sin(c), None), x, length=length)[0]
  )
  body, times = program.repeated(eqn)
  assert (names(body), times) == (['sin'], length)


@pytest.mark.parametrize('devices', [1, 6])
def test_a_shard_map_repeats_on_the_devices_that_it_maps(devices):
  mesh = jax.sharding.AbstractMesh((devices, 2), ('d', 'e'))
  spec = PartitionSpec()
  eqn = only_eqn(
    jax.shard_map(
      jnp.sin, mesh=mesh, in_specs=spec, out_specs=spec, axis_names={'d'}
    )
  )
  body, times = program.repeated(eqn)
  assert (names(body), times) == (['sin'], devices)


def test_a_nested_shard_map_repeats_on_its_own_axes_alone():
  mesh = jax.sharding.AbstractMesh((3, 2), ('d', 'e'))
  spec = PartitionSpec()
  inner = jax.shard_map(jnp.sin, mesh=None, in_specs=spec, out_specs=spec)
  outer = jax.shard_map(
    inner, mesh=mesh, in_specs=spec, out_specs=spec, axis_names={'d'}
  )
  body, times = program.repeated(only_eqn(outer))
  assert (names(body), times) == (['shard_map'], 3)
  body, times = program.repeated(body.eqns[0])
  assert (names(body), times) == (['sin'], 2)


def test_branches_are_in_the_order_of_the_index():
  eqn = program.trace(
    lambda x: lax.switch(1, [jnp.sin, jnp.cos, jnp.tan], x), X
  ).eqns[-1]
  assert [names(branch) for branch in program.branches(eqn)] == [
    ['sin'],
    ['cos'],
    ['tan'],
  ]


def test_of_a_platform_choice_the_default_is_the_only_branch():
  def choice(**functions):
    traced = program.trace(lambda x: lax.platform_dependent(x, **functions), X)
    return program.branches(traced.eqns[-1])

  (default,) = choice(cpu=jnp.sin, default=jnp.cos)
  assert names(default) == ['cos']
  assert len(choice(cpu=jnp.sin, tpu=jnp.cos)) == 2


def test_places_are_paths_of_scopes():
  @jax.jit
  def inner(x):
    with jax.named_scope('in'):
      return jnp.sin(x)

  eqn = only_eqn(lambda x: jax.named_scope('out')(inner)(x))
  assert program.place(eqn) == 'out'
  (body,) = program.called(eqn).eqns
  assert program.place(body, program.place(eqn)) == 'out/in'
  assert program.place(only_eqn(jnp.sin)) == ''


def test_arrays_in_keyword_arguments_are_traced_and_nothing_else_is():
  kwargs = {
    'array': X,
    'tree': {'a': [np.zeros(2)]},
    'flag': True,
    'names': ['batch_stats'],
    'mixed': {'b': (X, 1), 'a': 'mode'},
    'none': None,
  }
  bound, arrays = program.bind(lambda *args, **kwargs: (args, kwargs), kwargs)
  assert arrays == {
    'array': [X],
    'tree': [kwargs['tree']['a'][0]],
    'mixed': [X],
  }
  args, rebuilt = bound(2, 3, arrays=arrays)
  assert args == (2, 3)
  assert rebuilt == kwargs
  # What has no arrays may be no pytree, or of an order that matters.
  assert rebuilt['names'] is kwargs['names']


def test_weights_come_before_keyword_arguments():
  jaxpr = program.trace(
    lambda w, *, a: w @ a['x'], X, a={'x': jnp.ones((4, 3)), 'k': 1}
  )
  assert [var.aval.shape for var in jaxpr.invars] == [(4, 4), (4, 3)]

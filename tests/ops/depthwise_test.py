"""Every form of the depthwise convolution is the same function."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from nasjax.ops import depthwise

SIZES = ((7, 10), (2, 1))  # odd and even, above and below the kernel


def _arguments(size, k, dtype=jnp.float32, batch=2, channels=3):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(batch, *size, channels))
  kernel = rng.normal(size=(k, k, 1, channels))
  return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def _bent(x, kernel, form, **steps):
  """A scalar that is not linear in either argument, so that orders differ."""
  y = depthwise.conv(jnp.tanh(x), kernel, form=form, **steps)
  weights = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
  return jnp.sum(weights * jnp.sin(y))


def _close(actual, expected, tolerance):
  def check(a, b):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * abs(b).max())

  jax.tree.map(check, actual, expected)


def _values_and_gradients(cases, form, **steps):
  """Output and both gradients of each case, compiled as one program."""

  @jax.jit
  def run(cases):
    results = []
    for x, kernel in cases:
      f = functools.partial(depthwise.conv, form=form, **steps)
      y, vjp = jax.vjp(f, x, kernel)
      g = jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
      results.append((y, *vjp(g)))
    return results

  return run(cases)


@pytest.mark.quick_every(5)
@pytest.mark.parametrize('dilation', [1, 2])
@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('k', [3, 5, 7])
def test_taps_equal_native_in_value_and_both_gradients(k, stride, dilation):
  steps = {'stride': stride, 'dilation': dilation}
  # Dilated, most kernels are larger than (6, 5) already.
  sizes = SIZES if dilation == 1 else ((6, 5),)
  cases = [_arguments(size, k) for size in sizes]
  _close(
    _values_and_gradients(cases, 'taps', **steps),
    _values_and_gradients(cases, 'native', **steps),
    1e-5,
  )


@pytest.mark.parametrize(
  ('k', 'stride', 'dilation'), [(1, 3, 1), (3, 2, 2), (5, 4, 1), (7, 1, 1)]
)
def test_taps_equal_native_to_float64(k, stride, dilation):
  with jax.enable_x64(True):
    steps = {'stride': stride, 'dilation': dilation}
    cases = [
      _arguments(size, k, jnp.float64, batch=batch)
      for size, batch in zip(((6, 5), (3, 8)), (1, 3), strict=True)
    ]
    taps = _values_and_gradients(cases, 'taps', **steps)
    assert taps[0][0].dtype == jnp.float64
    _close(taps, _values_and_gradients(cases, 'native', **steps), 1e-12)


def test_bfloat16_is_the_float32_result_rounded_once():
  x, kernel = _arguments((7, 6), 5, jnp.bfloat16)
  (low,) = _values_and_gradients([(x, kernel)], 'taps')
  for z in low:
    assert z.dtype == jnp.bfloat16
  exact = depthwise.conv(
    x.astype(jnp.float32), kernel.astype(jnp.float32), form='native'
  )
  _close(low[0].astype(jnp.float32), exact, 2**-8)


@pytest.mark.parametrize('stride', [2])
def test_auto_equals_native_in_value_and_both_gradients(stride):
  cases = [_arguments(size, 3) for size in SIZES]
  _close(
    _values_and_gradients(cases, 'auto', stride=stride),
    _values_and_gradients(cases, 'native', stride=stride),
    1e-5,
  )


def test_auto_is_taps_on_cpu_and_native_elsewhere():
  x, kernel = _arguments((6, 6), 3)

  def program(platform):
    f = jax.jit(jax.grad(_bent, (0, 1)), static_argnums=2)
    lowered = f.trace(x, kernel, 'auto').lower(lowering_platforms=(platform,))
    return lowered.as_text()

  assert 'convolution' not in program('cpu')
  assert program('cuda').count('stablehlo.convolution') == 3


def test_only_native_is_a_convolution_in_the_traced_program():
  x, kernel = _arguments((6, 6), 3)

  def program(form):
    f = functools.partial(depthwise.conv, form=form)
    return str(jax.make_jaxpr(f)(x, kernel))

  assert 'conv_general_dilated' in program('native')
  assert 'conv_general_dilated' not in program('taps')


def test_taps_stay_calls_of_their_own():
  x, kernel = _arguments((6, 6), 3)
  f = functools.partial(depthwise.conv, form='taps')
  program = jax.jit(f).lower(x, kernel).as_text()
  (call,) = [z for z in program.splitlines() if ' call @run' in z]
  assert 'inlineable = "false"' in call


@pytest.mark.parametrize('stride', [2])
def test_second_derivatives_equal_native_in_every_mode(stride):
  def second(form):
    f = functools.partial(_bent, form=form, stride=stride, dilation=1)

    @jax.jit
    def run(x, kernel):
      primals = x, kernel
      tangents = jnp.cos(x), jnp.sin(kernel)
      grad = jax.grad(f, (0, 1))

      def slope(*primals):
        return jax.jvp(f, primals, tangents)[1]

      def along(*primals):
        return sum(map(jnp.vdot, grad(*primals), tangents))

      return (
        jax.jvp(grad, primals, tangents)[1],  # forward over reverse
        jax.grad(along, (0, 1))(*primals),  # reverse over reverse
        jax.grad(slope, (0, 1))(*primals),  # reverse over forward
        jax.jvp(slope, primals, tangents)[1],  # forward over forward
        jax.hessian(f, 1)(*primals),  # mapped forward over reverse
      )

    return run

  with jax.enable_x64(True):
    arguments = _arguments((5, 4), 3, jnp.float64)
    results = second('taps')(*arguments)
    _close(results, second('native')(*arguments), 1e-12)
    _close(results[1], results[0], 1e-12)
    _close(results[2], results[0], 1e-12)


@pytest.mark.parametrize('axes', [(0, None), (None, 3), (1, 0)])
def test_vmap_equals_a_loop(axes):
  x, kernel = _arguments((5, 4), 3)
  x = x if axes[0] is None else jnp.stack([x, -2 * x, x + 1], axes[0])
  if axes[1] is not None:
    kernel = jnp.stack([kernel, 3 * kernel, kernel - 1], axes[1])

  @jax.jit
  def f(x, kernel):
    grads = jax.grad(_bent, (0, 1))(x, kernel, 'taps', stride=2)
    return depthwise.conv(x, kernel, form='taps'), grads

  def at(z, axis, i):
    return z if axis is None else jnp.take(z, i, axis)

  loop = [f(at(x, axes[0], i), at(kernel, axes[1], i)) for i in range(3)]
  loop = jax.tree.map(lambda *z: jnp.stack(z), *loop)
  _close(jax.jit(jax.vmap(f, axes))(x, kernel), loop, 1e-6)


def test_gradient_of_vmap_equals_vmap_of_gradient():
  x, kernel = _arguments((5, 4), 3)
  xs = jnp.stack([x, -2 * x])
  f = jax.jit(functools.partial(_bent, form='taps'))
  inside = jax.vmap(jax.grad(f), (0, None))(xs, kernel)
  outside = jax.grad(lambda xs: jax.vmap(f, (0, None))(xs, kernel).sum())(xs)
  _close(outside, inside, 1e-6)


def test_rematerialised_and_donated_equals_plain():
  x, kernel = _arguments((7, 6), 3)
  f = jax.jit(functools.partial(_bent, form='auto'))
  expected = jax.grad(f, (0, 1))(x, kernel)
  again = jax.grad(jax.checkpoint(f), (0, 1))
  _close(jax.jit(again, donate_argnums=(0, 1))(x, kernel), expected, 1e-6)


def test_a_replicated_kernel_gets_its_gradient_inside_shard_map():
  x, kernel = _arguments((6, 6), 3)
  mesh = jax.make_mesh((1,), ('data',), (jax.sharding.AxisType.Auto,))
  data, whole = PartitionSpec('data'), PartitionSpec()
  grad = jax.grad(functools.partial(_bent, form='taps'), (0, 1))
  sharded = jax.shard_map(
    grad, mesh=mesh, in_specs=(data, whole), out_specs=(data, whole)
  )
  _close(jax.jit(sharded)(x, kernel), jax.jit(grad)(x, kernel), 1e-6)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'form': 'fast'}, 'fast'),
    ({'stride': 0}, 'stride.*0'),
    ({'dilation': -1}, 'dilation.*-1'),
    ({'x': jnp.ones((4, 4, 3))}, r'\(4, 4, 3\)'),
    ({'kernel': jnp.ones((3, 3, 3))}, r'\(3, 3, 3\)'),
    ({'kernel': jnp.ones((4, 4, 1, 3))}, r'\(4, 4, 1, 3\)'),
    ({'kernel': jnp.ones((3, 5, 1, 3))}, r'\(3, 5, 1, 3\)'),
    ({'kernel': jnp.ones((3, 3, 1, 2))}, r'\(3, 3, 1, 2\)'),
    ({'kernel': jnp.ones((3, 3, 1, 3), jnp.bfloat16)}, 'bfloat16'),
  ],
)
def test_a_wrong_argument_is_refused_with_its_value(change, message):
  x, kernel = _arguments((4, 4), 3)
  arguments = {'x': x, 'kernel': kernel, **change}
  with pytest.raises(ValueError, match=message):
    depthwise.conv(**arguments)

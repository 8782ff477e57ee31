"""Input of an op, its variables, and its counts."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, ops

# An op, with the features and stride of a place it fits, on 8 features.
PLACES = [
  (ops.Conv(3, 'relu', bias=True), 12, 2),
  (ops.Conv(3, 'relu', bias=True, norm=False, padding='valid'), 12, 2),
  (ops.Conv(1, 'hard_swish'), 12, 1),
  (ops.Separable(3), 12, 2),
  (ops.MBConv(5, 3), 8, 1),
  (ops.MBConv(3, 2, 'relu', groups=2, bias=True), 12, 2),
  (ops.MBConv(3, mid=20, activation='hard_swish', se=4), 12, 1),
  (
    ops.MBConv(
      3,
      6,
      'swish',
      se=4,
      se_from='input',
      se_divisor=1,
      se_activation='swish',
      se_gate='sigmoid',
    ),
    8,
    1,
  ),
  (ops.MaxPool(3), 8, 2),
  (ops.MaxPool(3, 'ceil'), 8, 2),
  (ops.Basic(), 8, 1),
  (ops.Basic(), 12, 2),
  (ops.Bottleneck(), 12, 2),
  (ops.Shuffle(), 8, 1),
  (ops.Shuffle(), 12, 2),
  (ops.Fire(4), 12, 1),
  (ops.Classifier(0.1, hidden=16), 5, 1),
  (ops.ConvClassifier(0.1), 5, 1),
]
place = pytest.mark.parametrize(
  ('op', 'features', 'stride'), PLACES, ids=[p[0].name for p in PLACES]
)


def features_in(size=7, features=8):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.normal(size=(2, size, size, features)), jnp.float32)


# Compiling takes most of the time here, and nothing needs to be fast.
jit = functools.partial(
  jax.jit, compiler_options={'xla_backend_optimization_level': 0}
)


def init(module, x):
  """Variables as a new module has them, kernels drawn without compiling."""
  rng = np.random.default_rng(1)
  shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, False))

  def value(path, shape):
    last = path[-1].key
    if last == 'kernel':
      return jnp.asarray(rng.normal(size=shape.shape) / 3, jnp.float32)
    return jnp.full(shape.shape, float(last in ('scale', 'var')))

  return jax.tree_util.tree_map_with_path(value, shapes)


def apply(module, variables, x):
  return jit(module.apply, static_argnums=2)(variables, x, False)


def counted(op, features, stride, inputs=24, size=8):
  """MACs and params as traced, which the op's closed form must equal."""
  place = op, features, stride, (1, size, size, inputs)
  traced = cost.traced('macs', *place), cost.traced('params', *place)
  assert (cost.op_macs(*place), cost.op_params(*place)) == traced
  return traced

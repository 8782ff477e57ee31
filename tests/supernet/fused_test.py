"""Ops that are computed side by side against each by itself."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.ops import MBConv, Numerics, Skip
from nasjax.space import Slot
from nasjax.supernet import Mixed, fused

SEARCHED = (
  MBConv(3, 6),
  MBConv(5, 1),
  Skip(),
  MBConv(3, 1),
  MBConv(5, 3),
  MBConv(3, 3),
)
OTHERS = (
  MBConv(3, 2, 'hard_swish', se=2),
  MBConv(3, 2, bias=True),
  MBConv(3, 1, 'hard_swish'),
  MBConv(3, mid=5, activation='hard_swish', residual=False),
  MBConv(3, 3, bias=True),
  MBConv(3, 2, groups=2),
  MBConv(3, 1, 'hard_swish', se=2, se_from='input'),
  MBConv(3, 4),
  MBConv(3, 1),
)


def _by_itself(slot, numerics, variables, x, probs, train):
  """The sum, and new statistics, with each op's own module."""
  total, stats = 0, {}
  for op, p in zip(slot.ops, probs, strict=True):
    module = op.module(slot.features, slot.stride, numerics)
    own = {kind: tree.get(op.name, {}) for kind, tree in variables.items()}
    y, new = module.apply(own, x, train, mutable=['batch_stats'])
    total += p * y
    if new.get('batch_stats'):
      stats[op.name] = new['batch_stats']
  return total, stats


@pytest.mark.drawn(4)
@pytest.mark.slow
@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize(
  ('ops', 'features', 'stride', 'form'),
  [
    (SEARCHED, 6, 1, 'taps'),
    (SEARCHED[:2] + SEARCHED[3:], 7, 2, 'native'),
    (OTHERS, 6, 1, 'taps'),
    (OTHERS, 8, 2, 'taps'),
  ],
)
def test_side_by_side_is_each_by_itself(
  x64, ops, features, stride, form, train
):
  """Outputs, statistics and all gradients."""
  slot, numerics = Slot('a', ops, features, stride), Numerics(lowering=form)
  assert sum(map(len, fused.groups(ops))) >= 5
  mixed = Mixed(slot, numerics)
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (3, 5, 5, 6))
  probs = jax.random.uniform(keys[1], (len(ops),))
  variables = mixed.init(keys[2], x, probs, False)
  # Statistics and scales that differ from channel to channel.
  rng = np.random.default_rng(0)
  noisy = lambda v: jnp.asarray(v + rng.uniform(0.1, 0.9, v.shape))  # noqa: E731
  variables = jax.tree.map(noisy, variables)

  def together(variables, x, probs):
    y, new = mixed.apply(variables, x, probs, train, mutable=['batch_stats'])
    return y, new['batch_stats']

  def apart(variables, x, probs):
    return _by_itself(slot, numerics, variables, x, probs, train)

  def all_of(run):
    def scalar(params, x, probs):
      own = {**variables, 'params': params}
      y, stats = run(own, x, probs)
      return jnp.sin(y).sum(), (y, stats)

    grad = jax.value_and_grad(scalar, argnums=(0, 1, 2), has_aux=True)
    return jax.jit(grad)(variables['params'], x, probs)

  chex.assert_trees_all_close(
    all_of(together), all_of(apart), rtol=1e-10, atol=1e-10
  )


def test_what_draws_or_shuffles_by_itself_stands_alone():
  class Mine(MBConv):
    pass

  alone = Mine(3, 1), MBConv(3, 1, groups=2), MBConv(3, 1, drop_path=0.1)
  assert fused.groups([MBConv(3, 1), *alone, Skip()]) == []
  assert fused.groups([MBConv(3, 1), *alone, MBConv(3, 2)]) == [[0, 4]]

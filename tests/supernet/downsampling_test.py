"""Patterns of downsampling: one runs, weights shared, statistics apart."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import count, ops, spaces
from nasjax.space import at_pattern
from nasjax.supernet import Entangled, Supernet

SPACE = spaces.tiny_macro(num_classes=4)
TAPS = ops.Numerics(lowering='taps')
KINDS = [Supernet, Entangled]


def _images():
  return jax.random.normal(jax.random.key(7), (4, 8, 8, 1))


def _one_hot(pattern):
  """The first op of every slot, and a pattern."""
  hot = {n: jax.nn.one_hot(0, len(c)) for n, c in SPACE.choices.items()}
  return hot | {'pattern': jax.nn.one_hot(pattern, len(SPACE.patterns))}


@functools.cache
def _variables(kind):
  init = functools.partial(kind(SPACE, TAPS).init, train=False)
  variables = jax.jit(init)(jax.random.key(0), _images(), _one_hot(0))
  # Other statistics in every pattern.
  rng = np.random.default_rng(0)
  stats = jax.tree.map(
    lambda x: jnp.asarray(rng.uniform(0.5, 1.5, x.shape), x.dtype),
    variables['batch_stats'],
  )
  return {**variables, 'batch_stats': stats}


def _row(stats, i):
  return jax.tree.map(lambda x: x[i], stats)


@pytest.mark.slow
@pytest.mark.parametrize('kind', KINDS)
def test_variables_are_those_of_every_pattern(kind):
  """Weights as any pattern has them; statistics with one row per pattern."""
  found = _variables(kind)
  for i in range(len(SPACE.patterns)):
    net = kind(at_pattern(SPACE, i), TAPS)
    own = jax.eval_shape(
      functools.partial(net.init, train=False),
      jax.random.key(0),
      _images(),
      _one_hot(i),
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(
      found['params'], own['params']
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(
      _row(found['batch_stats'], i), own['batch_stats']
    )


@pytest.mark.slow
def test_weights_are_drawn_as_those_of_one_pattern():
  net = Supernet(at_pattern(SPACE, 0), TAPS)
  own = jax.jit(functools.partial(net.init, train=False))(
    jax.random.key(0), _images(), _one_hot(0)
  )
  found = _variables(Supernet)
  chex.assert_trees_all_close(found['params'], own['params'], rtol=1e-6)


@pytest.mark.quick_every(4)
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('train', [True, False])
def test_a_pattern_is_the_network_of_that_pattern(kind, train):
  """Named by the index or the most probable; other statistics stay."""
  v = _variables(kind)
  mutable = ['batch_stats']

  @functools.partial(jax.jit, static_argnums=0)
  def run(net, stats, probs, index=None):
    return net.apply(
      {'params': v['params'], 'batch_stats': stats},
      _images(),
      probs,
      train=train,
      index=index,
      mutable=mutable,
    )

  whole, outputs = kind(SPACE, TAPS), []
  for i in range(len(SPACE.patterns)):
    expected, new = run(
      kind(at_pattern(SPACE, i), TAPS), _row(v['batch_stats'], i), _one_hot(i)
    )
    by_probs = run(whole, v['batch_stats'], _one_hot(i))
    # The index counts, not the probability; `[i]` is what relaxations return.
    by_index = run(
      whole, v['batch_stats'], _one_hot(1 - i), {'pattern': jnp.array([i])}
    )
    for logits, after in (by_probs, by_index):
      np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
      rows, before = after['batch_stats'], v['batch_stats']
      chex.assert_trees_all_close(
        _row(rows, i), new['batch_stats'], rtol=1e-5, atol=1e-6
      )
      chex.assert_trees_all_equal(_row(rows, 1 - i), _row(before, 1 - i))
    outputs.append(expected)
  assert jnp.abs(outputs[0] - outputs[1]).max() > 1e-3


def test_without_a_pattern_there_is_one_clear_message():
  probs = {n: p for n, p in _one_hot(0).items() if n != 'pattern'}
  with pytest.raises(ValueError, match="probs lacks the choice 'pattern'"):
    Supernet(SPACE, TAPS).apply(
      _variables(Supernet), _images(), probs, train=False
    )


def test_macs_of_a_known_pattern_are_those_of_its_network():
  native = ops.Numerics(lowering='native')
  found = []
  for i in range(len(SPACE.patterns)):
    probs = _one_hot(i)

    def macs(net, probs=probs):
      init = functools.partial(net.init, train=False)
      variables = jax.eval_shape(init, jax.random.key(0), _images(), probs)
      run = lambda v: net.apply(v, _images(), probs, train=False)  # noqa: E731
      return count.macs(run, variables)

    found.append(macs(Supernet(SPACE, native)))
    assert found[i] == macs(Supernet(at_pattern(SPACE, i), native))
  assert found[0] < found[1]


@pytest.mark.slow
def test_the_preset_with_patterns_is_a_network():
  """Traced in training mode: logits, and statistics of the same structure."""
  space = spaces.mobile_macro_small()
  probs = {n: jnp.full(len(c), 1 / len(c)) for n, c in space.choices.items()}
  images = jnp.zeros((2, space.image_size, space.image_size, space.channels))
  net = Supernet(space)
  init = functools.partial(net.init, train=False)
  variables = jax.eval_shape(init, jax.random.key(0), images, probs)
  logits, new = jax.eval_shape(
    lambda v: net.apply(
      v,
      images,
      probs,
      train=True,
      index={'pattern': jnp.int32(1)},
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(0)},
    ),
    variables,
  )
  assert logits.shape == (2, space.num_classes)
  chex.assert_trees_all_equal_shapes_and_dtypes(
    new['batch_stats'], variables['batch_stats']
  )

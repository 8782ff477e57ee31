"""Patterns of downsampling: drawn, run alone, and learned without bias."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, ops, search, spaces
from nasjax import space as space_lib
from nasjax.supernet import Supernet, downsampling

SPACE = spaces.tiny_macro(num_classes=4)
TAPS = ops.Numerics(lowering='taps')


def _probs(alphas):
  return {'pattern': jax.nn.softmax(alphas)}


def test_the_estimated_gradient_is_unbiased_for_any_baseline(x64):
  """Its mean over all draws is the gradient of the expected loss."""
  alphas = jnp.array([0.3, -0.2, 0.9])
  losses = jnp.array([2.0, 0.5, 1.0])
  expected = jax.grad(lambda a: jax.nn.softmax(a) @ losses)(alphas)
  p = jax.nn.softmax(alphas)

  def estimate(i, baseline):
    def score(a):
      return downsampling.score(losses[i], _probs(a), i, baseline)[0]

    return jax.grad(score)(alphas)

  for numbers in ((0.9, 0.5), (7.0, 1.0)):
    baseline = downsampling.Baseline(*map(jnp.float64, numbers))
    mean = sum(p[i] * estimate(i, baseline) for i in range(3))
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


def test_the_value_is_the_loss_and_the_first_one_teaches_nothing():
  start = downsampling.baseline_init()
  score = lambda a: downsampling.score(2.5, _probs(a), 1, start)[0]  # noqa: E731
  value, slope = jax.value_and_grad(score)(jnp.zeros(3))
  assert float(value) == 2.5
  assert not slope.any()


def test_the_baseline_is_the_weighted_mean_of_the_losses():
  baseline, losses = downsampling.baseline_init(), [3.0, 1.0, 2.0]
  for loss in losses:
    _, baseline = downsampling.score(
      jnp.float32(loss), _probs(jnp.zeros(2)), 0, baseline, decay=0.5
    )
  mean = (3.0 * 0.125 + 1.0 * 0.25 + 2.0 * 0.5) / (0.125 + 0.25 + 0.5)
  assert float(baseline.total / baseline.weight) == pytest.approx(mean)


def test_patterns_are_drawn_by_their_probabilities():
  """Binomial bound of 5 standard deviations."""
  n, probs = 20_000, _probs(jnp.array([0.0, 1.0, -1.0]))
  keys = jax.random.split(jax.random.key(0), n)
  drawn = jax.vmap(lambda k: downsampling.draw(k, probs))(keys)
  share = jnp.bincount(drawn, length=3) / n
  p = probs['pattern']
  assert (jnp.abs(share - p) < 5 * jnp.sqrt(p * (1 - p) / n)).all()


def test_weights_have_the_same_shapes_in_every_pattern():
  images = jnp.zeros((2, 8, 8, 1))
  probs = {k: jnp.ones(len(n)) for k, n in SPACE.choices.items()}
  shapes = [
    jax.eval_shape(
      lambda net=net: net.init(jax.random.key(0), images, probs, train=False)
    )
    for net in downsampling.networks(SPACE, TAPS)
  ]
  chex.assert_trees_all_equal_shapes(*shapes)


def test_the_drawn_pattern_alone_runs_and_updates_its_statistics():
  stats = {'mean': jnp.zeros((3, 2))}
  each = [
    lambda own, i=i: (jnp.float32(i), {'mean': own['mean'] + i + 1})
    for i in range(3)
  ]
  for i in range(3):
    logits, after = jax.jit(
      lambda index: downsampling.call(each, index, stats)
    )(i)
    expected = np.zeros((3, 2))
    expected[i] = i + 1
    assert float(logits) == i
    np.testing.assert_array_equal(after['mean'], expected)


def test_a_space_with_patterns_is_not_mixed():
  with pytest.raises(ValueError, match='early, late'):
    Supernet(SPACE).init(
      jax.random.key(0), jnp.zeros((1, 8, 8, 1)), {}, train=False
    )


def test_a_search_learns_the_pattern():
  """Without a task, the price alone: the cheaper pattern gains probability."""
  images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(32, dtype=np.int32) % 4)
  macs = cost.macs(SPACE)
  parts = search.make(
    SPACE,
    data.Batches(8, (0.5,), (0.3,)),
    [(macs, constraint.linear(1.0, macs.bounds()[1]))],
    weight_tx=optax.sgd(0.05),
    alpha_tx=optax.adam(0.05),
  )
  init, step = jax.jit(parts.init), jax.jit(parts.step)
  state = init(jax.random.key(0), arrays, arrays)
  before, seen = state, set()
  for _ in range(12):
    state, metrics = step(state, arrays, arrays)
    seen.add(int(metrics['pattern']))
  assert seen == {0, 1}
  # Downsampling early is cheaper: its slots see a quarter of the pixels.
  index = {name: i for i, name in enumerate(SPACE.patterns)}
  gain = state.alphas['pattern'] - before.alphas['pattern']
  assert gain[index['early']] > 0.2 > gain[index['late']]
  changed = jax.tree.map(
    lambda a, b: (a != b).any(tuple(range(1, a.ndim))),
    state.batch_stats,
    before.batch_stats,
  )
  assert all(bool(x.all()) for x in jax.tree.leaves(changed))
  found = space_lib.argmax(SPACE, state.alphas)
  assert not space_lib.fix(SPACE, found).choices


def test_a_search_learns_the_pattern_from_the_task():
  """Without a price, by what its loss is above or below the baseline."""
  images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(32, dtype=np.int32) % 4)
  macs = cost.macs(SPACE)
  parts = search.make(
    SPACE,
    data.Batches(8, (0.5,), (0.3,)),
    [(macs, constraint.linear(0.0, macs.bounds()[1]))],
    weight_tx=optax.sgd(0.05),
    alpha_tx=optax.sgd(1.0),
  )
  step = jax.jit(parts.alpha_step)
  start = jax.jit(parts.init)(jax.random.key(0), arrays, arrays)
  first, metrics = step(start, arrays, arrays)
  # The first loss is its own baseline.
  np.testing.assert_array_equal(
    first.alphas['pattern'], start.alphas['pattern']
  )
  assert first.baseline.weight > 0
  mean = first.baseline.total / first.baseline.weight
  np.testing.assert_allclose(mean, metrics['valid_loss'], rtol=1e-6)
  second, metrics = step(first, arrays, arrays)
  move = second.alphas['pattern'] - first.alphas['pattern']
  # What was drawn gains where its loss is the lower one, and else it loses.
  better = metrics['valid_loss'] < mean
  assert (move[metrics['pattern']] > 0) == better
  np.testing.assert_allclose(move.sum(), 0.0, atol=1e-6)
  assert move.any()
  assert second.baseline.weight > first.baseline.weight

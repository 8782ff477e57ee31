"""Drawn choices: sampled by their probabilities, learned without bias."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, search, spaces
from nasjax import space as space_lib
from nasjax.search import (
  score_function,
)
from nasjax.space import Choice

SPACE = spaces.tiny_macro(num_classes=4)


def _probs(alphas):
  return {'pattern': jax.nn.softmax(alphas)}


def _index(i):
  return {'pattern': jnp.asarray(i)}


def test_the_estimated_gradient_is_unbiased_for_any_baseline(x64):
  """Its mean over all draws is the gradient of the expected loss."""
  alphas = jnp.array([0.3, -0.2, 0.9])
  losses = jnp.array([2.0, 0.5, 1.0])
  expected = jax.grad(lambda a: jax.nn.softmax(a) @ losses)(alphas)
  p = jax.nn.softmax(alphas)

  def estimate(i, baseline):
    def score(a):
      return score_function.score(losses[i], _probs(a), _index(i), baseline)[0]

    return jax.grad(score)(alphas)

  for numbers in ((0.9, 0.5), (7.0, 1.0)):
    baseline = score_function.Baseline(*map(jnp.float64, numbers))
    mean = sum(p[i] * estimate(i, baseline) for i in range(3))
    np.testing.assert_allclose(mean, expected, rtol=1e-12)


def test_the_value_is_the_loss_and_the_first_one_teaches_nothing():
  start = score_function.baseline_init()
  score = lambda a: score_function.score(2.5, _probs(a), _index(1), start)[0]  # noqa: E731
  value, slope = jax.value_and_grad(score)(jnp.zeros(3))
  assert float(value) == 2.5
  assert not slope.any()


def test_the_baseline_is_the_weighted_mean_of_the_losses():
  baseline, losses = score_function.baseline_init(), [3.0, 1.0, 2.0]
  for loss in losses:
    _, baseline = score_function.score(
      jnp.float32(loss), _probs(jnp.zeros(2)), _index(0), baseline, decay=0.5
    )
  mean = (3.0 * 0.125 + 1.0 * 0.25 + 2.0 * 0.5) / (0.125 + 0.25 + 0.5)
  assert float(baseline.total / baseline.weight) == pytest.approx(mean)


def test_options_are_drawn_by_their_probabilities():
  """Binomial bound of 5 standard deviations."""
  n, probs = 20_000, _probs(jnp.array([0.0, 1.0, -1.0]))
  keys = jax.random.split(jax.random.key(0), n)
  choices = {'pattern': Choice(('a', 'b', 'c'), drawn=True)}
  index = jax.vmap(lambda k: score_function.draw(k, choices, probs))(keys)
  share = jnp.bincount(index['pattern'], length=3) / n
  p = probs['pattern']
  assert (jnp.abs(share - p) < 5 * jnp.sqrt(p * (1 - p) / n)).all()


def test_the_estimate_of_several_choices_is_unbiased(x64):
  """Two names, one of them an array of choices; all draws are enumerated."""
  alphas = {
    'a': jnp.array([0.3, -0.2, 0.9]),
    'b': jnp.array([[0.1, 0.4], [-0.3, 0.2]]),
  }
  losses = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 2)))
  softmax = lambda a: jax.tree.map(jax.nn.softmax, a)  # noqa: E731

  def expected(a):
    p = softmax(a)
    return jnp.einsum('ijk,i,j,k', losses, p['a'], *p['b'])

  wanted, p = jax.grad(expected)(alphas), softmax(alphas)
  baseline = score_function.Baseline(jnp.float64(0.7), jnp.float64(1.0))
  mean = jax.tree.map(jnp.zeros_like, alphas)
  for i, j, k in itertools.product(range(3), range(2), range(2)):
    index = {'a': jnp.array(i), 'b': jnp.array([j, k])}
    g = jax.grad(
      lambda a, index=index, loss=losses[i, j, k]: score_function.score(
        loss, softmax(a), index, baseline
      )[0]
    )(alphas)
    weight = p['a'][i] * p['b'][0, j] * p['b'][1, k]
    mean = jax.tree.map(lambda m, g, w=weight: m + w * g, mean, g)
  for name, values in wanted.items():
    np.testing.assert_allclose(mean[name], values, rtol=1e-10)


def test_choices_are_drawn_independently_and_others_not_at_all():
  choices = {
    'op': Choice(('x', 'y')),
    'a': Choice(('x', 'y'), drawn=True),
    'b': Choice(('x', 'y'), shape=(2,), drawn=True),
  }
  probs = {n: jnp.full((*c.shape, 2), 0.5) for n, c in choices.items()}
  keys = jax.random.split(jax.random.key(0), 4000)
  index = jax.vmap(lambda k: score_function.draw(k, choices, probs))(keys)
  assert set(index) == {'a', 'b'}
  columns = np.column_stack([index['a'], index['b']])
  correlation = np.corrcoef(columns.T) - np.eye(3)
  assert np.abs(correlation).max() < 5 / 4000**0.5


@pytest.mark.slow
def test_a_search_learns_the_pattern():
  """Without a task, the price alone: the cheaper pattern gains probability."""
  images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(32, dtype=np.int32) % 4)
  macs = cost.macs(SPACE)
  parts = search.make(
    SPACE.search_network(),
    SPACE.choices,
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


@pytest.mark.slow
def test_a_search_learns_the_pattern_from_the_task():
  """Without a price, by what its loss is above or below the baseline."""
  images = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(32, dtype=np.int32) % 4)
  macs = cost.macs(SPACE)
  parts = search.make(
    SPACE.search_network(),
    SPACE.choices,
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

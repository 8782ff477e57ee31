"""The training step: averages, precision, teachers."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import data, ops, spaces, train
from nasjax.train import distill
from tests.train.train_cases import ARRAYS, BATCHES, make_network, run_states


@pytest.mark.slow
def test_averages_are_of_weights_and_statistics_and_move_nothing_else():
  plain, _ = run_states(3)
  averaged, _ = run_states(3, decay=0.15)
  assert plain[-1].ema == ()
  for field in ('params', 'batch_stats'):
    # Two programs, which a compiler may round differently.
    chex.assert_trees_all_close(
      getattr(plain[-1], field),
      getattr(averaged[-1], field),
      rtol=1e-6,
      atol=1e-7,
    )
  # The decays are 1/10, then the smaller of 2/11 and 0.15: in closed form.
  shares = [0.1 * 0.15**2, 0.9 * 0.15**2, 0.85 * 0.15, 0.85]
  for field in ('params', 'batch_stats'):
    expected = jax.tree.map(
      lambda *x: sum(s * y for s, y in zip(shares, x, strict=True)),
      *(getattr(state, field) for state in plain),
    )
    found = getattr(train.weights(averaged[-1]), field)
    chex.assert_trees_all_close(found, expected, rtol=1e-5, atol=1e-6)
  assert train.weights(plain[-1]).params is plain[-1].params


@pytest.mark.slow
def test_bfloat16_is_computed_in_and_float32_is_kept():
  numerics = ops.Numerics(dtype=jnp.bfloat16)
  (first, last), metrics = run_states(1, numerics=numerics, decay=0.9)
  (_, exact), exact_metrics = run_states(1)
  kept = last.params, last.batch_stats, last.ema
  assert {x.dtype for x in jax.tree.leaves(kept)} == {jnp.dtype('float32')}
  loss, wanted = (float(m['train_loss']) for m in (metrics, exact_metrics))
  assert loss != wanted
  assert loss == pytest.approx(wanted, rel=0.02)
  moved = jax.tree.map(lambda a, b: a - b, last.params, first.params)
  wanted = jax.tree.map(lambda a, b: a - b, exact.params, first.params)
  apart = jax.tree.map(lambda a, b: a - b, moved, wanted)
  assert optax.tree.norm(apart) < 0.1 * optax.tree.norm(wanted)


@pytest.mark.slow
def test_a_teacher_has_the_say_that_its_weight_gives_it():
  """All of it: labels do not matter. None: the training is the same."""
  shuffled = ARRAYS._replace(labels=ARRAYS.labels[::-1])
  (taught, *_), _ = run_states(0)
  variables = {'params': taught.params, 'batch_stats': taught.batch_stats}
  variables = jax.tree.map(lambda x: 1.5 * x, variables)

  def last(weight, arrays):
    teacher = distill.Teacher(make_network(), (0.5,), (0.3,), weight)
    states, _ = run_states(1, arrays, variables, teacher=teacher)
    return states[-1].params

  chex.assert_trees_all_equal(last(1.0, ARRAYS), last(1.0, shuffled))
  (*_, alone), _ = run_states(1)
  chex.assert_trees_all_equal(last(0.0, ARRAYS), alone.params)


def test_a_space_with_choices_is_not_trained():
  parts = train.make(spaces.tiny().network(), BATCHES, tx=optax.sgd(0.1))
  with pytest.raises(ValueError, match=r'lacks the choices stage1_1, .*fix'):
    parts.init(jax.random.key(0), ARRAYS)


def test_any_module_is_trained():
  """At its own image size, with and without batch norm."""

  class Own(nn.Module):
    norm: bool

    @nn.compact
    def __call__(self, images, probs, *, train):
      assert not probs
      h = nn.Dense(8)(images.reshape(len(images), -1))
      if self.norm:
        h = nn.BatchNorm(not train)(h)
      return nn.Dense(3)(nn.relu(h))

  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (6, 5, 7, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(6, dtype=np.int32) % 3)
  for norm in (True, False):
    batches = data.Batches(6, (0.5,), (0.3,))
    parts = train.make(Own(norm), batches, tx=optax.adam(0.05), smoothing=0.0)
    state = parts.init(jax.random.key(0), arrays)
    assert bool(state.batch_stats) == norm
    step, losses = jax.jit(parts.step), []
    for _ in range(20):
      state, metrics = step(state, arrays)
      losses.append(float(metrics['train_loss']))
    assert losses[-1] < 0.2 * losses[0]
    labels = train.predict(Own(norm), batches)(
      state.params, state.batch_stats, images
    )
    assert labels.shape == (6,)


def test_an_average_that_never_moves_is_refused():
  with pytest.raises(ValueError, match=r'a decay in \[0, 1\), got 1'):
    train.make(make_network().network(), BATCHES, tx=optax.sgd(0.1), decay=1.0)

"""Optimizers: each against its own recurrence, and what all have in common."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import spaces
from nasjax.supernet import Supernet
from nasjax.train import optimizers

ALL = {
  'sgd': optimizers.sgd,
  'rmsprop': optimizers.rmsprop,
  'adamw': optimizers.adamw,
}
GRADIENTS = np.random.default_rng(0).normal(size=(6, 3))


def _walk(tx, start, gradients):
  """Where a vector is after each of some gradients."""
  params, opt_state, path = jnp.asarray(start), None, []
  opt_state = tx.init(params)
  for g in gradients:
    updates, opt_state = tx.update(jnp.asarray(g), opt_state, params)
    params = optax.apply_updates(params, updates)
    path.append(np.asarray(params))
  return np.array(path)


def test_sgd_is_nesterovs_recurrence(x64):
  w, m, path = np.ones((3, 1)), np.zeros((3, 1)), []
  gradients = GRADIENTS[..., None]
  for g in gradients:
    g = g + 0.01 * w
    m = 0.9 * m + g
    w = w - 0.1 * (g + 0.9 * m)
    path.append(w)
  tx = optimizers.sgd(0.1, weight_decay=0.01)
  np.testing.assert_allclose(_walk(tx, np.ones((3, 1)), gradients), path)


def test_rmsprop_is_tensorflows_recurrence(x64):
  """Its mean square starts at 1, and the rate is inside the momentum."""
  rate = optimizers.staircase(0.1, 2, 0.5)
  w, s, m, path = np.ones((3, 1)), np.ones((3, 1)), np.zeros((3, 1)), []
  gradients = GRADIENTS[..., None]
  for i, g in enumerate(gradients):
    g = g + 0.01 * w
    s = 0.9 * s + 0.1 * g**2
    m = 0.8 * m + 0.1 * 0.5 ** (i // 2) * g / np.sqrt(s + 0.3)
    w = w - m
    path.append(w)
  tx = optimizers.rmsprop(rate, weight_decay=0.01, momentum=0.8, epsilon=0.3)
  found = _walk(tx, np.ones((3, 1)), gradients)
  np.testing.assert_allclose(found, path, rtol=1e-6)


@pytest.mark.parametrize('gradient', [0.0, 1e-3])
def test_adamw_can_be_looked_ahead_to_where_no_gradient_has_been(gradient):
  """As a hypergradient does: through the update, in the gradient."""
  tx, weight = optimizers.adamw(0.1), jnp.ones(())

  def after(g):
    update, _ = tx.update(g, tx.init(weight), weight)
    return update

  slope = jax.grad(after)(jnp.float32(gradient))
  assert np.isfinite(slope)


def test_adamw_is_its_papers_recurrence(x64):
  w, m, v, path = np.ones((3, 1)), 0.0, 0.0, []
  gradients = GRADIENTS[..., None]
  for i, g in enumerate(gradients, 1):
    m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
    step = m / (1 - 0.8**i) / (np.sqrt(v / (1 - 0.9**i)) + 1e-8)
    w = w - 0.1 * (step + 0.05 * w)
    path.append(w)
  tx = optimizers.adamw(0.1, weight_decay=0.05, b1=0.8, b2=0.9)
  found = _walk(tx, np.ones((3, 1)), gradients)
  np.testing.assert_allclose(found, path, rtol=1e-6)


@functools.cache
def _shapes():
  """Of the parameters of a network with ops of all kinds."""
  tiny = spaces.tiny()
  probs = {slot: jnp.ones(len(ops)) for slot, ops in tiny.choices.items()}
  init = functools.partial(Supernet(tiny).init, train=False)
  images = jnp.zeros((1, 8, 8, 1))
  return jax.eval_shape(init, jax.random.key(0), images, probs)['params']


@pytest.mark.quick_every(3)
@pytest.mark.parametrize('name', ALL)
def test_only_kernels_decay_in_a_real_network(name):
  """Kernels of all kinds shrink; what is called scale or bias stays."""
  params = jax.tree.map(lambda s: jnp.ones(s.shape), _shapes())
  tx = ALL[name](0.1, weight_decay=0.1)
  zero = jax.tree.map(jnp.zeros_like, params)
  updates, _ = tx.update(zero, tx.init(params), params)
  seen = set()
  for path, update in jax.tree_util.tree_leaves_with_path(updates):
    kind = path[-1].key
    seen.add(kind)
    assert bool((update < 0).all()) == (kind == 'kernel'), path
    assert bool((update == 0).all()) == (kind != 'kernel'), path
  assert seen == {'kernel', 'scale', 'bias'}


@pytest.mark.parametrize('name', ALL)
def test_a_clipped_gradient_has_that_norm_and_its_direction(name):
  """A longer gradient moves as its clipped self does, a shorter as itself."""
  start = {'a': jnp.ones(2), 'b': jnp.ones(1)}
  g = {'a': jnp.array([3.0, 0.0]), 'b': jnp.array([-4.0])}  # of norm 5

  def update(gradient, **options):
    tx = ALL[name](0.1, weight_decay=0.0, **options)
    return tx.update(gradient, tx.init(start), start)[0]

  scaled = jax.tree.map(lambda x: x / 5 * 0.5, g)
  for found, wanted in (
    (update(g, clip_norm=0.5), update(scaled)),
    (update(g, clip_norm=5.1), update(g)),
  ):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, wanted
    )


def test_the_loss_of_the_decay_has_the_decay_for_a_gradient():
  """What the optimizer adds to a gradient of 0 is what momentum keeps."""
  params = {'a': {'kernel': jnp.ones((2, 3)), 'scale': jnp.ones(3)}}
  zeros = jax.tree.map(jnp.zeros_like, params)
  tx = optimizers.sgd(1.0, weight_decay=0.3)
  _, state = tx.update(zeros, tx.init(params), params)
  slope = jax.grad(optimizers.decay)(params, 0.3)
  assert slope['a']['kernel'].any()
  chex.assert_trees_all_close(slope, optax.tree.get(state, 'trace'))


def test_clipping_leaves_the_decay_as_it_is():
  params = {'kernel': jnp.ones((2, 2))}
  zero = jax.tree.map(jnp.zeros_like, params)
  tx = optimizers.sgd(1.0, weight_decay=0.1, momentum=0.0, clip_norm=1e-3)
  updates, _ = tx.update(zero, tx.init(params), params)
  np.testing.assert_allclose(updates['kernel'], -0.1, rtol=1e-6)


def test_the_cosine_rises_to_its_peak_and_falls_to_0():
  rate = optimizers.cosine(0.4, 100)
  found = np.array([rate(i) for i in range(101)])
  assert found[0] == 0
  assert found.argmax() == 5
  assert found[5] == pytest.approx(0.4)
  assert found[100] == pytest.approx(0.0, abs=1e-7)
  fallen = 0.2 * (1 + np.cos(np.pi * np.arange(96) / 95))
  np.testing.assert_allclose(found[5:], fallen, atol=1e-6)


def test_stairs_are_counted_from_the_start_warm_up_or_not():
  plain = optimizers.staircase(0.1, 4, 0.1)
  warm = optimizers.staircase(0.1, 4, 0.1, warmup_steps=6)
  for step in range(13):
    wanted = 0.1 * 0.1 ** (step // 4)
    assert float(plain(step)) == pytest.approx(wanted)
    assert float(warm(step)) == pytest.approx(wanted * min(1, step / 6))
  assert float(jax.jit(warm)(jnp.int32(5))) == pytest.approx(0.01 * 5 / 6)


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('options', [{'weight_decay': -1}, {'clip_norm': 0}])
def test_wrong_hyper_parameters_are_refused(name, options):
  with pytest.raises(
    ValueError, match=f'{name} requires {next(iter(options))}'
  ):
    ALL[name](0.1, **options)


@pytest.mark.parametrize(
  ('function', 'args', 'options'),
  [
    (optimizers.cosine, (0.0, 10), {}),
    (optimizers.cosine, (0.1, 0), {}),
    (optimizers.cosine, (0.1, 10), {'warmup_steps': 10}),
    (optimizers.staircase, (0.1, 0, 0.5), {}),
    (optimizers.staircase, (0.1, 5, 1.5), {}),
    (optimizers.staircase, (-0.1, 5, 0.5), {}),
    (optimizers.sgd, (0.1,), {'momentum': 1.0}),
    (optimizers.rmsprop, (0.1,), {'epsilon': 0.0}),
    (optimizers.rmsprop, (0.1,), {'decay': 1.0}),
    (optimizers.adamw, (0.1,), {'b2': -0.1}),
  ],
)
def test_wrong_numbers_are_refused(function, args, options):
  with pytest.raises(ValueError, match=f'{function.__name__} requires'):
    function(*args, **options)

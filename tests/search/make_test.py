"""What alphas know of the weights: orders of a search, on a mobile network."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import constraint, cost, data, guard, ops, search, spaces
from nasjax.search import hypergradient

# Depthwise convolutions of two sizes, pooling and a skip; small enough for
# float64, and with dropout, so that noise has to be the same where it should.
SPACE = spaces.mobile(
  [
    spaces.Stage(
      6, 1, candidates=(ops.MBConv(3, 1), ops.MaxPool(3), ops.Skip())
    ),
    spaces.Stage(8, 1, 2, candidates=(ops.MBConv(3, 1), ops.MBConv(5, 2))),
  ],
  image_size=8,
  channels=1,
  num_classes=4,
  stem=6,
  stem_stride=2,
  head=16,
  dropout=0.2,
)
MACS = cost.macs(SPACE)
BATCHES = data.Batches(16, (0.4,), (0.3,), data.Augment(pad=1, flip=True))
RATE = 0.05
GUARDS = guard.Guards(
  entropy=lambda step: 0.1 * (step + 1), skip_dropout=lambda step: 0.5
)


def _arrays(seed):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (48, 8, 8, 1), np.uint8)
  return data.Arrays(images, np.arange(48, dtype=np.int32) % 4)


TRAIN, VALID = _arrays(0), _arrays(1)


ORDERS = 'first', 'second', 'implicit'


def _make(order, *, form='native', weight_tx=None, series=(), **kwargs):
  weight_tx = weight_tx or optax.sgd(RATE, momentum=0.9, nesterov=True)
  implicit = hypergradient.implicit_with(**dict(series))
  second = functools.partial(hypergradient.second, tx=weight_tx)
  hypergradients = hypergradient.first, second, implicit
  numerics = ops.Numerics(lowering=form, dtype=jnp.float64)
  return search.make(
    SPACE.search_network(numerics),
    SPACE.choices,
    BATCHES,
    [(MACS, constraint.linear(0.3, MACS.bounds()[1]))],
    weight_tx=weight_tx,
    alpha_tx=optax.sgd(1.0),  # A step is minus the gradient.
    hypergradient=dict(zip(ORDERS, hypergradients, strict=True))[order],
    temperature=lambda step: 1.0 - 0.1 * step,
    guards=GUARDS,
    **kwargs,
  )


def _double(tree):
  """All floats in double precision, weights and optimizer included."""

  def cast(x):
    return x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x

  return jax.tree.map(cast, tree)


@functools.cache
def _weight_step():
  return jax.jit(_make('first').weight_step)


@functools.cache
def _alpha_step(order, form='native', **kwargs):
  return jax.jit(_make(order, form=form, **kwargs).alpha_step)


@functools.cache
def _start():
  """After two steps, so that no momentum is 0."""
  init = jax.jit(_make('first').init)
  state = _double(init(jax.random.key(0), TRAIN, VALID))
  # Apart from each other, as in the middle of a search.
  spread = jax.tree.map(lambda a: 500 * a, state.alphas)
  state = state._replace(alphas=spread)
  for _ in range(2):
    state, _ = _weight_step()(state, TRAIN)
  return state


def _gradient(step, state):
  after, metrics = step(state, TRAIN, VALID)
  gradient = jax.tree.map(lambda a, b: a - b, state.alphas, after.alphas)
  return gradient, after, metrics


def _ahead(alphas):
  """The state at the weights that the next weight step would leave."""
  state = _start()
  key = _gradient(_alpha_step('first'), state)[1].key
  moved, _ = _weight_step()(state._replace(key=key, alphas=alphas), TRAIN)
  return state._replace(params=moved.params, alphas=alphas)


def _check_unrolled(gradient):
  """Against differences of the loss behind a real weight step.

  Nothing of the estimator is used: the weight step and the first-order alpha
  step, which reports its loss, are run at moved alphas.
  """
  rng, h = np.random.default_rng(0), 1e-5
  alphas = _start().alphas

  def total(moved):
    return float(
      _alpha_step('first')(_ahead(moved), TRAIN, VALID)[1]['total_loss']
    )

  for _ in range(3):
    way = {k: rng.normal(size=a.shape) for k, a in alphas.items()}
    up, down = (
      total({k: a + s * way[k] for k, a in alphas.items()}) for s in (h, -h)
    )
    along = sum(float((gradient[k] * way[k]).sum()) for k in way)
    np.testing.assert_allclose(along, (up - down) / (2 * h), rtol=1e-6)


@pytest.mark.slow
def test_second_order_is_that_of_differences_through_a_weight_step(x64):
  gradient, _, metrics = _gradient(_alpha_step('second'), _start())
  _check_unrolled(gradient)
  # The loss is reported where the gradient is taken.
  ahead = _alpha_step('first')(_ahead(_start().alphas), TRAIN, VALID)[1]
  for name in ('valid_loss', 'total_loss'):
    np.testing.assert_allclose(metrics[name], ahead[name], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize('factor', [-1.0, 0.0, 0.5, 1.01, 2.0])
def test_a_wrong_second_term_is_caught(x64, factor):
  """A sign, none, and factors, on what passes with 1."""
  whole, _, _ = _gradient(_alpha_step('second'), _start())
  direct, _, _ = _gradient(_alpha_step('first'), _ahead(_start().alphas))
  wrong = {k: d + factor * (whole[k] - d) for k, d in direct.items()}
  with pytest.raises(AssertionError, match='Not equal to tolerance'):
    _check_unrolled(wrong)


@pytest.mark.slow
def test_the_first_term_alone_is_not_first_order_of_the_old_weights(x64):
  with pytest.raises(AssertionError, match='Not equal to tolerance'):
    _check_unrolled(_gradient(_alpha_step('first'), _start())[0])


@pytest.mark.slow
@pytest.mark.parametrize('order', ['first', 'second'])
def test_fast_forms_and_native_ones_have_the_same_gradient(x64, order):
  fast, native = (
    _gradient(_alpha_step(order, form), _start())[0]
    for form in ('taps', 'native')
  )
  chex.assert_trees_all_close(fast, native, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_one_term_is_the_second_order_of_a_small_step(x64):
  """Behind their second terms, which are linear in the rate, is one product."""
  small = optax.sgd(1e-6)
  state = _start()
  held, after, _ = _gradient(_alpha_step('first'), state)
  term = _alpha_step('implicit', series=(('terms', 1), ('rate', 1.0)))
  implied, _, _ = _gradient(term, state)
  state = state._replace(opt_state=small.init(state.params))
  whole, _, _ = _gradient(_alpha_step('second', weight_tx=small), state)
  weight_step = jax.jit(_make('first', weight_tx=small).weight_step)
  moved, _ = weight_step(state._replace(key=after.key), TRAIN)
  ahead = _start()._replace(params=moved.params)
  direct, _, _ = _gradient(_alpha_step('first'), ahead)
  for name in SPACE.choices:
    wanted = (whole[name] - direct[name]) / 1e-6
    assert jnp.abs(wanted).max() > 1e-4
    found = implied[name] - held[name]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def _squares(params):
  return 3.0 / 2 * sum((p**2).sum() for p in jax.tree.leaves(params))


@pytest.mark.slow
def test_implicit_gradients_know_of_the_decay(x64):
  """In the second term of the series: `rate^2 decay` times the mixed product.

  Which is what the first term has, too, but for `rate decay`.
  """
  rate = 0.1
  two = ('terms', 2), ('rate', rate)
  steps = (
    _alpha_step('first'),
    _alpha_step('implicit', series=(('terms', 1), ('rate', rate))),
    _alpha_step('implicit', series=two),
    _alpha_step('implicit', series=(*two, ('regulariser', _squares))),
  )
  held, one, free, decayed = (_gradient(s, _start())[0] for s in steps)
  for name in SPACE.choices:
    wanted = 3.0 * rate * (held[name] - one[name])
    assert jnp.abs(wanted).max() > 1e-4
    found = decayed[name] - free[name]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize('order', ORDERS)
def test_every_order_leaves_weights_and_statistics_to_the_weights(x64, order):
  """Running statistics, the optimizer and the position in train, too."""
  before = _start()
  gradient, after, _ = _gradient(_alpha_step(order), before)
  for name in ('step', 'params', 'batch_stats', 'opt_state', 'train'):
    chex.assert_trees_all_equal(getattr(after, name), getattr(before, name))
  # Batches are normalised by themselves: the running statistics do not count.
  other = jax.tree.map(lambda s: s + 1.0, before.batch_stats)
  again, _, _ = _gradient(
    _alpha_step(order), before._replace(batch_stats=other)
  )
  chex.assert_trees_all_equal(gradient, again)


@pytest.mark.slow
def test_orders_differ_and_first_alone_takes_no_training_images(x64):
  other = data.Arrays(TRAIN.images[::-1].copy(), TRAIN.labels)
  gradients = []
  for order in ORDERS:
    step = _alpha_step(order)
    gradient, _, _ = _gradient(step, _start())
    after, _ = step(_start(), other, VALID)
    moved = jax.tree.map(lambda a, b: a - b, _start().alphas, after.alphas)
    same = all(bool((gradient[k] == moved[k]).all()) for k in gradient)
    assert same == (order == 'first')
    gradients.append(gradient)
  for i, g in enumerate(gradients):
    for other in gradients[i + 1 :]:
      assert any(jnp.abs(g[k] - other[k]).max() > 1e-4 for k in g)


@pytest.mark.parametrize('bad', [{'terms': 0}, {'rate': 0.0}])
def test_a_series_without_terms_is_refused(bad):
  with pytest.raises(ValueError, match='implicit requires terms >= 1'):
    hypergradient.implicit_with(**bad)

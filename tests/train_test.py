"""Training: optimizer, loss and evaluation against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nasjax import batch, data, space, spaces, train


def test_cross_entropy_is_its_closed_form():
  logits = jnp.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
  labels = jnp.array([1, 0])
  logp = np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
  plain = -(logp[0, 1] + logp[1, 0]) / 2
  assert float(train.cross_entropy(logits, labels)) == pytest.approx(
    plain, rel=1e-6
  )
  smooth = 0.9 * plain - 0.1 * logp.mean()
  assert float(train.cross_entropy(logits, labels, 0.1)) == pytest.approx(
    smooth, rel=1e-6
  )


@pytest.mark.parametrize('size', [1, 7, 10, 64])
def test_every_image_is_evaluated_once_whatever_the_batch(size):
  n = 23
  arrays = data.Arrays(
    np.zeros((n, 2, 2, 1), np.uint8), np.arange(n, dtype=np.int32) % 3
  )
  always_0 = lambda params, stats, images: np.zeros(len(images))  # noqa: E731
  accuracy = train.evaluate(always_0, {}, {}, arrays, size)
  assert accuracy == 8 / 23


def test_predictions_do_not_depend_on_the_batch():
  """Running statistics, no dropout: an image is judged alone."""
  tiny = spaces.tiny()
  chosen = space.Architecture(tiny, ('mbconv_k3_e1', 'mbconv_k3_e1', 'skip'))
  network = space.fix(tiny, chosen)
  batches = batch.Batches(4, (0.5,), (0.3,))
  images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
  arrays = data.Arrays(images, np.arange(6, dtype=np.int32))
  parts = train.make(network, batches, tx=optax.sgd(0.1))
  state = parts.init(jax.random.key(0), arrays)
  state, _ = jax.jit(parts.step)(state, arrays)
  predict = jax.jit(train.predict(network, batches))
  together = predict(state.params, state.batch_stats, images)
  alone = [
    int(predict(state.params, state.batch_stats, image[None])[0])
    for image in images
  ]
  assert together.tolist() == alone


def test_a_space_with_choices_is_not_trained():
  with pytest.raises(ValueError, match='one op per slot'):
    train.make(spaces.tiny(), None, tx=optax.sgd(0.1))


def test_soft_labels_are_as_good_as_the_classes_that_they_say():
  logits = jax.random.normal(jax.random.key(0), (6, 4))
  labels = jnp.arange(6, dtype=jnp.int32) % 4
  shares = jax.nn.one_hot(labels, 4)
  for smoothing in (0.0, 0.1):
    hard = train.cross_entropy(logits, labels, smoothing)
    assert train.cross_entropy(logits, shares, smoothing) == hard
    # Linear in the labels: half of each is half of both losses.
    other = jnp.roll(labels, 1)
    half = (shares + jax.nn.one_hot(other, 4)) / 2
    both = (hard + train.cross_entropy(logits, other, smoothing)) / 2
    np.testing.assert_allclose(
      train.cross_entropy(logits, half, smoothing), both, rtol=1e-6
    )
  assert train.accuracy(logits, shares) == train.accuracy(logits, labels)

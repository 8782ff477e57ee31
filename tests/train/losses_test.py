"""Cross-entropy in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import train


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


@pytest.mark.parametrize('loss', [train.cross_entropy, train.accuracy])
@pytest.mark.parametrize('shape', [(), (1,), (3,), (4, 1), (1, 5), (4, 3)])
def test_labels_are_one_for_each_image(loss, shape):
  logits, labels = jnp.zeros((4, 5)), jnp.zeros(shape, jnp.int32)
  with pytest.raises(AssertionError, match=r'rank|shape'):
    jax.eval_shape(loss, logits, labels)
  with pytest.raises(AssertionError, match='rank'):
    loss(logits[None], jnp.zeros((1, 4), jnp.int32))

"""Evaluation: every image once, whatever the batch."""

import jax
import numpy as np
import pytest

from nasjax import data, train
from tests.train.train_cases import ARRAYS, BATCHES, make_network, run_states


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
  network, batches, images = make_network(), BATCHES, ARRAYS.images
  (*_, state), _ = run_states(1)
  predict = jax.jit(train.predict(network.network(), batches))
  together = predict(state.params, state.batch_stats, images)
  alone = [
    int(predict(state.params, state.batch_stats, image[None])[0])
    for image in images
  ]
  assert together.tolist() == alone


def test_images_without_a_label_are_not_left_out_silently():
  arrays = data.Arrays(np.zeros((5, 2, 2, 1), np.uint8), np.zeros(4, np.int32))
  always_0 = lambda params, stats, images: np.zeros(len(images))  # noqa: E731
  with pytest.raises(AssertionError, match='shape'):
    train.evaluate(always_0, {}, {}, arrays)

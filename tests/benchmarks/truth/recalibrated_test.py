"""Statistics of training images, held to those of the judged images."""

import jax
import numpy as np
import pytest

from benchmarks.truth import proxy, rank, recalibrated, table
from nasjax import data
from nasjax.search.contributions import Sampling
from tests.conftest import refused

pytestmark = pytest.mark.slow
IMAGES = 48


def _arrays(seed):
  rng = np.random.default_rng(seed)
  return data.Arrays(
    rng.integers(0, 256, (IMAGES, 16, 16, 3), dtype=np.uint8),
    rng.integers(0, 10, IMAGES).astype(np.int32),
  )


def test_they_are_the_batch_statistics_where_the_images_are_the_same(
  monkeypatch,
):
  same = proxy.Images(_arrays(0), _arrays(0))
  monkeypatch.setattr(proxy, 'images', lambda data_dir: same)
  built = proxy.build(proxy.Recipe(steps=4), '', Sampling(images=IMAGES))
  state = jax.jit(built.parts.init)(jax.random.key(0), *same)
  options = recalibrated.options_of(table.load().indices[[5, 2000, 6000]])
  own = jax.jit(built.parts.losses)(state, same.valid, options)
  again = recalibrated.losses(built, IMAGES)(state, options)
  np.testing.assert_allclose(again, own, rtol=1e-4)
  assert np.ptp(own) > 1e-3
  other = built._replace(images=proxy.Images(_arrays(1), same.valid))
  moved = recalibrated.losses(other, IMAGES)(state, options)
  assert np.abs(moved - own).min() > 1e-3


def test_weights_of_another_form_are_not_recalibrated():
  rank.check(['uniform', 'strict'], True)
  rank.check(['uniform', 'mixture'], False)
  refused(
    "draw 'mixture' does not go with --recalibrate",
    rank.check,
    ['uniform', 'mixture'],
    True,
  )
  refused("draw 'other' is not known", rank.check, ['other'], False)

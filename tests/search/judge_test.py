"""The images on which networks are judged: always the same ones."""

import types

import jax
import numpy as np
import pytest

from nasjax import data
from nasjax.search import judge
from nasjax.search.contributions import Sampling
from tests.conftest import images

VALID = data.Arrays(images(10), np.arange(10, dtype=np.int32))
STATE = types.SimpleNamespace(key=jax.random.key(0), valid='a position')


def _setting(sampling):
  batches = data.Batches(4, (0.5,), (0.25,))
  return types.SimpleNamespace(sampling=sampling, batches=batches)


@pytest.mark.parametrize(('wanted', 'number'), [(4, 4), (10, 10), (99, 10)])
def test_the_first_images_are_judged_and_no_position_moves(wanted, number):
  setting = _setting(Sampling(images=wanted))
  batch, position, key = judge.images(setting, STATE, VALID)
  np.testing.assert_array_equal(batch.labels, np.arange(number))
  expected = (VALID.images[:number] / 255 - 0.5) / 0.25
  np.testing.assert_allclose(batch.images, expected, rtol=1e-4, atol=1e-5)
  assert position == STATE.valid
  # What is random in the network differs from step to step.
  later = types.SimpleNamespace(key=key, valid=position)
  again, _, _ = judge.images(setting, later, VALID)
  np.testing.assert_array_equal(again.images, batch.images)
  assert not np.array_equal(*map(jax.random.key_data, (again.key, batch.key)))


def test_a_search_without_sampling_judges_nothing():
  with pytest.raises(ValueError, match='make the search with sampling'):
    judge.images(_setting(None), STATE, VALID)

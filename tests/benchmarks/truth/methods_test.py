"""Searches and controls that train, on a few images for a few steps."""

import numpy as np
import pytest

from benchmarks.truth import (
  by_mixture,
  by_training,
  given,
  proxy,
  search,
  table,
)
from nasjax import data

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few(monkeypatch):
  rng = np.random.default_rng(0)

  def arrays(n):
    return data.Arrays(
      rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8),
      rng.integers(0, 10, n).astype(np.int32),
    )

  images = proxy.Images(arrays(128), arrays(128))
  monkeypatch.setattr(proxy, 'images', lambda data_dir: images)
  monkeypatch.setattr(by_mixture, 'DARTS_STEPS', 2)
  monkeypatch.setattr(by_training, 'NETWORKS', 2)


@pytest.mark.parametrize('method', ['darts', 'alone'])
def test_a_control_that_trains_keeps_the_limits(method):
  truth = table.load()
  recipe = proxy.Recipe(steps=4)
  seen = []
  for q in 0.3, 0.7:
    limits = {'macs': truth.quantile(q)}
    case = given.Given('', recipe, None, limits, 0)
    found = search.METHODS[method](case)
    used = truth.costs['macs'][found.rows] / limits['macs']
    assert used.max() <= 1
    assert used.min() >= given.FILL
    assert len(set(found.rows)) == given.FINALISTS
    seen.append(found.seconds)
  assert seen[0] == seen[1] > 0  # One run serves all limits.

"""Searches and controls that train, on a few images for a few steps."""

import chex
import jax
import numpy as np
import pytest

from benchmarks.truth import (
  by_training,
  given,
  proxy,
  search,
  table,
)
from nasjax import data
from nasjax.run import compilation
from nasjax.search.contributions import Sampling

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
  monkeypatch.setattr(by_training, 'NETWORKS', 2)


def test_networks_trained_alone_serve_all_limits():
  truth = table.load()
  recipe = proxy.Recipe(steps=4)
  seen = []
  for q in 0.3, 0.7:
    limits = {'macs': truth.quantile(q)}
    case = given.Given('', recipe, None, limits, 0)
    found = search.METHODS['alone'](case)
    used = truth.costs['macs'][found.rows] / limits['macs']
    assert used.max() <= 1
    assert used.min() >= given.FILL
    assert len(set(found.rows[:8])) == given.FINALISTS == 8
    seen.append(found.seconds)
  assert seen[0] == seen[1] > 0  # One run serves all limits.


def test_a_killed_supernet_ends_bit_for_bit_where_it_would_have(
  tmp_path, monkeypatch
):
  monkeypatch.setattr(proxy, 'CHECKPOINT_EVERY', 2)
  recipe = proxy.Recipe(steps=6, draw='largest_first')
  built = proxy.build(recipe, '', Sampling())
  steps = []

  def until_killed(name, step, *args):
    if not steps:
      steps.append(compiled_once(name, step, *args))

    def killed(*own):
      calls.append(1)
      if len(calls) == dies_at:
        raise KilledError
      return steps[0](*own)

    return killed

  compiled_once, calls, dies_at = compilation.compiled, [], 0
  monkeypatch.setattr(compilation, 'compiled', until_killed)
  whole = proxy.supernet(tmp_path / 'whole', recipe, '', 3, built)
  assert int(whole.step) == len(calls) == 6
  calls, dies_at = [], 5
  with pytest.raises(KilledError):
    proxy.supernet(tmp_path / 'killed', recipe, '', 3, built)
  calls, dies_at = [], 0
  again = proxy.supernet(tmp_path / 'killed', recipe, '', 3, built)
  assert len(calls) == 2  # From the checkpoint of step 4 on.
  chex.assert_trees_all_equal(
    *(jax.tree.map(_data, state) for state in (again, whole))
  )


class KilledError(Exception):
  pass


def _data(x):
  """Keys as numbers, which can be compared."""
  is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
  return jax.random.key_data(x) if is_key else x

"""The moving average, in closed form."""

import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.train import ema


@pytest.mark.parametrize('decay', [0.0, 0.3, 0.99])
def test_it_is_the_weighted_sum_of_all_values(decay):
  values = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
  found = jnp.asarray(values[0])
  for step, value in enumerate(values[1:]):
    found = ema.update(found, jnp.asarray(value), step, decay)
  kept = np.minimum(decay, [(1 + n) / (10 + n) for n in range(11)])
  after = np.append(np.cumprod(kept[::-1])[::-1], 1.0)  # of all later steps
  shares = np.append(1.0, 1 - kept) * after
  assert shares.sum() == pytest.approx(1.0)
  np.testing.assert_allclose(found, shares @ values, rtol=1e-5, atol=1e-6)


def test_what_does_not_change_is_its_own_average():
  value = {'w': jnp.array([0.1, -3.7, 1e-8])}
  found = value
  for step in range(50):
    found = ema.update(found, value, step, 0.9)
  np.testing.assert_array_equal(found['w'], value['w'])

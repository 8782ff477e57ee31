"""Fair orders: rounds in which each option runs as often."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import guard, relax
from tests.guard.guard_cases import drawn_alphas


@pytest.mark.slow
def test_strict_fairness_never_lets_an_option_lead_by_more_than_one():
  probs = relax.softmax(drawn_alphas()) | {'edges': jnp.full((3, 5), 0.2)}
  chosen = jax.jit(jax.vmap(lambda step: guard.strict(probs, step)))(
    jnp.arange(42)
  )
  for name, p in chosen.items():
    assert p.shape[1:] == probs[name].shape
    assert set(np.unique(p)) == {0, 1}
    np.testing.assert_array_equal(p.sum(-1), 1)
    trained = np.cumsum(p, 0)
    assert (trained.max(-1) - trained.min(-1)).max() == 1
    rounds = trained[p.shape[-1] - 1 :: p.shape[-1]]
    np.testing.assert_array_equal(rounds.max(-1), rounds.min(-1))


def test_orders_differ_between_rounds_choices_and_seeds():
  probs = {'a': jnp.full(6, 1 / 6), 'b': jnp.full(6, 1 / 6)}

  def order(name, start, seed):
    steps = range(start, start + 6)
    each = (guard.strict(probs, step, seed)[name].argmax() for step in steps)
    return tuple(map(int, each))

  orders = [order('a', 0, 0), order('a', 6, 0), order('b', 0, 0)]
  orders += [order('a', 0, 1)]
  assert len(set(orders)) == 4
  assert order('a', 0, 0) == orders[0]


def test_uniform_fairness_looks_at_no_probability():
  probs = relax.softmax(drawn_alphas(scale=5.0))
  fair = guard.uniform(probs, jnp.int32(7))
  for p in fair.values():
    np.testing.assert_allclose(p, np.full(len(p), 1 / len(p)), rtol=1e-6)

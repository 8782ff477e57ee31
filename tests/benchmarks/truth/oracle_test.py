"""Alphas that are optimised on the true expected accuracy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.truth import oracle, table
from nasjax import relax


def _probs(seed):
  (alphas,) = [a for i, a in enumerate(oracle.starts(seed + 1)) if i == seed]
  return relax.softmax(alphas)


def test_the_expected_accuracy_is_the_mean_over_all_networks():
  truth = table.load()
  probs = _probs(2)
  rows = [np.asarray(probs[name], float) for name in truth.space.choices]
  total = sum(
    np.prod([row[i] for row, i in zip(rows, network, strict=True)]) * accuracy
    for network, accuracy in zip(
      itertools.product(range(3), repeat=8), truth.accuracy, strict=True
    )
  )
  found = oracle.expected(jnp.asarray(truth.accuracy, jnp.float32), probs)
  assert float(found) == pytest.approx(total, rel=1e-5)


def test_its_derivative_is_the_mean_of_networks_with_the_option():
  truth = table.load()
  values = jnp.asarray(truth.accuracy, jnp.float32)
  probs = {name: jnp.ones(3) / 3 for name in truth.space.choices}
  g = jax.grad(lambda p: oracle.expected(values, p))(probs)
  for i, name in enumerate(truth.space.choices):
    for j in range(3):
      has = truth.indices[:, i] == j
      mean = truth.accuracy[has].mean()
      assert float(g[name][j]) == pytest.approx(mean, rel=1e-5)


def test_a_limit_that_is_projected_is_used_and_beats_the_start():
  each = oracle.limits(5)[1:4]
  case = oracle.Case('project_equal', None)
  found = oracle.judged(oracle.optimised(case, each), each, 'softmax')
  assert found['expected / limit'] == pytest.approx(1, abs=1e-3)
  begun = oracle.starts(oracle.STARTS) * len(each)
  alphas = {n: np.stack([b[n] for b in begun]) for n in begun[0]}
  before = oracle.judged(alphas, each, 'softmax')
  assert found['fill 0.9'] < 0.5 < 1.0 < before['fill 0.9']

"""Variable elimination, against enumeration."""

import functools
import itertools

import numpy as np
import pytest
from scipy import special

from nasjax.cost.elimination import Factor, eliminate

LOG_SUM = np.add, special.logsumexp
REDUCTIONS = [
  (np.add, np.min),
  (np.add, np.max),
  (np.maximum, np.min),
  (np.maximum, np.max),
  LOG_SUM,
]


def _drawn(rng, draw):
  """Factors over random sets of up to 5 choices, constants among them."""
  sizes = {name: int(rng.integers(1, 4)) for name in 'abcde'}
  factors = []
  for _ in range(rng.integers(1, 8)):
    axes = tuple(rng.permutation(list(sizes))[: rng.integers(4)].tolist())
    factors.append(Factor(axes, draw([sizes[axis] for axis in axes])))
  return factors, {a: sizes[a] for f in factors for a in f.axes}


def _enumerated(factors, sizes, combine):
  """The combined factors at every combination, `[*sizes]`."""
  every = [
    functools.reduce(
      combine,
      [f.array[tuple(index[axis] for axis in f.axes)] for f in factors],
    )
    for index in _indices(sizes)
  ]
  return np.array(every).reshape(list(sizes.values()))


def _indices(sizes):
  for options in itertools.product(*map(range, sizes.values())):
    yield dict(zip(sizes, options, strict=True))


@pytest.mark.parametrize(('combine', 'reduce'), REDUCTIONS)
def test_elimination_is_enumeration(combine, reduce):
  rng = np.random.default_rng(0)
  for _ in range(200):
    factors, sizes = _drawn(rng, lambda shape: rng.integers(0, 99, shape))
    every = _enumerated(factors, sizes, combine)
    total, _ = eliminate(factors, combine, reduce)
    if (combine, reduce) == LOG_SUM:
      assert total == pytest.approx(special.logsumexp(every), abs=1e-9)
    else:
      assert total == reduce(every)  # integers stay exact


def test_joint_factors_lead_back_to_the_smallest():
  """Each choice stands last, before choices that are eliminated later."""
  rng = np.random.default_rng(1)
  for _ in range(200):
    factors, sizes = _drawn(rng, lambda shape: rng.integers(0, 99, shape))
    smallest, joints = eliminate(factors, np.add, np.min)
    assert {joint.axes[-1] for joint in joints} == set(sizes)
    index = {}
    for axes, joint in reversed(joints):
      weights = joint[tuple(index[axis] for axis in axes[:-1])]
      index[axes[-1]] = int(weights.argmin())
    at = [f.array[tuple(index[axis] for axis in f.axes)] for f in factors]
    assert sum(at) == smallest


def test_joint_factors_are_the_conditional_probabilities():
  """Their product is the probability of every combination."""
  rng = np.random.default_rng(2)
  for _ in range(50):
    factors, sizes = _drawn(rng, lambda shape: rng.normal(size=shape))
    every = _enumerated(factors, sizes, np.add)
    _, joints = eliminate(factors, *LOG_SUM)
    conditional = [
      Factor(axes, special.log_softmax(joint, axis=-1))
      for axes, joint in joints
    ]
    if sizes:
      found = _enumerated(conditional, sizes, np.add)
      wanted = every - special.logsumexp(every)
      np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_numbers_beyond_64_bits_stay_exact():
  large = Factor(('a',), np.array([2**70, 2**70 + 1]))
  total, _ = eliminate([large, Factor((), np.array(1))], np.add, np.max)
  assert total == 2**70 + 2


def test_long_chains_need_no_enumeration():
  """2 ^ 200 combinations; what is carried along holds three choices at most."""
  rng = np.random.default_rng(3)
  chain = [
    Factor((f'c{i}', f'c{i + 1}'), rng.integers(0, 9, (2, 2)))
    for i in range(200)
  ]
  total, joints = eliminate(chain, np.add, np.min)
  reached = np.zeros(2, int)
  for factor in chain:
    reached = (reached[:, None] + factor.array).min(0)
  assert total == reached.min()
  assert max(joint.array.ndim for joint in joints) <= 3

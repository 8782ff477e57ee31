"""The result of a search: other limits, its network, its figures."""

import jax
import numpy as np
import pytest

from nasjax import cost, derive, space, spaces
from nasjax.run.config import SearchConfig
from nasjax.run.found import Found
from tests.conftest import refused

TINY = spaces.tiny()
MACS = cost.macs(TINY)


@pytest.fixture(scope='module')
def found():
  alphas = space.init_alphas(TINY, jax.random.key(0), 1.0)
  limits = {MACS: sum(MACS.bounds()) // 2}
  a = derive.within(TINY, alphas, limits, fill=0.98)
  return Found(a, alphas, [], limits, SearchConfig())


def test_another_budget_is_derived_from_the_same_alphas(found):
  low, high = MACS.bounds()
  for limit in (low, (low + high) // 2, high):
    other = found.within({MACS: limit}, fill=0.5)
    expected = derive.within(TINY, found.alphas, {MACS: limit}, fill=0.5)
    assert other.architecture == expected
    assert other.config.fill == 0.5
    assert other.limits == {MACS: limit}
    kept = other.certificate.kept['macs']
    assert (kept.cost, kept.limit) == (MACS.exact(expected), limit)
  # The fill decides where the most probable network uses less.
  fills = {f: found.within({MACS: high}, f).architecture for f in (0.0, 1.0)}
  assert MACS.exact(fills[0.0]) < MACS.exact(fills[1.0]) == high
  refused('no architecture', found.within, {MACS: low - 1})


def test_the_network_is_that_of_the_architecture(found):
  assert found.space == TINY
  assert cost.macs(found.network).constant == MACS.exact(found.architecture)
  assert not found.network.choices


def test_a_figure_is_drawn_by_its_name(found):
  probs = {
    n: np.full(len(c), 1 / len(c)).tolist() for n, c in TINY.choices.items()
  }
  row = {'train_loss': 1.0, 'macs': 9000.0, 'macs_strict': 9000.0}
  rows = [{'step': i, 'probs': probs, **row} for i in (1, 2)]
  drawn = Found(
    found.architecture, found.alphas, rows, found.limits, found.config
  )
  for what in ('alphas', 'cost', 'architecture'):
    assert drawn.figure(what).axes
  refused(
    "figure 'loss' is not known; choose from alphas", drawn.figure, 'loss'
  )

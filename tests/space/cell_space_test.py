"""Spaces of cells: costs and derived networks."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import pytest

from nasjax import cost, count, ops, space, spaces
from nasjax.space import Architecture
from tests.conftest import refused
from tests.supernet.cell_cases import OPS, images, probs_of, tiny

TINY = tiny()
NATIVE = ops.Numerics(lowering='native')
RESOURCES = cost.macs, cost.params


def _all(s):
  sizes = [len(options) for options in space.axes(s.choices).values()]
  for place in itertools.product(*map(range, sizes)):
    yield Architecture.from_indices(s, place)


@pytest.mark.parametrize('make', RESOURCES)
def test_a_cost_at_one_hot_is_exact_and_an_expectation_elsewhere(make):
  own, probs = make(TINY), probs_of(TINY)
  mean = 0.0
  for a in _all(TINY):
    exact = own.exact(a)
    assert float(own(space.one_hot(a))) == exact
    rows = zip(probs['edges'], a.indices, strict=True)
    mean += exact * np.prod([float(row[i]) for row, i in rows])
  assert float(own(probs)) == pytest.approx(mean, rel=1e-6)
  exact = [own.exact(a) for a in _all(TINY)]
  assert own.bounds() == (min(exact), max(exact))


def test_its_slope_is_that_of_the_closed_form(x64):
  own, alphas = cost.macs(TINY), probs_of(TINY, 'float64')['edges'] * 3
  slope = jax.grad(lambda a: own({'edges': jax.nn.softmax(a)}))(alphas)
  p = jax.nn.softmax(alphas)
  prices = np.array([t.values for t in own.tables if t.axes]).reshape(2, 3, 5)
  c = prices.sum(0)
  by_hand = p * (c - (p * c).sum(-1, keepdims=True))
  np.testing.assert_allclose(slope, by_hand, rtol=1e-10)


@pytest.mark.parametrize(
  'indices', [(3, 0, 2), (0, 0, 0), (2, 4, 1), (3, 3, 3)]
)
def test_three_ways_to_count_a_derived_network_agree(indices):
  a = Architecture.from_indices(TINY, indices)
  network = TINY.fix(a)
  net = network.network(NATIVE)
  variables = count.module_shapes(net, images(1), {}, train=False)
  run = functools.partial(net.apply, train=False)
  macs = count.macs(run, variables, images(1), {})
  assert macs == cost.macs(TINY).exact(a) == cost.macs(network).constant
  params = count.params(variables)
  assert params == cost.params(TINY).exact(a) == cost.params(network).constant


def test_a_search_network_without_scales_has_fewer_parameters():
  a = Architecture.from_indices(TINY, (3, 0, 2))
  small = tiny(affine=False)
  own = Architecture(small, a.choice)
  fewer = cost.params(TINY).exact(a) - cost.params(small).exact(own)
  # Two convolutions, in two layers, with scale and bias of two channels.
  assert fewer == 2 * 2 * 2 * 2


def test_memory_is_known_of_derived_networks_only():
  message = 'memory of a space of cells is not known .* limit macs or params'
  refused(message, cost.memory, TINY)
  networks = [
    TINY.fix(Architecture.from_indices(TINY, i)) for i in ((1, 1, 1), (3, 3, 3))
  ]
  plain, wide = (cost.memory(n).constant for n in networks)
  assert 4 * 4 * 4 * 2 * 2 <= plain <= wide


def test_fixing_keeps_one_op_everywhere_and_leaves_no_choice():
  a = Architecture.from_indices(TINY, (3, 0, 2))
  network = TINY.fix(a)
  assert network.choices == {}
  assert [e.ops for e in network.cells[0].edges] == [
    (OPS[3],),
    (OPS[0],),
    (OPS[2],),
  ]
  assert network.fix(Architecture(network, ())) == network
  refused('has 3 choices, got 1', TINY.fix, _other())


def _other():
  one = tiny(nodes=2)
  return Architecture.from_indices(one, (0,))


def test_blocks_that_are_equal_are_measured_once():
  seen = []

  def measure(block, shape):
    seen.append((block, shape))
    return 1

  tables = spaces.nasbench201().tables(measure)
  assert len(tables) == 5 + 15 * 6
  # Stem, two reductions, norm, classifier; five ops in three stages.
  assert len(seen) == len(set(seen)) == 5 + 5 * 3
  assert sum(len(t.values) for t in tables if t.axes) == 15 * 6 * 5


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'image_size': 0}, 'at least 1 pixel'),
    ({'channels': 2**31}, 'at most'),
    ({'layers': TINY.layers[:-1] * 2}, 'different names'),
    ({'layers': TINY.layers[:2]}, 'a slot as its last layer'),
    ({'cells': ()}, "one of the cells , got 'edges'"),
    (
      {'layers': (TINY.layers[1], TINY.layers[-1])},
      "op 'none' does not fit layer 'cell0': 1 to 2 features",
    ),
    (
      {'layers': (space.Slot('s', (ops.Skip(), ops.Conv(1)), 1),)},
      "slot 's' .* requires one op",
    ),
  ],
)
def test_layers_that_do_not_fit_are_refused(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(TINY, **change)


def test_it_is_static():
  assert hash(tiny()) == hash(TINY)
  assert tiny() == TINY != tiny(affine=False)

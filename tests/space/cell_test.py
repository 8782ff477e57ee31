"""Cells: what graph they are, and what is none."""

import pytest

from nasjax import ops, space
from nasjax.errors import InputError
from nasjax.space import Cell, Edge

BOTH = ops.Zero(), ops.SkipConnect()
ONE = (ops.SkipConnect(),)


def test_edges_are_in_the_order_of_nasbench201():
  edges = space.complete(BOTH, 4)
  pairs = [(e.target, e.source) for e in edges]
  assert pairs == [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]


def test_its_choice_has_a_shape_and_names_its_skip():
  cell = Cell('edges', space.complete((*BOTH, ops.ReluConv(1)), 4))
  assert cell.choice == space.Choice(
    ('none', 'skip_connect', 'nor_conv_1x1'), (6,), skip=1
  )
  assert cell.axes[5] == ('edges', (5,))
  plain = Cell('e', space.complete((ops.ReluConv(1), ops.ReluConv(3)), 2))
  assert plain.choice.skip is None
  chain = Cell('e', (Edge(0, 1, (ops.ReluConv(1), ops.Skip())),))
  assert chain.choice.skip == 1


@pytest.mark.parametrize(
  ('edges', 'message'),
  [
    ([(0, 2), (0, 1)], r'in their order, got edges into \[2, 1\]'),
    ([(0, 2)], r'each of its nodes from 1 on, in their order, got .*\[2\]'),
    ([(0, 1), (1, 3)], r'got edges into \[1, 3\]'),
  ],
)
def test_edges_out_of_order_are_refused(edges, message):
  with pytest.raises(ValueError, match=message):
    Cell('edges', tuple(Edge(*pair, BOTH) for pair in edges))


@pytest.mark.parametrize('pair', [(1, 1), (2, 1), (-1, 1), (0, 1.5)])
def test_an_edge_leads_on(pair):
  with pytest.raises(ValueError, match='a target after its source'):
    Edge(*pair, BOTH)


def test_edges_that_are_open_have_the_same_options():
  fixed = Edge(0, 1, ONE), Edge(1, 2, (ops.Zero(),))
  assert not Cell('edges', fixed).is_open
  with pytest.raises(ValueError, match='edges with the same options'):
    Cell('edges', (Edge(0, 1, ONE), Edge(1, 2, BOTH)))
  with pytest.raises(ValueError, match='ops of different names'):
    Edge(0, 1, (ops.Zero(), ops.Zero()))


@pytest.mark.parametrize('features', [0, -3, 2**31, 1.5])
def test_a_layer_has_features_that_an_array_can_have(features):
  with pytest.raises(InputError, match=f'has features {features}'):
    space.CellLayer('a', 'edges', features)


def test_only_its_own_edges_go_without_scales():
  numerics = ops.Numerics(lowering='native')
  cell = Cell('e', space.complete(BOTH, 2), affine=False)
  assert not cell.numerics(numerics).bn_affine
  assert cell.numerics(numerics).lowering == 'native'
  assert Cell('e', cell.edges).numerics(numerics) == numerics

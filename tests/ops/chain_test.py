"""Plain layers and classifiers: counts in closed form, and what fits."""

import chex
import pytest

from nasjax import ops
from tests.ops.ops_cases import apply, counted, features_in, init


@pytest.mark.parametrize('bias', [False, True])
def test_a_convolution_counts_its_taps_and_its_norm(bias):
  taps, norm, own = 9 * 24 * 40, 2 * 40, 40 * bias
  assert counted(ops.Conv(3, bias=bias), 40, 1) == (
    64 * taps,
    taps + norm + own,
  )
  assert counted(ops.Conv(3, bias=bias, norm=False), 40, 2) == (
    16 * taps,
    taps + own,
  )


def test_a_convolution_without_padding_sees_the_inside_alone():
  taps = 9 * 24 * 40
  assert counted(ops.Conv(3, padding='valid'), 40, 1)[0] == 36 * taps
  assert counted(ops.Conv(3, padding='valid'), 40, 2)[0] == 9 * taps


def test_separable_is_a_depthwise_layer_and_a_pointwise_one():
  assert counted(ops.Separable(3), 40, 1) == (
    64 * (9 * 24 + 24 * 40),
    9 * 24 + 24 * 40 + 2 * 24 + 2 * 40,
  )


def test_a_classifier_counts_the_bias_of_each_of_its_layers():
  assert counted(ops.Classifier(), 10, 1) == (24 * 10, 24 * 10 + 10)
  assert counted(ops.Classifier(hidden=7), 10, 1) == (
    24 * 7 + 7 * 10,
    24 * 7 + 7 + 7 * 10 + 10,
  )


def test_skip_gives_back_its_input_and_costs_nothing():
  skip, x = ops.Skip(), features_in()
  module = skip.module(8, 1, ops.Numerics())
  chex.assert_trees_all_equal(apply(module, init(module, x), x), x)
  assert counted(skip, 24, 1) == (0, 0)
  assert skip.fits(8, 8, 1)
  assert not skip.fits(8, 8, 2)
  assert not skip.fits(8, 12, 1)

"""Drop-path and dropout: what is dropped, its mean, and what stays."""

import dataclasses

import jax
import numpy as np
import pytest

from nasjax import cost, ops, spaces, zoo
from nasjax.train import drop_path
from tests.conftest import refused

RATE = 0.3


def _outputs(op, train, images=400):
  """Of a block with drop-path and of the same block without, and the input."""
  x = jax.random.normal(jax.random.key(0), (images, 2, 2, 4))
  outputs = []
  for rate in (RATE, 0.0):
    module = dataclasses.replace(op, drop_path=rate).module(
      4, 1, ops.Numerics()
    )
    variables = module.init(jax.random.key(1), x, False)
    y, _ = module.apply(
      variables,
      x,
      train,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.key(2)},
    )
    outputs.append(np.asarray(y))
  return *outputs, np.asarray(x)


def test_a_block_adds_nothing_or_what_keeps_its_mean():
  dropped, whole, x = _outputs(ops.MBConv(3, 1), train=True)
  added = whole - x
  is_dropped = (dropped == x).all(axis=(1, 2, 3))
  expected = np.where(is_dropped[:, None, None, None], 0, added / (1 - RATE))
  np.testing.assert_allclose(dropped - x, expected, atol=1e-5)
  # Within four standard deviations of a binomial share.
  assert abs(is_dropped.mean() - RATE) < 4 * np.sqrt(RATE * (1 - RATE) / 400)


@pytest.mark.parametrize('op', [ops.Basic(), ops.Bottleneck()])
def test_the_shortcut_of_a_resnet_is_never_dropped(op):
  dropped, _, x = _outputs(op, train=True)
  is_dropped = (dropped == np.maximum(x, 0)).all(axis=(1, 2, 3))
  assert abs(is_dropped.mean() - RATE) < 4 * np.sqrt(RATE * (1 - RATE) / 400)


def test_nothing_is_dropped_where_nothing_is_trained():
  dropped, whole, _ = _outputs(ops.MBConv(3, 1), train=False, images=20)
  np.testing.assert_array_equal(dropped, whole)


def test_rates_rise_with_depth_to_the_one_that_was_given():
  network = zoo.mobilenet_v2(image_size=32)
  found = drop_path.with_drop_path(network, 0.34)
  rates = [s.ops[0].drop_path for s in found.slots if 'stage' in s.name]
  np.testing.assert_allclose(rates, 0.34 * np.arange(1, 18) / 17)
  assert found.slots[0] == network.slots[0]


def test_names_and_costs_stay_and_every_candidate_has_its_slots_rate():
  space = spaces.tiny()
  found = drop_path.with_drop_path(drop_path.with_dropout(space, 0.4), 0.5)
  assert found.choices == space.choices
  assert cost.macs(found).bounds() == cost.macs(space).bounds()
  assert cost.params(found).bounds() == cost.params(space).bounds()
  for slot in found.slots:
    rates = {op.drop_path for op in slot.ops if hasattr(op, 'drop_path')}
    assert len(rates) <= 1
  assert found.slots[-1].ops[0].dropout == 0.4
  none = drop_path.with_drop_path(drop_path.with_dropout(found, 0.0), 0.0)
  assert none == drop_path.with_dropout(space, 0.0)


def test_what_cannot_be_dropped_is_refused():
  network = zoo.mobilenet_v1()
  refused(
    r"drop_path is 0.1; no op of 'mobilenet_v1'",
    drop_path.with_drop_path,
    network,
    0.1,
  )
  refused(
    'drop_path is 1.0; it must be',
    drop_path.with_drop_path,
    zoo.resnet18(),
    1.0,
  )
  refused('dropout is -0.1; it must', drop_path.with_dropout, network, -0.1)
  with pytest.raises(ValueError, match=r'drop_path in \[0, 1\), got 1.5'):
    ops.MBConv(3, 1, drop_path=1.5)

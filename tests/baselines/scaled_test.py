"""Published networks and hand-made ones, within budgets."""

import itertools
import math

import pytest

from experiments.flags import names
from experiments.sweep import sweep_flags
from nasjax import cost, zoo
from nasjax.baselines import scaled
from tests.baselines.baselines_cases import SPACE
from tests.conftest import refused


def _prices(name, make, divisor):
  """By width, for widths that are as near as they can be."""
  for width in scaled.widths_of(names.NETWORKS[name], SPACE.image_size):
    network = names.for_images(
      name, width, image_size=32, channels=3, num_classes=10, divisor=divisor
    )
    yield make(network).constant


@pytest.mark.quick_every(3)
@pytest.mark.parametrize(
  ('name', 'make', 'budget'),
  [
    ('mobilenet_v2', cost.macs, 1_000_000),
    ('mobilenet_v3_small', cost.params, 40_000),
    ('efficientnet_lite0', cost.macs, 1_000_000),
  ],
)
def test_the_widest_within_a_budget_is_taken(name, make, budget):
  found = make(
    scaled.within(names.NETWORKS[name], SPACE, make, budget)
  ).constant
  assert found <= budget
  coarse, fine = (
    max(p for p in _first(_prices(name, make, divisor), budget))
    for divisor in scaled.DIVISORS
  )
  enough = coarse >= (1 - scaled.UNUSED) * budget
  assert found == (coarse if enough else max(coarse, fine))


def _first(prices, budget):
  """Up to the first that is beyond: costs grow with the width."""
  return itertools.takewhile(lambda price: price <= budget, prices)


def test_what_is_too_little_for_any_width_says_what_is_not():
  least = next(_prices('mobilenet_v2', cost.macs, scaled.DIVISORS[-1]))
  refused(
    f'mobilenet_v2 has no width within {least - 1} .*needs {least}',
    scaled.within,
    zoo.mobilenet_v2,
    SPACE,
    cost.macs,
    least - 1,
  )


@pytest.mark.drawn(2)
@pytest.mark.quick_every(14, first=3)
@pytest.mark.parametrize('smallest', [2, 4])
@pytest.mark.parametrize('name', sweep_flags.ZOO.split(','))
def test_every_family_of_a_sweep_scales_to_a_small_budget(name, smallest):
  network = scaled.within(
    names.NETWORKS[name], SPACE, cost.macs, 2_000_000, smallest
  )
  assert 0.8 * 2_000_000 <= cost.macs(network).constant <= 2_000_000
  # Nothing of what is large in the published one stays large.
  assert max(slot.features for slot in network.slots) < 1000
  hidden = network.slots[-1].ops[0].hidden
  assert hidden is None or hidden < 1000


@pytest.mark.parametrize('name', ['mobilenet_v2', 'mobilenet_v3_small'])
def test_a_larger_last_map_leaves_less_width(name):
  found = {}
  for smallest in (2, 4):
    network = scaled.within(
      names.NETWORKS[name], SPACE, cost.macs, 2_000_000, smallest
    )
    strides = math.prod(slot.stride for slot in network.slots)
    assert strides == 32 // smallest
    found[smallest] = network
    assert cost.macs(network).constant <= 2_000_000
  assert cost.params(found[4]).constant < cost.params(found[2]).constant


def test_a_width_that_there_is_not_is_not_tried():
  assert scaled.widths_of(zoo.efficientnet_lite0, 224) == (1.0,)
  assert scaled.widths_of(zoo.shufflenet_v2, 224) == (0.5, 1.0, 1.5, 2.0)
  # SqueezeNet's modules have widths of their own.
  assert scaled.widths_of(zoo.squeezenet_1_1, 32) == (1.0,)
  refused('unknown network', names.network, 'mobilenet_v9')

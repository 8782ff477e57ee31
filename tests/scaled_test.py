"""Published networks and hand-made ones, within budgets."""

import math

import pytest
from conftest import refused

from experiments import handmade, names, scaled
from nasjax import cost, space, spaces

SPACE = spaces.mobile_macro_small(image_size=32, channels=3)
MACS = cost.macs(SPACE)


@pytest.mark.parametrize(
  ('name', 'make'),
  [
    ('mnasnet_a1', cost.macs),
    ('mnasnet_a1', cost.params),
    ('shufflenet_v2', cost.macs),
    ('efficientnet_lite0', cost.macs),
  ],
)
def test_the_widest_within_a_budget_is_taken(name, make):
  widths = scaled.widths_of(name)
  prices = {}
  for width in (widths[0], widths[len(widths) // 20], widths[-1]):
    network = names.for_images(
      name, width, image_size=32, channels=3, num_classes=10
    )
    prices[make(network).constant] = network
  for price in prices:
    found = scaled.within(name, SPACE, make, price)
    assert make(found).constant == price
    if price > min(prices):
      assert make(scaled.within(name, SPACE, make, price - 1)).constant < price
  least = min(prices)
  refused(
    f'{name} has no width within {least - 1} .*needs {least}',
    scaled.within,
    name,
    SPACE,
    make,
    least - 1,
  )


@pytest.mark.parametrize('name', ['mobilenet_v2', 'mobilenet_v3_small'])
def test_a_larger_last_map_leaves_less_width(name):
  found = {}
  for smallest in (2, 4):
    network = scaled.within(name, SPACE, cost.macs, 2_000_000, smallest)
    strides = math.prod(slot.stride for slot in network.slots)
    assert strides == 32 // smallest
    found[smallest] = network
    assert cost.macs(network).constant <= 2_000_000
  assert cost.params(found[4]).constant < cost.params(found[2]).constant


def test_a_width_that_there_is_not_is_not_tried():
  assert scaled.widths_of('efficientnet_lite0') == (1.0,)
  assert scaled.widths_of('shufflenet_v2') == (0.5, 1.0, 1.5, 2.0)
  refused('unknown network', scaled.widths_of, 'mobilenet_v9')


def _largest(pattern):
  choice = [
    pattern if n == 'pattern' else o[-1] if 'width' in n else 'mbconv_k3_e3'
    for n, o in SPACE.choices.items()
  ]
  return MACS.exact(space.Architecture(SPACE, tuple(choice)))


@pytest.mark.parametrize('limit', [1e6, 5e6])
def test_hand_made_networks_are_what_their_names_say(limit):
  for name in handmade.names_for(SPACE):
    a = handmade.within(SPACE, name, {MACS: limit}, fill=0.98)
    choice = dict(zip(SPACE.choices, a.choice, strict=True))
    assert choice['pattern'] == name
    # The widest and deepest that expand by 3 may cost less.
    assert 0.98 * min(limit, _largest(name)) <= MACS.exact(a) <= limit
    ops = {slot.ops[0].name for slot in space.fix(SPACE, a).slots[1:-2]}
    plain = {'mbconv_k3_e3', 'skip'}
    # Late downsampling is dear: then some blocks do not expand.
    dear = name == 'late' and limit < 4e6
    assert ops <= (plain | {'mbconv_k3_e1'} if dear else plain)


def test_hand_made_networks_need_blocks_to_be_made_of():
  macs = cost.macs(spaces.tiny())
  a = handmade.within(spaces.tiny(), 'expand3', {macs: 1e9}, fill=0.98)
  assert a.choice == ('mbconv_k3_e3',) * 3
  other = spaces.mobile(
    [spaces.Stage(6, 1), spaces.Stage(8, 2, 2)],
    name='other',
    image_size=8,
    channels=1,
    num_classes=10,
    stem=4,
    stem_stride=2,
    head=16,
    candidates=[c for c in spaces.CANDIDATES if getattr(c, 'expand', 0) == 6],
  )
  limits = {cost.macs(other): 1e9}
  refused('no network whose', handmade.within, other, 'expand3', limits, fill=0)

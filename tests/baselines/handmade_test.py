"""Hand-made networks are what their names say."""

import pytest

from nasjax import cost, space, spaces
from nasjax.baselines import handmade
from tests.baselines.baselines_cases import SPACE
from tests.conftest import refused

MACS = cost.macs(SPACE)


def _largest(pattern):
  choice = [
    pattern if n == 'pattern' else o[-1] if 'width' in n else 'mbconv_k3_e3'
    for n, o in SPACE.choices.items()
  ]
  return MACS.exact(space.Architecture(SPACE, tuple(choice)))


@pytest.mark.quick_every(2)
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

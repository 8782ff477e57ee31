"""Spaces in which the place of downsampling is a choice."""

import numpy as np
import pytest

from nasjax import space, spaces
from tests.spaces.spaces_cases import macs_of

PRESETS = (spaces.mobile_macro, 32), (spaces.mobile_macro_small, 8)


def _fixed(s, pattern):
  """The network of the first options, with this pattern."""
  first = {name: options[0] for name, options in s.choices.items()}
  choice = tuple((first | {'pattern': pattern}).values())
  return space.Architecture(s, choice)


@pytest.mark.parametrize(('preset', 'reduction'), PRESETS)
def test_every_pattern_ends_at_one_resolution_by_another_way(preset, reduction):
  s, ways = preset(), set()
  for pattern in s.choices['pattern']:
    network = space.fix(s, _fixed(s, pattern))
    strides = tuple(slot.stride for slot in network.slots)
    assert np.prod(strides) == reduction
    ways.add(strides)
  assert len(ways) == len(s.choices['pattern']) == 3


@pytest.mark.parametrize(('preset', '_'), PRESETS)
def test_downsampling_later_costs_more(preset, _):
  s, macs = preset(), macs_of(preset)
  cost = {p: macs.exact(_fixed(s, p)) for p in s.choices['pattern']}
  assert cost['early'] < min(c for p, c in cost.items() if p != 'early')
  assert cost['late'] == max(cost.values())

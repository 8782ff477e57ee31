"""MobileNetV3's space: blocks, and the networks found in it."""

import dataclasses

import pytest

from nasjax import cost, ops, spaces, zoo
from tests.spaces.spaces_cases import as_architecture, macs_of, params_of


@pytest.mark.parametrize('network', [zoo.hardcorenas_a, zoo.hardcorenas_f])
def test_hardcorenas_is_shallower_than_the_space_it_came_from(network):
  """Its stages have up to four blocks; those that it lacks are skips."""
  s, published = spaces.mobilenet_v3(), network()
  present = {slot.name: slot for slot in published.slots}
  slots = tuple(
    present.get(
      slot.name, dataclasses.replace(slot, ops=(ops.Skip(),), stride=1)
    )
    for slot in s.slots
  )
  a = as_architecture(s, dataclasses.replace(published, slots=slots))
  for of, resource in ((macs_of, cost.macs), (params_of, cost.params)):
    assert of(spaces.mobilenet_v3).exact(a) == resource(published).constant


def test_squeeze_excite_and_activation_are_choices_of_their_own():
  """All 16 combinations stand in a slot; the activation costs no MAC."""
  s = spaces.mobilenet_v3()
  blocks = [op for op in s.slots[3].ops if isinstance(op, ops.MBConv)]
  varied = {(b.kernel, b.expand, b.se, b.activation) for b in blocks}
  assert len(varied) == len(blocks) == 16
  shape = (1, 28, 28, 24)
  by_activation = {
    activation: [
      cost.op_macs(b, 24, 1, shape)
      for b in blocks
      if b.activation == activation
    ]
    for activation in ('relu', 'hard_swish')
  }
  assert by_activation['relu'] == by_activation['hard_swish']
  assert len(set(by_activation['relu'])) == 8

"""Spaces and architectures: fixing, refusals."""

import dataclasses

import pytest

from nasjax import ops, space, spaces


def test_spaces_are_static():
  assert hash(spaces.mobile_small()) == hash(spaces.mobile_small())
  with pytest.raises(dataclasses.FrozenInstanceError):
    spaces.tiny().name = 'other'


def test_fix_keeps_the_chosen_op_alone(draw):
  a = draw(spaces.mobile_small())
  fixed = space.fix(a.space, a)
  assert not fixed.choices
  kept = {s.name: s.ops[0].name for s in fixed.slots}
  for slot, name in zip(a.space.choices, a.choice, strict=True):
    assert kept[slot] == name


def test_skip_stands_only_where_shapes_stay():
  for slot, before in zip(
    spaces.mobile_224().slots[1:], spaces.mobile_224().slots, strict=False
  ):
    skippable = slot.stride == 1 and slot.features == before.features
    if len(slot.ops) > 1:
      assert ('skip' in slot.op_names) == skippable


def test_one_hot_and_argmax_are_inverse(draw):
  a = draw(spaces.mobile_small())
  assert space.argmax(a.space, space.one_hot(a)) == a


def _patterned(patterns, stride, name='a'):
  slot = space.Slot(name, (ops.Conv(3),), 4, stride)
  return space.Space('s', 8, 1, (slot,), patterns)


@pytest.mark.parametrize(
  'make',
  [
    lambda: space.Slot('s', (), 4),
    lambda: space.Slot('s', (ops.Conv(3),), 0),
    lambda: space.Slot('s', (ops.Conv(3), ops.Conv(3)), 4),
    lambda: space.Space('s', 8, 1, (space.Slot('a', (ops.Skip(),), 4),)),
    lambda: space.Width('w', (8,)),
    lambda: space.Width('w', (8, 4)),
    lambda: _patterned(('one',), 2),
    lambda: _patterned(('same', 'same'), (1, 2)),
    lambda: _patterned(('a', 'b'), (1, 2, 1)),
    lambda: _patterned(('a', 'b'), 1, name='pattern'),
    lambda: ops.Conv(2),
    lambda: ops.MBConv(3, 0),
    lambda: ops.MBConv(3, 1, 'gelu'),
    lambda: ops.Classifier(1.0),
  ],
)
def test_impossible_structures_are_refused(make):
  with pytest.raises(ValueError, match=r'requires|does not fit'):
    make()

"""Slots: where skip stands, and structures that are impossible."""

import pytest

from nasjax import ops, space, spaces


def test_skip_stands_only_where_shapes_stay():
  for slot, before in zip(
    spaces.mobile_224().slots[1:], spaces.mobile_224().slots, strict=False
  ):
    skippable = slot.stride == 1 and slot.features == before.features
    if len(slot.ops) > 1:
      assert ('skip' in slot.op_names) == skippable


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


def test_what_is_a_choice_is_not_fixed():
  fixed = space.Slot('a', (ops.Conv(3),), 4, 2)
  assert (fixed.fixed_features, fixed.fixed_stride) == (4, 2)
  width = space.Width('w', (4, 8))
  with pytest.raises(ValueError, match='features that are fixed'):
    space.Slot('a', (ops.Conv(3),), width).fixed_features  # noqa: B018
  with pytest.raises(ValueError, match='one stride'):
    space.Slot('a', (ops.Conv(3),), 4, (1, 2)).fixed_stride  # noqa: B018

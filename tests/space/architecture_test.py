"""Spaces and architectures: fixing, refusals."""

from nasjax import space, spaces


def test_fix_keeps_the_chosen_op_alone(draw):
  a = draw(spaces.mobile_small())
  fixed = space.fix(a.space, a)
  assert not fixed.choices
  kept = {s.name: s.ops[0].name for s in fixed.slots}
  for slot, name in zip(a.space.choices, a.choice, strict=True):
    assert kept[slot] == name


def test_one_hot_and_argmax_are_inverse(draw):
  a = draw(spaces.mobile_small())
  assert space.argmax(a.space, space.one_hot(a)) == a

"""Chains of mobile blocks: stages of the presets, and candidates that fit."""

from nasjax import ops, spaces, zoo
from nasjax.spaces.mobile import Stage, mobile
from tests.spaces.spaces_cases import layout


def test_the_preset_for_photographs_has_the_stages_of_mobilenet_v2():
  assert layout(spaces.mobile_224()) == layout(zoo.mobilenet_v2())


def test_small_images_are_halved_three_times():
  s = spaces.mobile_small()
  assert layout(s) == [[16, 1, 1], [24, 2, 2], [40, 3, 2], [64, 2, 1]]
  assert [slot.stride for slot in s.slots].count(2) == 3


def test_a_stage_has_its_own_candidates_or_those_of_the_space():
  own = (ops.MBConv(7, 2),)
  s = mobile(
    [Stage(8, 2, candidates=own), Stage(12, 1, 2)],
    name='two_stages',
    image_size=16,
    channels=1,
    num_classes=3,
    stem=8,
    stem_stride=1,
    head=16,
    candidates=(ops.MBConv(3, 1), ops.MBConv(5, 3), ops.Skip()),
  )
  by_name = {slot.name: slot.op_names for slot in s.slots}
  assert by_name['stage1_1'] == by_name['stage1_2'] == ('mbconv_k7_e2',)
  # Where width and stride change, skip does not fit.
  assert by_name['stage2_1'] == ('mbconv_k3_e1', 'mbconv_k5_e3')

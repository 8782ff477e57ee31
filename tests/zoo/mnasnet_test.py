"""MnasNets and EfficientNets."""

from nasjax import zoo


def test_mnasnet_a1_scales_all_but_the_head():
  slots = {s.name: s.features for s in zoo.mnasnet_a1(width=0.5).slots}
  assert slots['stem'] == 16
  assert slots['stage7_1'] == 160
  assert slots['head'] == 1280

"""ProxylessNAS's space: the candidates and stages that its paper prints."""

from nasjax import ops, spaces
from tests.spaces.spaces_cases import layout


def test_candidates_are_three_kernels_by_two_expansions_and_skip():
  """Cai et al. 2019, section 4.2."""
  slot = spaces.proxylessnas().slots[3]
  blocks = [op for op in slot.ops if isinstance(op, ops.MBConv)]
  found = [(block.kernel, block.expand) for block in blocks]
  assert sorted(found) == [(k, e) for k in (3, 5, 7) for e in (3, 6)]
  assert {type(op) for op in slot.ops} == {ops.MBConv, ops.Skip}


def test_the_first_block_of_a_stage_is_never_skipped():
  for slot in spaces.proxylessnas().slots:
    if slot.name.startswith('stage') and slot.name.endswith('_1'):
      assert 'skip' not in slot.op_names


def test_stages_are_as_wide_deep_and_strided_as_printed():
  """Figure 4, the network for phones."""
  assert layout(spaces.proxylessnas()) == [
    [16, 1, 1],
    [32, 4, 2],
    [40, 4, 2],
    [80, 4, 2],
    [96, 4, 1],
    [192, 4, 2],
    [320, 1, 1],
  ]

"""The key of a block: the same where a device runs the same."""

import dataclasses
import itertools

import pytest

from nasjax import latency, ops, spaces, zoo
from nasjax.space import OpBlock

PLACES = [
  *((16, 1, (1, 8, 8, 16)), (16, 2, (1, 8, 8, 16)), (24, 1, (1, 8, 8, 16))),
  *((16, 1, (1, 9, 9, 16)), (16, 1, (1, 8, 8, 24)), (16, 1, (1, 16, 8, 8))),
]
OPS = [
  *(ops.MBConv(k, e) for k in (3, 5) for e in (3, 6)),
  ops.MBConv(3, 3, 'hard_swish'),
  ops.MBConv(3, 3, se=4),
  ops.MBConv(3, 3, se=4, se_gate='sigmoid'),
  ops.MBConv(3, 3, residual=False),
  ops.MBConv(3, 3, groups=2),
  ops.MBConv(3, mid=50),
  ops.Conv(3),
  ops.Conv(1),
  ops.Conv(3, 'relu'),
  ops.Separable(3),
]


def test_all_that_changes_the_graph_changes_the_key():
  keys = [
    latency.block_key(OpBlock(op, features, stride), shape, dtype=dtype)
    for op in OPS
    for features, stride, shape in PLACES
    for dtype in ('float32', 'int8')
  ]
  assert len(set(keys)) == len(OPS) * len(PLACES) * 2


def test_what_acts_in_training_alone_does_not_change_the_key():
  block = OpBlock(ops.MBConv(3, 6), 16, 1)
  dropped = OpBlock(ops.MBConv(3, 6, drop_path=0.2), 16, 1)
  key = lambda b: latency.block_key(b, (1, 8, 8, 16), dtype='float32')  # noqa: E731
  assert key(block) == key(dropped)


@pytest.mark.parametrize(
  'make', [spaces.tiny_macro, spaces.fbnet, zoo.mobilenet_v3_large]
)
def test_blocks_of_one_key_are_equal(make):
  found = {}

  def measure(block, *shapes):
    key = latency.block_key(block, *shapes, dtype='float32')
    assert found.setdefault(key, (block, shapes)) == (block, shapes) or (
      key is None and isinstance(block.op, ops.Skip)
    )
    return 0

  make().tables(measure)
  assert len(found) > 5


def test_blocks_of_another_kind_of_space_are_told_apart():
  @dataclasses.dataclass(frozen=True)
  class Node:
    features: int
    op: str

    def module(self, numerics):
      raise NotImplementedError

  blocks = [Node(n, op) for n in (4, 8) for op in ('conv', 'pool')]
  shapes = [((1, 8, 8, 4),), ((1, 8, 8, 4), (1, 8, 8, 4)), ((1, 4, 4, 4),)]
  keys = {
    latency.block_key(block, *own, dtype='float32')
    for block, own in itertools.product(blocks, shapes)
  }
  assert len(keys) == 12

"""Resources: memory by hand, ops that differ in shape."""

import dataclasses

import flax.linen as nn
import pytest

from nasjax import cost, ops, space, spaces


def test_memory_by_hand():
  """8x8x1 in, 4x4x4 out of the stem, then a block that expands 4 to 12."""
  s = spaces.tiny()
  a = space.Architecture(s, ('mbconv_k3_e3', 'mbconv_k3_e1', 'skip'))
  # Input 4x4x4 and the expansion's and the depthwise convolution's 4x4x12:
  # no residual (4 to 6 channels), so the input is gone by then.
  assert cost.memory(s).exact(a) == 4 * (4 * 4 * 12 + 4 * 4 * 12)


def test_ops_that_differ_in_shape_are_refused():
  class Wrong(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return x[:, 1:]

  @dataclasses.dataclass(frozen=True)
  class WrongOp:
    name = 'wrong'

    def fits(self, in_features, features, stride):
      return True

    def module(self, features, stride, numerics):
      return Wrong()

  slots = (space.Slot('a', (ops.Skip(), WrongOp()), 1),)
  with pytest.raises(ValueError, match='differ in size'):
    cost.macs(space.Space('s', 8, 1, slots))

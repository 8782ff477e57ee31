"""MBConv: counts in closed form, of drawn fields at drawn places."""

import dataclasses

import numpy as np
import pytest

from nasjax import cost, ops
from tests.ops.ops_cases import counted


def test_a_plain_block():
  macs, params = counted(ops.MBConv(3, 6), 40, 2)
  mid = 6 * 24
  assert macs == 64 * 24 * mid + 16 * 9 * mid + 16 * mid * 40
  assert params == 24 * mid + 9 * mid + mid * 40 + 4 * mid + 2 * 40


@pytest.mark.parametrize(
  ('fields', 'mid', 'squeezed'),
  [
    ({'expand': 3, 'se': 4}, 72, 24),  # 18, and 16 would be 11 % below.
    ({'mid': 184, 'se': 4}, 184, 48),
    ({'expand': 3, 'se': 4, 'se_divisor': 1}, 72, 18),
    ({'expand': 3, 'se': 4, 'se_from': 'input', 'se_divisor': 1}, 72, 6),
    ({'expand': 1, 'se': 32, 'se_from': 'input', 'se_divisor': 1}, 24, 1),
  ],
)
def test_squeeze_excite_adds_two_layers_with_bias(fields, mid, squeezed):
  op = ops.MBConv(5, **fields)
  assert (op.expanded(24), op.squeezed(24)) == (mid, squeezed)
  with_se = counted(op, 40, 1)
  without = counted(dataclasses.replace(op, se=0), 40, 1)
  assert with_se[0] - without[0] == 2 * mid * squeezed
  assert with_se[1] - without[1] == 2 * mid * squeezed + squeezed + mid


def test_groups_and_bias():
  grouped = counted(ops.MBConv(3, 2, groups=4, bias=True), 40, 1)
  plain = counted(ops.MBConv(3, 2), 40, 1)
  saved = (24 * 48 + 48 * 40) * 3 // 4
  assert plain[0] - grouped[0] == 64 * saved
  assert grouped[1] - plain[1] == 48 + 48 + 40 - saved


def test_no_expansion_where_the_width_stays():
  as_factor, as_width = ops.MBConv(3, 1), ops.MBConv(3, mid=24)
  assert counted(as_factor, 40, 1) == counted(as_width, 40, 1)
  assert counted(as_factor, 40, 1)[0] == 64 * (9 * 24 + 24 * 40)


def _drawn_blocks(number):
  """Blocks of all fields, at places of all kinds that they fit."""
  rng = np.random.default_rng(0)
  draw = lambda *options: options[rng.integers(len(options))]  # noqa: E731
  while number:
    width = {draw('expand', 'mid'): draw(1, 2, 3, 8, 20)}
    op = ops.MBConv(
      draw(1, 3, 5),
      **width,
      activation=draw(*ops.ACTIVATIONS),
      groups=draw(1, 1, 2, 4),
      bias=draw(False, True),
      residual=draw(False, True, True),
      se=draw(0, 1, 3, 4, 32),
      se_from=draw('expanded', 'input'),
      se_divisor=draw(1, 8),
      se_activation=draw(*ops.ACTIVATIONS),
      se_gate=draw(*ops.GATES),
    )
    inputs, stride, size = draw(4, 8, 20), draw(1, 1, 2, 3), draw(1, 2, 7)
    features = draw(inputs, 12)
    if op.fits(inputs, features, stride):
      number -= 1
      yield op, features, stride, (1, size, size, inputs)


@pytest.mark.slow
def test_closed_forms_are_what_is_traced():
  for block in _drawn_blocks(100):
    traced = [cost.traced(r, *block) for r in ('macs', 'params', 'memory')]
    op, features, stride, (_, size, _, inputs) = block
    place = inputs, features, stride, size
    assert [op.macs(*place), op.params(*place), op.memory(*place)] == traced
    assert cost.op_memory(*block) == traced[-1]
    assert cost.op_shape(*block) == cost.traced_shape(*block)

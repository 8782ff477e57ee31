"""Spaces in which widths are a choice."""

from nasjax import cost, space, spaces
from tests.spaces.spaces_cases import as_architecture, macs_of


def test_mobile_small_is_within_its_width_space(draw):
  narrow, wide = spaces.mobile_small(), spaces.mobile_width_small()
  for _ in range(10):
    # Where the first slot's width is a choice it cannot be skipped.
    a = space.Architecture(narrow, ('mbconv_k3_e1', *draw(narrow).choice[1:]))
    b = as_architecture(wide, space.fix(narrow, a))
    found = macs_of(spaces.mobile_width_small).exact(b)
    assert found == cost.macs(narrow).exact(a)


def test_multipliers_are_the_callers():
  """All seven of Bender et al. 2020; narrow stages round some together."""
  seven = spaces.mobile_width(
    multipliers=(0.5, 0.625, 0.75, 1.0, 1.25, 1.5, 2.0)
  )
  widths = seven.choices['stage2_width'].options
  assert widths == ('16', '24', '32', '40', '48')
  assert len(seven.choices['stage6_width']) == 7

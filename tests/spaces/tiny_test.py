"""Spaces that can be enumerated: every network is counted."""

import itertools

import pytest

from nasjax import space
from tests.spaces.spaces_cases import TINY, built_counts, exact_counts


@pytest.mark.slow
@pytest.mark.parametrize(
  ('preset', 'number'), list(zip(TINY, (12, 48, 24), strict=True))
)
def test_every_combination_is_the_count_of_the_built_network(preset, number):
  """Widths that meet, places to downsample."""
  s = preset()
  sizes = [range(len(options)) for options in s.choices.values()]
  every = list(itertools.product(*sizes))
  assert len(every) == number
  for indices in every:
    a = space.Architecture.from_indices(s, indices)
    assert exact_counts(preset, a) == built_counts(space.fix(s, a)), a.choice

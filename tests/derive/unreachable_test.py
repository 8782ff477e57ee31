"""Limits that nothing keeps: said, with what would."""

import pytest

from nasjax import cost, derive, space, spaces
from nasjax.errors import InputError


def test_an_unreachable_limit_names_the_reachable_range():
  s = spaces.tiny()
  macs = cost.macs(s)
  low, high = macs.bounds()
  with pytest.raises(InputError, match=f'{low} to {high}'):
    derive.within(s, space.init_alphas(s), {macs: low - 1})


def test_limits_that_only_together_cannot_be_kept_are_said_so():
  """Two resources of opposite order: cheap in one is dear in the other."""
  s = spaces.tiny()
  names = s.choices
  rising = {k: {o: i for i, o in enumerate(n)} for k, n in names.items()}
  falling = {
    k: {o: len(n) - 1 - i for i, o in enumerate(n)} for k, n in names.items()
  }
  up = cost.table(s, 'up', 'units', rising)
  down = cost.table(s, 'down', 'units', falling)
  with pytest.raises(InputError, match='up is at least 4 units') as e:
    derive.within(s, space.init_alphas(s), {up: 3, down: 0})
  assert 'all limits together' in str(e.value)

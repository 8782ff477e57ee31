"""The protocol of a search space, and the chains that implement it."""

import inspect

import pytest

from nasjax import spaces
from nasjax.space import Space, protocol


def _members():
  own = vars(protocol.SearchSpace)
  return [name for name in own if not name.startswith('_')]


def test_a_chain_has_all_members_with_the_same_arguments():
  assert len(_members()) == 6
  for name in _members():
    wanted = inspect.getattr_static(protocol.SearchSpace, name)
    if callable(wanted):
      own = inspect.signature(getattr(Space, name)).parameters
      assert list(own) == list(inspect.signature(wanted).parameters)


@pytest.mark.parametrize(
  'make', [spaces.tiny, spaces.tiny_width, spaces.tiny_macro]
)
def test_every_member_is_there_on_every_kind_of_chain(make):
  s = make()
  assert all(hasattr(s, name) for name in _members())
  assert hash(s) == hash(make())  # Static: no arrays.

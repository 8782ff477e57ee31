"""What is said of chains, and of other kinds of spaces."""

import dataclasses

from nasjax import space, spaces
from nasjax.space import chain_names


def _networks():
  s = spaces.tiny()
  sizes = [len(choice) for choice in s.choices.values()]
  first, last = [0] * len(sizes), [n - 1 for n in sizes]
  return [
    s.fix(space.Architecture.from_indices(s, index)) for index in (first, last)
  ]


def test_ops_are_named_by_slot():
  s, (one, _) = spaces.tiny(), _networks()
  ops = chain_names.slot_ops(s)
  assert list(ops) == [slot.name for slot in s.slots]
  assert {type(op) for own in ops.values() for op in own} == set(
    chain_names.op_types(s)
  )
  chosen = chain_names.chosen_ops(one)
  assert all(chosen[name] in {op.name for op in ops[name]} for name in ops)


def test_the_first_difference_is_said_and_none_of_equals():
  one, other = _networks()
  assert chain_names.difference(one, one) == ''
  said = chain_names.difference(one, other)
  first = next(a for a, b in zip(one.slots, other.slots, strict=True) if a != b)
  assert said.startswith(f'slot {first.name} is {first.ops[0].name}')
  larger = dataclasses.replace(one, image_size=2 * one.image_size)
  assert chain_names.difference(one, larger) == 'the sizes of their images'


def test_less_is_said_of_other_kinds_of_spaces():
  class Own:
    name = 'own'

  assert chain_names.op_types(Own()) == ()
  assert chain_names.slot_ops(Own()) == chain_names.chosen_ops(Own()) == {}
  one, _ = _networks()
  assert chain_names.difference(one, Own()) == f'{one.name}, not own'

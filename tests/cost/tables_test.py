"""Tables: bounds of any, sums of own ones, refusals."""

import itertools

import numpy as np
import pytest

from nasjax import cost, space, spaces
from tests.conftest import refused


def test_bounds_hold_for_any_tables():
  """Random tables over a ring of choices, against enumeration."""
  rng = np.random.default_rng(0)
  sizes = {'a': 2, 'b': 3, 'c': 2, 'd': 3}
  ring = [('a', 'b'), ('b', 'c'), ('d', 'c'), ('d', 'a'), ('b',), ()]
  for reduction, combine in (('sum', sum), ('max', max)):
    for _ in range(20):
      tables = tuple(
        cost.Table(
          axes,
          tuple(sizes[a] for a in axes),
          tuple(rng.integers(0, 99, [sizes[a] for a in axes]).ravel().tolist()),
        )
        for axes in ring
      )
      every = [
        combine(t.at(dict(zip(sizes, i, strict=True))) for t in tables)
        for i in itertools.product(*map(range, sizes.values()))
      ]
      c = cost.Cost('c', 'units', tables, reduction)
      assert c.bounds() == (min(every), max(every))


def test_a_table_of_ones_own_is_summed_and_checked():
  s = spaces.tiny()
  numbers = {
    slot: {op: 0.25 * i for i, op in enumerate(ops_)}
    for slot, ops_ in s.choices.items()
  }
  c = cost.table(s, 'energy', 'mJ', numbers, fixed=1.0)
  assert c.bounds() == (1.0, 2.0)
  a = space.Architecture(s, ('mbconv_k3_e3', 'mbconv_k3_e1', 'skip'))
  assert c.exact(a) == 1.75
  assert float(c(space.one_hot(a))) == 1.75
  del numbers['stage1_1']['mbconv_k3_e1'], numbers['stage2_2']['skip']
  lacks = 'lacks stage1_1/mbconv_k3_e1, stage2_2/skip'
  refused(lacks, cost.table, s, 'energy', 'mJ', numbers)
  for wrong in (-1.0, float('nan'), float('inf')):
    numbers = {k: dict.fromkeys(n, 1.0) for k, n in s.choices.items()}
    numbers['stage2_2']['skip'] = wrong
    refused(
      'stage2_2/skip; costs are finite', cost.table, s, 'e', 'mJ', numbers
    )
  numbers['stage2_2']['skip'] = '3'
  says = "'3' at stage2_2/skip; costs are numbers"
  refused(says, cost.table, s, 'e', 'mJ', numbers)
  numbers['stage2_2']['skip'] = None
  refused('lacks stage2_2/skip', cost.table, s, 'e', 'mJ', numbers)
  numbers['stage2_2'] = 3
  refused('has 3 for stage2_2, which takes', cost.table, s, 'e', 'mJ', numbers)
  numbers['stage2_2'] = dict.fromkeys(s.choices['stage2_2'], 1.0)
  refused('None at fixed/part', cost.table, s, 'e', 'mJ', numbers, fixed=None)
  numbers['attic'] = {'op': 1.0}
  refused('does not have: attic/op', cost.table, s, 'e', 'mJ', numbers)


@pytest.mark.parametrize('number', [-1, float('nan'), float('inf')])
def test_numbers_that_are_no_costs_are_refused(number):
  table = cost.Table(('a',), (2,), (1.0, number))
  with pytest.raises(ValueError, match='finite numbers of at least 0'):
    cost.Cost('c', 'units', (table,))

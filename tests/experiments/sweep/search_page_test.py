"""What the page of a sweep says of its searches."""

import statistics

import pytest

from experiments.sweep import search_page
from experiments.sweep.search_page import Finalists
from nasjax.report.document import Table, Text


def _member(name, seconds, accuracies=()):
  return {
    'name': name,
    'trained_as': name,
    'resources': {'macs': {'cost': 1000, 'argmax_cost': 2000}},
    'entropy': 0.5,
    'images': 320,
    'seconds': seconds,
    'compile_seconds': 7.0,
    'device': 'cpu',
    'finalists': [{'valid_accuracy': value} for value in accuracies],
  }


def _text(blocks):
  return ' '.join(block.text for block in blocks if isinstance(block, Text))


@pytest.mark.parametrize(
  ('seconds', 'said'),
  [([3.0, 4.0], '7 s in 2 searches'), ([3.0, None], '3 s in 1 searches')],
)
def test_seconds_that_are_known_are_summed(seconds, said):
  members = [_member(f's{i}', own) for i, own in enumerate(seconds)]
  blocks = search_page.blocks(members, [])
  assert said in _text(blocks)
  (table,) = (block for block in blocks if isinstance(block, Table))
  shown = ['-' if own is None else f'{own:.0f}' for own in seconds]
  assert [row[6] for row in table.rows] == shown


def test_finalists_are_said_by_their_first_and_their_best():
  members = [_member('a', 1.0, (0.4, 0.6)), _member('b', 1.0, (0.5, None))]
  places = [Finalists('searches', '-', 60, [0.4, 0.6, 0.5])]
  said = _text(search_page.blocks(members, places))
  assert '55.00 % there on average' in said  # Of 0.6 and 0.5.
  assert 'had 45.00 %' in said  # Of 0.4 and 0.5.
  assert 'finalists' not in _text(search_page.blocks([_member('a', 1.0)], []))


def test_finalists_of_a_place_are_held_to_chance():
  own = [0.4, 0.6, 0.5]
  table, _ = search_page.places([Finalists('controls', 'late', 100, own)])
  (row,) = table.rows
  assert row[2:] == ('3', '50.00', f'{100 * statistics.stdev(own):.2f}', '5.00')

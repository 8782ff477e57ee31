"""A page that is read is the page that was written."""

import pytest

from nasjax.report import document, reading
from nasjax.report.document import Code, Figure, Heading, Items, Table, Text

ODD = ['a|b', ' | ', '_x_', '**', '<i>', '&lt;', '\\|', '[a](b)', '`', '', '$']
BLOCKS = [
  Heading('A &lt; B', 1),
  Text('Both are **bold** and `a<b`.'),
  Heading('Smaller', 3),
  Items(['one', 'two, `three`']),
  Table(('name', 'kind', 'n'), [('a', 'x', '1'), ('c', '', '2')], left=2),
  Table(('n',), [], left=0),
  Code('python -m this\n\n    --that="<x>"'),
  Figure('dot.png', 'a "dot"'),
]


def _plain(block):
  """With lists for all sequences."""
  match block:
    case Table(head, rows, left):
      return list(head), [list(row) for row in rows], left
    case Items(items):
      return list(items)
  return block


def test_blocks_are_read_as_they_were_written():
  found = reading.blocks(document.markdown(BLOCKS))
  assert [type(b) for b in found] == [type(b) for b in BLOCKS]
  assert list(map(_plain, found)) == list(map(_plain, BLOCKS))


@pytest.mark.parametrize('name', ODD)
def test_cells_are_read_whatever_is_in_them(name):
  table = Table(('a', name, 'c'), [(name, 'b', name), ('x', name, 'y')])
  (found,) = reading.blocks(document.markdown([table]))
  assert _plain(found) == _plain(table)


def test_the_html_of_what_was_read_is_the_same(tmp_path):
  (tmp_path / 'dot.png').write_bytes(b'any')
  again = reading.blocks(document.markdown(BLOCKS))
  assert document.page(again, tmp_path) == document.page(BLOCKS, tmp_path)

"""Reads a page that `nasjax.report.document.markdown` wrote."""

import html
import re

from nasjax.report.document import (
  Block,
  Code,
  Figure,
  Heading,
  Items,
  Table,
  Text,
)

_HEADING = re.compile(r'(#+) (.*)')
_FIGURE = re.compile(r'!\[(.*)\]\((.*)\)')
_ESCAPED = re.compile(r'\\([!-/:-@\[-`{-~])')


def blocks(text: str) -> list[Block]:
  """The blocks of a page; the inverse of `document.markdown`.

  Args:
    text: Markdown as `document.markdown` writes it. Any other line becomes
      part of a paragraph.

  Example:
    >>> blocks('# A\\n\\n| b | c |\\n|---|---:|\\n| d | 1 |\\n')
    [Heading(text='A', level=1), \
Table(head=('b', 'c'), rows=[('d', '1')], left=1)]
  """
  return [_block(part) for part in text.removesuffix('\n').split('\n\n')]


def _block(text: str) -> Block:
  lines = text.split('\n')
  if all(line.startswith('    ') for line in lines):
    return Code('\n'.join(line[4:] for line in lines))
  if all(line.startswith('- ') for line in lines):
    return Items([line[2:] for line in lines])
  if len(lines) > 1 and re.fullmatch(r'\|(-+:?\|)+', lines[1]):
    head, rule, *rows = lines
    left = rule.count('-|')
    return Table(_cells(head), [_cells(row) for row in rows], left)
  if len(lines) == 1 and (found := _HEADING.fullmatch(text)):
    return Heading(found[2], len(found[1]))
  if len(lines) == 1 and (found := _FIGURE.fullmatch(text)):
    return Figure(found[2], found[1])
  return Text(text)


def _cells(line: str) -> tuple[str, ...]:
  """The cells of a row, without the marks that `markup.literal` adds."""
  cells = line.removeprefix('| ').removesuffix(' |').split(' | ')
  return tuple(html.unescape(_ESCAPED.sub(r'\1', cell)) for cell in cells)

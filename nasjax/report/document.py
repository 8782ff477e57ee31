"""A page of text, tables and figures, as Markdown and as one HTML file.

Headings, paragraphs and items are Markdown, in which names stand as
`nasjax.report.markup.literal` writes them. Cells and code are any text.
"""

import base64
import html
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from nasjax.printable import printable
from nasjax.report.markup import literal, to_html


class Heading(NamedTuple):
  text: str
  level: int = 2


class Text(NamedTuple):
  """A paragraph; `code` and **bold** as in Markdown."""

  text: str


class Items(NamedTuple):
  """A list; each item as a paragraph is."""

  items: Sequence[str]


class Table(NamedTuple):
  """Cells as they are to be read; all columns but `left` are numbers.

  Attributes:
    head: a title for each column.
    rows: of as many cells.
    left: how many columns are of words.
  """

  head: Sequence[str]
  rows: Sequence[Sequence[str]]
  left: int = 1


class Figure(NamedTuple):
  """A PNG beside the page.

  Attributes:
    name: of the file.
    words: what it shows, for who does not see it.
  """

  name: str
  words: str


class Code(NamedTuple):
  text: str


Block = Heading | Text | Items | Table | Figure | Code


def markdown(blocks: Sequence[Block]) -> str:
  """The page in Markdown; figures are links.

  Example:
    >>> print(markdown([Heading('A', 1), Table(('b', 'c'), [('d', '1')])]))
    # A
    <BLANKLINE>
    | b | c |
    |---|---:|
    | d | 1 |
    <BLANKLINE>
  """
  return '\n\n'.join(map(_markdown, blocks)) + '\n'


def _markdown(block: Block) -> str:
  match block:
    case Heading(text, level):
      return f'{"#" * level} {text}'
    case Text(text):
      return text
    case Items(items):
      return '\n'.join(f'- {item}' for item in items)
    case Table(head, rows, left):
      rule = ['---'] * left + ['---:'] * (len(head) - left)
      lines = [_cells(head), f'|{"|".join(rule)}|', *map(_cells, rows)]
      return '\n'.join(lines)
    case Figure(name, words):
      return f'![{words}]({name})'
    case Code(text):
      return '\n'.join(f'    {line}' for line in _lines(text))


def _lines(text: str) -> list[str]:
  return [printable(line) for line in text.splitlines()]


def _cells(cells: Sequence[str]) -> str:
  return f'| {" | ".join(map(literal, cells))} |'


_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; font-size: 0.88rem; display: block;
  overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid #ddd;
  text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #999; } .words { text-align: left; }
pre, code { background: #f3f3f3; font-size: 0.88rem; border-radius: 3px; }
pre { padding: 0.7rem; white-space: pre-wrap; overflow-wrap: anywhere; }
code { padding: 0.1rem 0.25rem; } img { max-width: 100%; }
"""


def page(blocks: Sequence[Block], folder: str | pathlib.Path) -> str:
  """The page in HTML, with its figures in it: it needs no other file.

  Args:
    blocks: the first heading is its title.
    folder: where the figures are.
  """
  folder = pathlib.Path(folder)
  title = next((b.text for b in blocks if isinstance(b, Heading)), 'Report')
  title = re.sub('<[^>]*>', '', to_html(title))  # It has text alone.
  body = '\n'.join(_html(block, folder) for block in blocks)
  return (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f'<title>{title}</title>\n<style>{_STYLE}</style></head>\n'
    f'<body>\n{body}\n</body></html>\n'
  )


def _html(block: Block, folder: pathlib.Path) -> str:
  match block:
    case Heading(text, level):
      return f'<h{level}>{to_html(text)}</h{level}>'
    case Text(text):
      return f'<p>{to_html(text)}</p>'
    case Items(items):
      return f'<ul>{"".join(f"<li>{to_html(i)}</li>" for i in items)}</ul>'
    case Table(head, rows, left):
      lines = [_row('th', head, left), *(_row('td', r, left) for r in rows)]
      return '<table>\n' + '\n'.join(lines) + '\n</table>'
    case Figure(name, words):
      data = base64.b64encode((folder / name).read_bytes()).decode()
      alt = html.escape(words, quote=True)
      return f'<p><img alt="{alt}" src="data:image/png;base64,{data}"></p>'
    case Code(text):
      return f'<pre>{html.escape(chr(10).join(_lines(text)))}</pre>'


def _row(tag: str, cells: Sequence[str], left: int) -> str:
  found = (
    f'<{tag}{" class=words" if i < left else ""}>{_cell(cell)}</{tag}>'
    for i, cell in enumerate(cells)
  )
  return f'<tr>{"".join(found)}</tr>'


def _cell(text: str) -> str:
  return html.escape(printable(text), quote=False)

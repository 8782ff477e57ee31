"""A page: the same content in Markdown and in one HTML file."""

import base64
import html.parser
import re

from nasjax.report import canvas, document
from nasjax.report.document import Code, Figure, Heading, Items, Table, Text

BLOCKS = [
  Heading('A < B', 1),
  Text('Both are **bold** and `a<b`.'),
  Items(['one', 'two | three']),
  Table(('name', 'kind', 'n'), [('a|b', 'x', '1'), ('c', 'y', '2')], left=2),
  Code('python -m this --that="<x>"'),
  Figure('dot.png', 'a "dot"'),
]


def test_markdown_has_every_cell_and_link():
  text = document.markdown(BLOCKS)
  assert text.startswith('# A < B\n\nBoth are **bold** and `a<b`.\n\n- one\n')
  assert '| name | kind | n |\n|---|---|---:|\n| a\\|b | x | 1 |' in text
  assert '\n    python -m this' in text
  assert '![a "dot"](dot.png)' in text


class _Checked(html.parser.HTMLParser):
  """Tags that are closed, links, and what is written."""

  def __init__(self):
    super().__init__()
    self.open, self.links, self.text = [], [], ''

  def handle_starttag(self, tag, attrs):
    if tag not in ('meta', 'img'):
      self.open.append(tag)
    self.links += [v for k, v in attrs if k in ('src', 'href')]

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text += data


def test_html_needs_no_other_file_and_says_the_same(tmp_path):
  figure = canvas.new(1, 1)
  canvas.save(figure, tmp_path / 'dot.png')
  text = document.page(BLOCKS, tmp_path)
  seen = _Checked()
  seen.feed(text)
  assert seen.open == []
  for words in ('A < B', 'a<b', 'two | three', 'a|b', '--that="<x>"'):
    assert words in seen.text, words
  (link,) = seen.links
  kind, _, data = link.partition('base64,')
  assert kind == 'data:image/png;'
  assert base64.b64decode(data) == (tmp_path / 'dot.png').read_bytes()
  assert '<b>bold</b>' in text
  assert '<code>a&lt;b</code>' in text
  # Numbers are at the right, words at the left.
  cells = re.findall(r'<td( class=words)?>', text)
  assert [bool(c) for c in cells] == [True, True, False] * 2

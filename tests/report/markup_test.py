"""Names that are code, formulas or control characters: shown, never obeyed."""

import dataclasses
import html.parser
import re

import pytest
from matplotlib.text import Text

from experiments.flags import cli
from nasjax import cost, report, spaces
from nasjax.errors import InputError
from nasjax.printable import printable
from nasjax.report import architecture, comparison, document, gallery, markup
from nasjax.report import search as search_figures
from nasjax.report import sweep as sweep_figures
from nasjax.report.document import Code, Heading, Items, Table
from nasjax.report.intervals import Difference
from nasjax.space import Architecture, fix

TINY = spaces.tiny()
FORMULAS = [r'$\frac$', '$', '$$', r'\$x$', '$x$', 'a $\\frac{1}{2}$ b']
NAMES = [
  *FORMULAS,
  '<script>alert(1)</script>',
  '</pre></code><img src=x onerror=alert(1)>',
  '[x](javascript:alert(1))',
  '![x](https://a.b/c.png)',
  'a|b|c',
  r'a\|b',
  'a\\',
  'a`b``c',
  '**a** _b_ ~~c~~ *d*',
  '&lt;b&gt; &amp;amp; &#60;',
  '%s {} {0}',
  'one\ntwo\r\n\n# three',
  '\x1b[31mred\x1b]0;title\x07',
  'cat\u202egnp.exe',
  '',
  '_hidden',
  'Größe 猫',
]


def _named(name):
  """A space with the name as its own, a slot's and a width's."""
  slots = [
    dataclasses.replace(slot, name=name) if i == 1 else slot
    for i, slot in enumerate(TINY.slots)
  ]
  return dataclasses.replace(TINY, name=name, slots=tuple(slots))


def _drawn(figure):
  """All text of a figure that draws; none of it is read as a formula."""
  figure.draw_without_rendering()
  found = figure.findobj(Text)
  assert not any(text.get_parse_math() for text in found if text.get_text())
  return '\n'.join(text.get_text() for text in found)


@pytest.fixture
def kept(monkeypatch):
  """Figures that would be written, as they are when they are written."""
  figures = []

  def save(figure, path):
    report.architecture.canvas.literal(figure)
    figures.append(_drawn(figure))
    return path

  for module in (architecture, comparison, gallery, search_figures):
    monkeypatch.setattr(module.canvas, 'save', save)
  return figures


@pytest.mark.quick_every(3)
@pytest.mark.parametrize(
  'name', [r'$\frac$', '$$', r'\$x$', '\x1b[31m', '', '_hidden']
)
def test_figures_show_names_as_they_are(name, kept):
  s = _named(name)
  a = Architecture.from_indices(s, [0] * len(s.choices))
  network = fix(s, a)
  probs = {k: [1 / len(v)] * len(v) for k, v in s.choices.items()}
  rows = [{'step': i, 'train_loss': 1.0, 'probs': probs} for i in range(3)]
  report.architecture_figure('a.png', a)
  report.architecture_figure('a.png', network, title=name or 'none')
  report.gallery_figure('a.png', [gallery.Picture(network, name, name)])
  report.search_figures('.', rows, s, {cost.macs(s): 10.0})
  row = {'name': name, 'kind': name or 'x', 'macs': 10, 'params': 5}
  row |= {'test_accuracy': 0.5, 'limit': 20}
  report.comparison_figure('a.png', [row], title=name or 'none')
  marks = [sweep_figures.Mark(name, name, 1.0, 0.5)]
  report.accuracy_figure('a.png', marks)
  one = Difference(0.1, 0.0, 0.2, (3, 3), 0.5)
  report.differences_figure('a.png', [(name, one, True)])
  shown = printable(name)
  assert sum(shown in text for text in kept) >= 5


def test_a_figure_with_a_formula_for_a_name_is_written(tmp_path):
  for name in FORMULAS:
    a = Architecture.from_indices(_named(name), [0] * len(TINY.choices))
    report.architecture_figure(tmp_path / 'a.png', a)
    assert (tmp_path / 'a.png').stat().st_size > 3000


class _Read(html.parser.HTMLParser):
  """Text by tag, and all tags."""

  def __init__(self):
    super().__init__()
    self.tags, self.text, self.cells = [], '', []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    assert not any(key.startswith('on') for key, _ in attrs)
    if tag in ('th', 'td', 'pre', 'h1', 'li'):
      self.cells.append('')

  def handle_data(self, data):
    if self.cells:
      self.cells[-1] += data


@pytest.mark.parametrize('name', NAMES)
def test_a_page_shows_names_as_they_are(name, tmp_path):
  blocks = [
    Heading(f'On {markup.literal(name)}', 1),
    Items([f'with {markup.literal(name)}', f'in {markup.code(name)}']),
    Table(('name', 'n'), [(name, '1')]),
    Code(f'python --a={name}'),
  ]
  seen, shown = _Read(), printable(name)
  seen.feed(document.page(blocks, tmp_path))
  known = 'html head meta title style body h1 ul li table tr th td pre code'
  assert set(seen.tags) <= set(known.split())
  heading, *items, _, _, cell, _, code = (c.strip('\n') for c in seen.cells)
  assert heading == f'On {shown}'
  assert items == [f'with {shown}', f'in {shown}']
  assert cell == shown
  assert code == '\n'.join(map(printable, f'python --a={name}'.splitlines()))


def _unescaped(text):
  """What Markdown that `literal` wrote shows."""
  return html.unescape(re.sub(r'\\([!-/:-@\[-`{-~])', r'\1', text))


@pytest.mark.parametrize('name', NAMES)
def test_markdown_shows_names_as_they_are(name):
  row = {'name': name, 'kind': name, 'macs': 10, 'params': 5, 'limit': 20}
  for table in (
    report.comparison_table([{**row, 'test_accuracy': 0.5}]).splitlines()[4],
    document.markdown([Table(('a', 'b'), [(name, '1')])]).splitlines()[2],
  ):
    assert '<' not in table
    cells = re.split(r'(?<!\\)(?:\\\\)*\|', table)[1:-1]
    assert _unescaped(cells[0].strip()) in (printable(name).strip(), name)
  # Nothing that could start a tag, a link, code or emphasis is left.
  bare = re.sub(r'\\[!-/:-@\[-`{-~]', '', markup.literal(name))
  assert not re.search(r'[<>`\[\]|$]|\*\S|\S\*', bare)
  assert '\n' not in markup.literal(name) + markup.code(name)


def test_what_a_terminal_would_obey_is_written_out(capsys):
  def main():
    raise InputError('no slot \x1b[2J\nnor another')

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(cli.sys, 'argv', ['script'])
    with pytest.raises(SystemExit) as e:
      cli.run(main)
  assert e.value.code == 1
  err = capsys.readouterr().err
  assert err == 'error: no slot \\x1b[2J\\nnor another\n'

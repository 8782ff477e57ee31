r"""Names in Markdown and HTML: shown as they are, whatever is in them.

What this package writes of itself is Markdown. Names of slots, spaces, classes,
data sets and folders are not: they go through `literal` or `code` first.
"""

import html
import re

from nasjax.printable import printable

_PUNCTUATION = r'[!-/:-@\[-`{-~]'
# An underscore within a word and a star between spaces mark nothing.
_MARKS = re.compile(
  r'[\\`\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\s)\*|\*(?=\S)'
)
_TOKENS = re.compile(
  r'`(?P<code>[^`]+)`|\*\*(?P<bold>(?:\\.|[^*\\])+)\*\*'
  rf'|\\(?P<escaped>{_PUNCTUATION})'
)


def literal(text: str) -> str:
  r"""A name as Markdown that shows it, in tables as well.

  Example:
    >>> literal('mbconv_k3_e1'), literal('a|b'), literal('<script>')
    ('mbconv_k3_e1', 'a\\|b', '&lt;script&gt;')
  """
  return _MARKS.sub(r'\\\g<0>', html.escape(printable(text), quote=False))


def code(text: str) -> str:
  """A name as Markdown that shows it in the type of code, where that can be.

  Example:
    >>> code('a<b'), code('a`b')
    ('`a<b`', 'a\\\\`b')
  """
  shown = printable(text)
  return literal(text) if '`' in shown or not shown.strip() else f'`{shown}`'


def to_html(text: str) -> str:
  """Markdown as HTML: `code`, **bold** and what `literal` has escaped.

  Example:
    >>> to_html('**a** `<b>` ' + literal('<i>'))
    '<b>a</b> <code>&lt;b&gt;</code> &lt;i&gt;'
  """
  found, end = [], 0
  for token in _TOKENS.finditer(text):
    found.append(_plain(text[end : token.start()]))
    end = token.end()
    match token.lastgroup:
      case 'code':
        found.append(f'<code>{_escaped(token["code"])}</code>')
      case 'bold':
        found.append(f'<b>{to_html(token["bold"])}</b>')
      case _:
        found.append(_escaped(token['escaped']))
  return ''.join([*found, _plain(text[end:])])


def _plain(text: str) -> str:
  return _escaped(html.unescape(text))


def _escaped(text: str) -> str:
  return html.escape(text, quote=False)

"""Names that people see: nothing in them moves a cursor or ends a line."""


def printable(text: str) -> str:
  """The text with all that cannot be seen written as Python writes it.

  Names come from files that anybody may have made. A terminal obeys control
  characters, and some others swap the order of what is read.

  Args:
    text: any.

  Returns:
    It, with control characters, ends of lines, characters without a shape and
    lone surrogates as escapes; all else is as it was.

  Example:
    >>> printable('caf\\xe9 \\x1b[31m'), printable('two\\nlines')
    ('café \\\\x1b[31m', 'two\\\\nlines')
  """
  if text.isprintable():
    return text
  return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)

"""Numbers of a page, whatever sentences they stand in."""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r'(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w]|\.\d)')


def numbers(text: str) -> list[float]:
  """All numbers in order; `1,000` is one, `tiny_2` and `2.00M` are none.

  Example:
    >>> numbers('+3.07 (n = 2, 1,000 MACs) of cifar10 at 2.00M')
    [3.07, 2.0, 1000.0]
  """
  return [float(found.replace(',', '')) for found in _NUMBER.findall(text)]


def has(text: str, wanted: Sequence[float], digits: int = 2) -> bool:
  """Whether the text holds these numbers, rounded, in this order.

  Example:
    >>> has('is 3.07 points, 95 % interval -1.00 to 7', [3.071, -1, 7])
    True
    >>> has('is 3.07 points, 95 % interval -1.00 to 7', [3.071, 7, -1])
    False
  """
  left = iter(numbers(text))
  return all(
    any(f'{x:.{digits}f}' == f'{w:.{digits}f}' for x in left) for w in wanted
  )


def tables(text: str) -> list[list[list[str]]]:
  """Cells of each Markdown table, without its head.

  Example:
    >>> tables('| a |\\n|---|\\n| 1 |\\n| 2 |\\n')
    [[['1'], ['2']]]
  """
  found: list[list[list[str]]] = [[]]
  for line in text.split('\n'):
    if line.startswith('|'):
      found[-1].append([cell.strip() for cell in line.split('|')[1:-1]])
    elif found[-1]:
      found.append([])
  return [rows[2:] for rows in found if rows]

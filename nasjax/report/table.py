"""Networks against each other, as a text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nasjax.report.markup import literal
from nasjax.report.numbers import spread

Row = Mapping[str, Any]
# What the resources of a row are counted in.
UNITS = {'macs': 'MACs', 'params': 'parameters'}


def comparison_table(rows: Iterable[Row], *, limited: str = 'macs') -> str:
  """Networks by budget, in Markdown.

  Args:
    rows: dicts with `name`, `kind`, `macs`, `params`, `test_accuracy` (0 to 1)
      and `limit`. The last two may be None. Names and kinds may be any text.
    limited: what the limits are of, `macs` or `params`.

  Returns:
    One table per limit, sorted by limit, kind and name; networks without a
    limit are last. Kinds with several networks at a budget have a line with
    their spread below it.

  Example:
    >>> row = {'name': 'a', 'kind': 'searched', 'macs': 1500, 'params': 20}
    >>> print(comparison_table([{**row, 'limit': 2000, 'test_accuracy': 0.9}]))
    ### Budget: 2,000 MACs
    <BLANKLINE>
    | network | kind | MACs | of budget | params | test accuracy (%) |
    |---|---|---:|---:|---:|---:|
    | a | searched | 1,500 | 75.0 % | 20 | 90.00 |
    <BLANKLINE>
  """
  groups: dict[Any, list[Row]] = {}
  for row in sorted(rows, key=_order):
    groups.setdefault(row.get('limit'), []).append(row)
  blocks = []
  for limit, group in groups.items():
    lines = [
      f'### Budget: {limit:,.15g} {UNITS.get(limited, limited)}'
      if limit is not None
      else '### Without a budget',
      '',
      '| network | kind | MACs | of budget | params | test accuracy (%) |',
      '|---|---|---:|---:|---:|---:|',
    ]
    for row in group:
      used = '-'
      if limit:
        over = ' (over)' if row[limited] > limit else ''
        used = f'{100 * row[limited] / limit:.1f} %{over}'
      cells = (
        literal(row['name']),
        literal(row['kind']),
        f'{row["macs"]:,}',
        used,
        f'{row["params"]:,}',
        _percent(row.get('test_accuracy')),
      )
      lines.append(f'| {" | ".join(cells)} |')
    summaries = _summaries(group)
    if summaries:
      lines += ['', *summaries]
    blocks.append('\n'.join(lines) + '\n')
  return '\n'.join(blocks)


def _order(row: Row) -> tuple:
  limit = row.get('limit')
  return (limit is None, limit or 0, row['kind'], row['name'])


def _percent(accuracy: float | None) -> str:
  return 'not measured' if accuracy is None else f'{100 * accuracy:.2f}'


def _summaries(group: Sequence[Row]) -> list[str]:
  lines = []
  for kind in dict.fromkeys(row['kind'] for row in group):
    found = [
      100 * row['test_accuracy']
      for row in group
      if row['kind'] == kind and row.get('test_accuracy') is not None
    ]
    if len(found) > 1:
      s = spread(found)
      lines.append(
        f'- {literal(kind)}: mean {s.mean:.2f} %, standard deviation '
        f'{s.std:.2f}, {s.low:.2f} to {s.high:.2f}, n = {s.n}'
      )
  return lines

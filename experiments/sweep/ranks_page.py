"""The part of a sweep's page on the ranks of its supernet."""

import math

from nasjax.report.document import Block, Figure, Heading, Text
from nasjax.report.intervals import Correlation
from nasjax.report.markup import literal

from .ranks import Ranks

FIGURE = Figure('ranks.png', 'accuracy after training against the supernet')


def blocks(ranks: Ranks, tried: bool) -> list[Block]:
  """The ranks as a figure and in words; nothing where there are none.

  Args:
    ranks: of supernet and training.
    tried: whether some networks are the best of finalists that were trained.
  """
  if not ranks.pairs:
    return []
  few, chosen = ranks.unchosen, ''
  if tried:
    chosen = (
      ' Searched ones and the control are the best of finalists that were '
      'trained, by which they differ from what a supernet is asked to rank.'
    )
  return [
    Heading('Does the supernet rank as training does?'),
    FIGURE,
    Text(
      f'{ranks.correlation.n} networks of the space, of the middle level and '
      'within what it allows, as others would be told by their size: with '
      f'their part of the weights of the search {literal(ranks.member)} on the '
      'images '
      'of its alphas, and after training on the test images: '
      f'{_said(ranks.correlation)}.'
      f'{chosen} Of the {few.n} random and hand-made ones: {_said(few)}.'
    ),
  ]


def _said(c: Correlation) -> str:
  """A correlation in words."""
  if math.isnan(c.rho):
    return 'none, as one of the two does not vary'
  said = f'Spearman {c.rho:+.2f}'
  if not math.isnan(c.low):
    said += f', 95 % interval {c.low:+.2f} to {c.high:+.2f}'
    said += '' if c.low > 0 or c.high < 0 else ': it may be none'
  return said

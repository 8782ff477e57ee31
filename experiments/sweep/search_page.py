"""What a sweep's page says of its searches."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nasjax.report.document import Block, Heading, Table, Text


class Finalists(NamedTuple):
  """What was trained to choose from at the middle level, of one place.

  Attributes:
    whose: searches' or controls'.
    pattern: where they downsample; '-' in a space without a choice of it.
    images: of the alphas, on which they are judged.
    accuracies: of each of them.
  """

  whose: str
  pattern: str
  images: int
  accuracies: list[float]


def blocks(
  members: Sequence[Mapping[str, Any]], finalists: Sequence[Finalists]
) -> list[Block]:
  """What searches cost, and what they chose from.

  Args:
    members: a record of each search.
    finalists: by where they downsample and whose they are; may be empty.
  """
  rows = [
    (
      m['name'],
      m['trained_as'],
      f'{m["resources"]["macs"]["cost"]:,}',
      f'{m["resources"]["macs"]["argmax_cost"]:,}',
      f'{m["entropy"]:.0%}',
      f'{m["images"]:,}',
      '-' if m['seconds'] is None else f'{m["seconds"]:.0f}',
      f'{m["compile_seconds"]:.0f}',
      m['device'],
    )
    for m in members
  ]
  head = ('search', 'trained as', 'MACs', 'MACs of argmax', 'entropy')
  head += ('images seen', 'seconds', 'before', 'device')
  known = [m['seconds'] for m in members if m['seconds'] is not None]
  total = f'{sum(known):.0f} s in {len(known)} searches'
  return [
    Heading('What the searches cost'),
    Table(head, rows, left=2),
    Text(
      'Entropy is that of the last probabilities, the mean over choices, as a '
      'share of what it is where nothing is decided. '
      f'{total}, besides what was before the first step: loading and, for the '
      'first search of a process, compiling. Of a search that was killed and '
      'went on, none are known. They are of a clock: what else ran on the '
      'machine counts.'
    ),
    *_finalists(members, finalists),
  ]


def _finalists(members, finalists) -> list[Block]:
  each = [m['finalists'] for m in members if m['finalists']]
  if not each:
    return []
  # None where a training diverged.
  accuracies = [[row['valid_accuracy'] for row in rows] for rows in each]
  first = statistics.fmean(own[0] for own in accuracies if own[0] is not None)
  best = statistics.fmean(
    max(value for value in own if value is not None) for own in accuracies
  )
  return [
    Text(
      f'Each search trained {max(map(len, each))} likely architectures on the '
      'images of its weights, and took the one that was best on those of its '
      f'alphas: {100 * best:.2f} % there on average, where the likeliest '
      f'within the limit had {100 * first:.2f} %. The best of several on the '
      'images that chose it is a flattering figure; what counts is the test. '
      'The images count what that took, the seconds as well.'
    ),
    *places(finalists),
  ]


def places(finalists: Sequence[Finalists]) -> list[Block]:
  """Whether finalists of one place differ by more than noise.

  Example:
    >>> table, _ = places([Finalists('searches', 'late', 2500, [0.49, 0.51])])
    >>> table.rows
    [('searches', 'late', '2', '50.00', '1.41', '1.00')]
  """
  rows = []
  for one in finalists:
    mean = statistics.fmean(one.accuracies)
    spread = '-'
    if len(one.accuracies) > 1:
      spread = f'{100 * statistics.stdev(one.accuracies):.2f}'
    chance = 100 * math.sqrt(mean * (1 - mean) / one.images)
    row = one.whose, one.pattern, str(len(one.accuracies))
    rows.append((*row, f'{100 * mean:.2f}', spread, f'{chance:.2f}'))
  head = ('finalists of', 'downsample', 'n', 'accuracy (%)')
  head += ('standard deviation', 'by the images')
  return [
    Table(head, rows, left=2),
    Text(
      'Those of the middle level, on images of the alphas. The last two '
      'columns are in points: how much they differ, and how much equally good '
      f'ones would if each had {finalists[0].images:,} images of its own (on '
      'the same ones by less, but trainings of one network differ, too). Only '
      'what is beyond that can be found within a place.'
    ),
  ]

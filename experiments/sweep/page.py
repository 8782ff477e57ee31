"""The page that a sweep writes, block by block."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nasjax.report.document import (
  Block,
  Code,
  Figure,
  Heading,
  Items,
  Table,
  Text,
)
from nasjax.report.intervals import Noise
from nasjax.report.markup import literal
from nasjax.report.table import UNITS
from nasjax.run import datasets

from . import comparisons as comparisons_lib
from . import method_page, ranks_page, search_page
from . import networks as networks_lib
from . import results as results_lib
from .comparisons import Comparison
from .ranks import Ranks
from .results import Group

SATURATED = 0.95  # Of the median row.
_MACS = Figure('macs.png', 'test accuracy against MACs')
_PARAMS = Figure('params.png', 'test accuracy against parameters')
_LESS = Figure('differences.png', 'searched networks less others')
_GALLERY = Figure('architectures.png', 'architectures side by side')


class Content(NamedTuple):
  """What the page is made of.

  Attributes:
    groups: rows of the table.
    comparisons: searched against others.
    ranks: of supernet and training.
    missing: what could not be made, a line for each.
    members: a record of each search.
    results: of all trainings.
    networks: how many were trained.
    noises: of `results_lib.noises_of`.
    finalists: by where they downsample and whose they are.
  """

  groups: list[Group]
  comparisons: list[Comparison]
  ranks: Ranks
  missing: tuple[str, ...]
  members: list[dict[str, Any]]
  results: list[Mapping[str, Any]]
  networks: int
  noises: Mapping[bool, Noise]
  finalists: list[search_page.Finalists]


def blocks(prepared: Any, content: Content) -> list[Block]:
  """The page.

  Args:
    prepared: of `setup.prepare`.
    content: what came out.
  """
  setting = prepared.setting
  return [
    Heading(f'A sweep on {literal(setting.dataset.name)}', 1),
    Text('Made by'),
    Code(setting.command or 'experiments.sweep'),
    Text(_sizes(prepared, content)),
    *_shown(prepared, content),
    *_accuracy(prepared, content),
    *_differences(content),
    *_pictures(content),
    *ranks_page.blocks(content.ranks, bool(content.finalists)),
    *search_page.blocks(content.members, content.finalists),
    *method_page.blocks(prepared, content.missing, content.results),
  ]


def _elsewhere(figure: Figure) -> Text:
  """Stands in the Markdown for a figure that only `report.html` has."""
  return Text(f'In `report.html`: {figure.words}.')


def short(found: Sequence[Block], resource: str) -> list[Block]:
  """The page with two figures: accuracies against the resource, differences.

  Args:
    found: of `blocks`.
    resource: that is limited.
  """
  kept = f'{resource}.png', _LESS.name
  return [
    _elsewhere(block)
    if isinstance(block, Figure) and block.name not in kept
    else block
    for block in found
  ]


def whole(found: Sequence[Block]) -> list[Block]:
  """The page with all of its figures; the inverse of `short`."""
  every = _MACS, _PARAMS, _LESS, _GALLERY, ranks_page.FIGURE
  named = {_elsewhere(figure): figure for figure in every}
  return [
    named.get(block, block) if isinstance(block, Text) else block
    for block in found
  ]


def _sizes(prepared: Any, content: Content) -> str:
  """How small it is."""
  setting, recipe = prepared.setting, prepared.setting.recipe
  fit, held = setting.dataset.num_train, datasets.size_of(setting.valid)
  used = fit + held
  return (
    f'{used:,} of {prepared.all_images:,} training images '
    f'({used / prepared.all_images:.0%}) are used: {fit:,} to search and to '
    f'train, {held:,} for validation. {content.networks} networks were trained '
    f'{prepared.sizes.train_seeds} times each, for {recipe.epochs} epochs, and '
    f'tested on all {setting.dataset.num_test:,} test images. '
    f'{len(content.members)} searches of {content.members[0]["steps"]} steps.'
  )


def _shown(prepared: Any, content: Content) -> list[Block]:
  lines = [comparisons_lib.verdict(c) for c in content.comparisons]
  found: list[Block] = [
    Heading('What it shows'),
    Items(lines),
    Text(
      'Differences are of mean test accuracies, with intervals after Welch. '
      'The unit is a search, or a random architecture: the trainings of one '
      'network are averaged first, and what several searches found counts '
      'once. Of the best published, hand-made and random network, which the '
      'validation images chose, the unit is a training. How much trainings of '
      f'one network differ is pooled: {_noises(content)}.{_stalled(content)} '
      'Each interval stands '
      'for itself: of many at 95 % some exclude 0 by chance. Of fewer than '
      f'{comparisons_lib.FEWEST} searches nothing is claimed.'
    ),
  ]
  if prepared.levels[0].limit is None:
    found.append(Text(_prices(content)))
  if statistics.median(g.interval.mean for g in content.groups) > SATURATED:
    found.append(
      Text(
        f'Half of these or more are above {SATURATED:.0%}: this set hardly '
        'tells networks apart, and counts for nothing.'
      )
    )
  return found


def _prices(content: Content) -> str:
  """What was found at a strength is of many sizes."""
  ranges = []
  for group in content.groups:
    if group.kind == networks_lib.SEARCHED:
      each = sorted(s.macs for s in group.scored)
      ranges.append(f'{group.level.name} {each[0]:,} to {each[-1]:,}')
  return (
    'A strength is a price of MACs, and sets no cost: what was found has at '
    f'{"; at ".join(ranges)} MACs. Others are compared with that use what the '
    'most expensive one does, so that these differences are not at equal cost.'
  )


def _stalled(content: Content) -> str:
  """Which networks had trainings that learnt nothing, as sentences."""
  found = [s for g in content.groups for s in g.scored if s.stalled]
  if not found:
    return ''
  said = '; '.join(
    f'{s.stalled} of {len(s.tests)} of {literal(s.entry.name)}'
    for s in results_lib.distinct(found)
  )
  return (
    f' Some trainings learnt nothing (at most {results_lib.STALLED} times '
    f'what guessing has): {said}. They count in the means of these, and not in '
    'that noise; a network that has one is not in the figures.'
  )


def _noises(content: Content) -> str:
  """How much trainings of one network differ."""
  said = [
    f'{100 * math.sqrt(noise.variance):.2f} points of {whose} '
    f'({noise.freedom} degrees of freedom)'
    for whose, noise in (
      ('published networks', content.noises[True]),
      ('all others', content.noises[False]),
    )
    if noise.freedom
  ]
  if not said:
    return 'none was trained twice'
  return 'a standard deviation of ' + ', and '.join(said)


def _accuracy(prepared: Any, content: Content) -> list[Block]:
  resource = UNITS[prepared.setting.resource]
  rows = [row(group) for group in content.groups]
  moved = (
    f' Marks of the space are moved beside each other where {resource} are '
    'on the axis; the table has the numbers.'
  )
  budget = f'The limits are on {resource}.'
  if prepared.levels[0].limit is None:
    budget = (
      f'Nothing is limited: what was not searched has at most the {resource} '
      'of the most expensive network that was found at its strength.'
    )
  head = ('at', 'networks', 'kind', 'n', 'MACs', 'parameters')
  head += ('validation (%)', 'test (%)', '95 % interval')
  return [
    Heading('Accuracy'),
    _MACS,
    _PARAMS,
    Text(
      'Small dots are networks. A bar is the interval of a mean over networks, '
      'after Student; of a single network that of its mean over trainings, '
      'by their pooled noise. '
      'Bars may be longer than the picture.'
      + (moved if prepared.levels[0].limit is not None else '')
    ),
    Table(head, rows, left=3),
    Text(
      'n is the number of networks, of single ones that of trainings. '
      f'{budget} * is the best of its kind on the validation images. '
      '`results.csv` has every training.'
    ),
  ]


def row(group: Group) -> tuple[str, ...]:
  """Its cells in the table of accuracies."""
  i, each = group.interval, group.scored
  ends = '-'
  if not math.isnan(i.low):
    ends = f'{100 * i.low:.2f} to {100 * i.high:.2f}'
  mean = lambda values: statistics.fmean(values)  # noqa: E731
  return (
    group.level.name,
    _called(group),
    group.kind,
    str(i.n),
    f'{mean(s.macs for s in each):,.0f}',
    f'{mean(s.params for s in each):,.0f}',
    f'{100 * mean(s.valid for s in each):.2f}',
    f'{100 * i.mean:.2f}',
    ends,
  )


def _called(group: Group) -> str:
  if group.searches > len(group.scored):
    return f'{group.label} (by {group.searches} searches)'
  return group.label + (' *' if group.chosen else '')


def _differences(content: Content) -> list[Block]:
  if not content.comparisons:
    return []
  return [
    Heading('Differences'),
    _LESS,
  ]


def _pictures(content: Content) -> list[Block]:
  return [
    Heading('Architectures'),
    _GALLERY,
    Text(
      'Searched networks, then hand-made ones. Boxes are as wide as there are '
      'features (by the root), their colour says kernel (blue 3, orange 5) and '
      'expansion (the darker, the more); the number at the left is the edge of '
      'the feature map, dashed is skipped. `architectures.json` '
      'has every network that was trained.'
    ),
  ]

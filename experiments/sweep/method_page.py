"""The last part of a sweep's page: how it was done."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nasjax.baselines import SMALL_IMAGES, scaled
from nasjax.report.document import Block, Code, Heading, Items, Text
from nasjax.report.markup import code, literal
from nasjax.run import record as record_lib

from . import networks as networks_lib


def blocks(
  prepared: Any, missing: Sequence[str], results: Sequence[Mapping[str, Any]]
) -> list[Block]:
  """How a sweep was done: seeds, choices, versions, recipe.

  Args:
    prepared: of `setup.prepare`.
    missing: what could not be made, a line for each.
    results: of all trainings.
  """
  setting, sizes = prepared.setting, prepared.sizes
  recipe = dataclasses.asdict(setting.recipe)
  first = sizes.seed
  small, large = networks_lib.LAST_MAPS
  coarse, fine = scaled.DIVISORS
  others, control = '', []
  if len(prepared.levels) > 1:
    last = first + sizes.outer_seeds - 1
    others = f' at the middle level, {first} to {last} at others'
  if sizes.controls:
    control = [
      f'The control, of the seeds {first} to {first + sizes.controls - 1}, has '
      'as many finalists as a search, trained and chosen alike, but of alphas '
      'that are noise: leaders of every place to downsample, then others near '
      'the best.'
    ]
  lines = [
    f'Searches have the seeds {first} to {first + sizes.search_seeds - 1}'
    f'{others}; trainings {first} to {first + sizes.train_seeds - 1}; random '
    f'architectures {first}.',
    'Every network is trained from scratch by one recipe, and its last weights '
    'are tested; validation images choose neither weights nor epochs.',
    'Random architectures are uniform draws from those of '
    f'{code(prepared.space.name)} that keep the budget and use at least '
    f'{sizes.fill:.0%} of it.',
    *control,
    'Published networks have the largest width within the budget, in '
    f'hundredths where the family has any width. Under {SMALL_IMAGES} '
    'pixels their earliest strides of 2 become 1 until the last feature map is '
    f'at least {small} or {large} pixels high (both are tried, and validation '
    'chooses); all of their widths scale then, those at the end as well, and '
    f'are multiples of {coarse}, or of {fine} where that uses more of the '
    'budget. What they use of it is in the table.',
    'Hand-made networks are of the searched space: kernel 3, expansion 3, '
    'stages about equally wide, one for each place to downsample. Until they '
    'use the budget, and no more, blocks are left out first, then stages made '
    'wider or narrower, then blocks made not to expand.',
    *(f'Not there: {literal(line)}.' for line in missing),
  ]
  searches = setting.search.values
  devices = literal(', '.join(sorted({r['device'] for r in results})))
  versions = ', '.join(f'{k} {v}' for k, v in record_lib.versions().items())
  return [
    Heading('How it was done'),
    Items(lines),
    Text(f'Trained on {devices}, with {versions}. The recipe:'),
    Code(', '.join(f'{k}={v}' for k, v in recipe.items())),
    Text('The searches:'),
    Code(', '.join(f'{k}={v}' for k, v in searches.items() if v is not None)),
  ]

"""What all jobs of a sweep share."""

import pathlib
from typing import NamedTuple

from nasjax import data
from nasjax.data import stream
from nasjax.train.recipe import Recipe

from .. import search
from ..flags import configs
from .plan import Member


class Setting(NamedTuple):
  """What all searches and trainings of a sweep share.

  Attributes:
    workdir: claimed.
    search: flags that all searches share, of which those of its members are
      ignored; None where nothing is searched.
    resource: that is limited.
    dataset: without the images for validation.
    valid: those images; None where all others are trained on.
    batches: of trainings.
    recipe: of trainings.
    ops: op classes of the user's own.
    command: what was typed.
    layout: folder of a training in the workdir, by network and seed.
  """

  workdir: pathlib.Path
  search: search.Flags | None
  resource: str
  dataset: data.Dataset | stream.Streamed
  valid: data.Arrays | None
  batches: data.Batches
  recipe: Recipe
  ops: tuple[type, ...]
  command: str
  layout: str = 'trainings/{folder}_seed{seed}'


def flags_of(
  shared: search.Flags, resource: str, member: Member
) -> search.Flags:
  """Flags of the search of a member.

  Raises:
    InputError: a value out of its range.
  """
  level, own = member.level, {'seed': member.seed, 'limit': []}
  if level.limit is not None:
    own['limit'] = [f'{resource}={level.limit:.15g}']
  else:
    own['strength'] = f'{level.strength:.15g}'
  return configs.of(search.Flags, {**shared.values, **own})

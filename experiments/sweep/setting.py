"""What all jobs of a sweep share."""

import pathlib
from typing import Any, NamedTuple

from nasjax import data
from nasjax.data import stream
from nasjax.train.recipe import Recipe

from .plan import Member


class Setting(NamedTuple):
  """What all searches and trainings of a sweep share.

  Attributes:
    workdir: claimed.
    config: a value for every option of `experiments.search`, of which those of
      its members are ignored.
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
  config: dict[str, Any]
  resource: str
  dataset: data.Dataset | stream.Streamed
  valid: data.Arrays | None
  batches: data.Batches
  recipe: Recipe
  ops: tuple[type, ...]
  command: str
  layout: str = 'trainings/{folder}_seed{seed}'


def config_of(
  config: dict[str, Any], resource: str, member: Member
) -> dict[str, Any]:
  """What `experiments.search` is told for a member."""
  level, own = member.level, {'seed': member.seed, 'limit': []}
  if level.limit is not None:
    own['limit'] = [f'{resource}={level.limit:.15g}']
  else:
    own['strength'] = f'{level.strength:.15g}'
  return {**config, **own}

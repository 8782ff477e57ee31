"""What the pieces of a sweep share."""

import pathlib
from typing import Any, NamedTuple

from experiments import recipe as recipes
from experiments.sweep.plan import Member
from nasjax import data
from nasjax.data import stream


class Setting(NamedTuple):
  """What all searches and trainings of a sweep share.

  Attributes:
    workdir: claimed.
    config: a value for every option of `experiments.search`, of which those of
      its members are not looked at.
    resource: that is limited.
    dataset: without the images for validation.
    valid: those images; None where all others are trained on.
    batches: of trainings.
    recipe: of trainings.
    ops: op classes of the user's own.
    command: what was typed.
    crop_area: least share of an image that a stream cuts out of it.
    layout: folder of a training in the workdir, by network and seed.
  """

  workdir: pathlib.Path
  config: dict[str, Any]
  resource: str
  dataset: data.Dataset | stream.Streamed
  valid: data.Arrays | None
  batches: data.Batches
  recipe: recipes.Recipe
  ops: tuple[type, ...]
  command: str
  crop_area: float = stream.CROP_AREA
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

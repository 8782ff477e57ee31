"""Flags of a training: the network, the images and the teacher."""

import dataclasses

from nasjax import checks
from nasjax.options import check_types, documented, group, option
from nasjax.run import holdout

from . import cli, names, sources


@documented
@dataclasses.dataclass(frozen=True)
class Named:
  """Which network to train: `architecture` or `network`."""

  architecture: str | None = option(
    None, 'architecture.json of the network to train'
  )
  ops: str | None = option(
    None,
    'Python module with your ops, if --architecture, --teacher or the run of '
    '--evaluate uses them',
  )
  network: str | None = option(
    None, f'published network, {cli.one_of(names.NETWORKS)}'
  )
  width: float = option(1.0, 'width multiplier of --network')

  def __post_init__(self):
    check_types(self)


@documented
@dataclasses.dataclass(frozen=True)
class Images:
  """Which images to train and to test on.

  Raises:
    InputError: a fraction out of its range.
  """

  streamable: sources.Streamable = group(sources.Streamable())
  valid_fraction: float = option(
    0.0,
    'fraction of the training images that is held out to choose the best '
    'weights; 0: the last weights are tested',
  )

  def __post_init__(self):
    check_types(self)
    holdout.check_fraction(self.valid_fraction)


@documented
@dataclasses.dataclass(frozen=True)
class Teacher:
  """The teacher, if there is one, and how much it counts."""

  teacher: str | None = option(
    None, 'workdir of a finished training to learn from'
  )
  distill_weight: float = option(
    0.5,
    "weight of the teacher's loss, from 0 to 1; the label loss gets 1 - weight",
  )
  distill_temperature: float = option(
    4.0, 'temperature at which outputs are compared with the teacher'
  )

  def __post_init__(self):
    check_types(self)
    if self.teacher is None:
      numbers = 'distill_weight', 'distill_temperature'
      checks.refuse_ignored(self, numbers, 'without --teacher')

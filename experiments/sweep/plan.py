"""What a sweep consists of: levels, searches, trainings, parts of them."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nasjax import checks, report
from nasjax.errors import InputError

SWEPT = ('macs', 'params')


@dataclasses.dataclass(frozen=True)
class Level:
  """A limit, or a strength, at which there are searches.

  Attributes:
    name: of it, for folders and tables.
    limit: the most that the resource may be; None where there is a strength.
    strength: of the price; None where there is a limit.
    middle: whether it is the one that has most searches.
  """

  name: str
  limit: float | None
  strength: float | None
  middle: bool


@dataclasses.dataclass(frozen=True)
class Member:
  """One search.

  Attributes:
    level: where.
    seed: of everything in it.
  """

  level: Level
  seed: int

  @property
  def name(self) -> str:
    return f'{self.level.name}_seed{self.seed}'


class Wanted(NamedTuple):
  """What is compared at a level, besides what was searched.

  Attributes:
    randoms: random architectures.
    zoo: published networks, by name.
  """

  randoms: int
  zoo: tuple[str, ...]


class Sizes(NamedTuple):
  """What the flags ask for.

  Attributes:
    seed: the first seed of everything.
    search_seeds: searches at the middle level.
    outer_seeds: at each other one.
    train_seeds: trainings of a network.
    middle: what else is compared at the middle level.
    outer: at the others.
    fill: minimum fraction of a limit that networks use.
    controls: at the middle level; see `controls`.
  """

  seed: int
  search_seeds: int
  outer_seeds: int
  train_seeds: int
  middle: Wanted
  outer: Wanted
  fill: float
  controls: int = 0


def levels(
  limits: str | None, strengths: str | None
) -> tuple[str, tuple[Level, ...]]:
  """The resource and the levels that two flags name, in rising order.

  Args:
    limits: as `macs=1M,2M,3M`, or None.
    strengths: as `0.1,0.3,1`, or None.

  Raises:
    InputError: none or both, no number, or two that read the same.

  Example:
    >>> resource, found = levels('macs=1M,3M,2M', None)
    >>> resource, [(level.name, level.middle) for level in found]
    ('macs', [('1.00M', False), ('2.00M', True), ('3.00M', False)])
  """
  if (limits is None) == (strengths is None):
    raise InputError('give either --limits=macs=1M,2M,3M or --strengths=0.1,1')
  resource, text = 'macs', strengths
  if limits is not None:
    resource, equals, text = limits.partition('=')
    if not equals or resource not in SWEPT:
      raise InputError(
        f'limits {limits!r} names no resource; write it as macs=1M,2M,3M '
        f'(resources: {", ".join(SWEPT)})'
      )
  flag = 'strengths' if limits is None else 'limits'
  numbers = sorted(checks.parse_number(t, flag) for t in text.split(','))
  if not all(0 < n < checks.LARGEST for n in numbers):
    raise InputError(f'{flag} {text!r} must all be positive and finite')
  called = [
    report.si(n) if limits is not None else f'strength_{n:g}' for n in numbers
  ]
  if len(set(called)) < len(called):
    raise InputError(f'{flag} {text!r} has two that read as {called}')
  return resource, tuple(
    Level(
      name,
      number if limits is not None else None,
      number if limits is None else None,
      i == len(numbers) // 2,
    )
    for i, (name, number) in enumerate(zip(called, numbers, strict=True))
  )


def members(found: Sequence[Level], sizes: Sizes) -> tuple[Member, ...]:
  """All searches, those of the middle first."""
  ordered = sorted(found, key=lambda level: not level.middle)
  return tuple(
    Member(level, sizes.seed + i)
    for level in ordered
    for i in range(sizes.search_seeds if level.middle else sizes.outer_seeds)
  )


def controls(found: Sequence[Level], sizes: Sizes) -> tuple[Member, ...]:
  """Searches of the middle level without what gradients teach.

  They have the finalists of a search, of alphas that are noise: what differs
  between a search and these is what its alphas learnt.
  """
  return tuple(
    Member(level, sizes.seed + i)
    for level in found
    if level.middle
    for i in range(sizes.controls)
  )


class Training(NamedTuple):
  """One training of one network.

  Attributes:
    folder: of the network.
    seed: of everything in it.
  """

  folder: str
  seed: int


def trainings(folders: Iterable[str], sizes: Sizes) -> tuple[Training, ...]:
  """All trainings, network by network."""
  seeds = range(sizes.seed, sizes.seed + sizes.train_seeds)
  return tuple(Training(f, s) for f in folders for s in seeds)


class Part(NamedTuple):
  """A shard: every `of`-th job from job `index` on; `2/8` is jobs 2, 10, 18."""

  index: int = 1
  of: int = 1

  def __call__(self, pieces: Sequence) -> list:
    """
    Example:
      >>> Part(2, 3)('abcdefg')
      ['b', 'e']
    """
    return list(pieces[self.index - 1 :: self.of])


def part(text: str | None) -> Part:
  """What `--part` names; all where it is None.

  Raises:
    InputError: not of the form, or not one of them.

  Example:
    >>> part('2/8')
    Part(index=2, of=8)
  """
  if text is None:
    return Part()
  index, _, of = text.partition('/')
  if not (index.isdigit() and of.isdigit() and 1 <= int(index) <= int(of)):
    raise InputError(
      f'part is {text!r}; write it as 2/8, the second of eight, from 1/8 to 8/8'
    )
  return Part(int(index), int(of))

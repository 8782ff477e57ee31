"""The networks of a sweep: what was searched, and what it is compared with."""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nasjax import derive
from nasjax.baselines import SMALL_IMAGES, handmade, scaled
from nasjax.cost import RESOURCES, Cost
from nasjax.errors import InputError
from nasjax.space import Alphas, Architecture, Space, argmax, fix

from ..flags import names
from .plan import Level, Member, Sizes, Training

SEARCHED, ARGMAX, RANDOM = 'searched', 'argmax', 'random'
CONTROL = 'control'
ZOO, HANDMADE = 'zoo', 'hand-made'
LAST_MAPS = 2, 4  # Pixels; of published networks on small images.


class Found(NamedTuple):
  """What a search came to.

  Attributes:
    member: which.
    architecture: that was derived.
    alphas: from which; none of a control.
  """

  member: Member
  architecture: Architecture
  alphas: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
  """A network in its role.

  Attributes:
    name: of it; folders and rows have it.
    kind: `SEARCHED`, `ARGMAX`, `CONTROL`, `RANDOM`, `ZOO` or `HANDMADE`.
    level: at which it is compared.
    budget: of the level, in units of the resource.
    network: one op in every slot.
    architecture: where it is one of the searched space.
    member: the search that it is from; None without.
    folder: where it is trained: the name of the first entry that is the same
      network.
  """

  name: str
  kind: str
  level: Level
  budget: float
  network: Space
  architecture: Architecture | None = None
  member: str | None = None
  folder: str = ''


class Plan(NamedTuple):
  """All networks of a sweep.

  Attributes:
    entries: in the order of the report.
    missing: what could not be made, a line for each.
  """

  entries: tuple[Entry, ...]
  missing: tuple[str, ...]

  @property
  def networks(self) -> dict[str, Entry]:
    """By folder, the first entry of each network."""
    found: dict[str, Entry] = {}
    for entry in self.entries:
      found.setdefault(entry.folder, entry)
    return found


def plan(
  space: Space,
  resource: str,
  at: Sequence[Level],
  sizes: Sizes,
  searched: Sequence[Found],
  controls: Sequence[Found] = (),
) -> Plan:
  """All networks; without what is searched where there was no search yet."""
  cost = RESOURCES[resource](space)
  entries: list[Entry] = []
  missing: list[str] = []
  for level in at:
    own = [f for f in searched if f.member.level == level]
    budget = level.limit
    if budget is None:
      if not own:
        continue
      # Of networks without a limit: what is compared may cost as much as any.
      budget = max(cost.exact(f.architecture) for f in own)
    entries += _searched(space, level, budget, own)
    for one in controls:
      if one.member.level == level:
        a, name = one.architecture, f'{CONTROL}_{one.member.name}'
        network = fix(space, a)
        entries.append(Entry(name, CONTROL, level, budget, network, a))
    more, lines = alternatives(space, resource, level, budget, sizes)
    entries += more
    missing += lines
  folders: dict[Space, str] = {}
  for entry in entries:
    folders.setdefault(entry.network, entry.name)
  return Plan(
    tuple(dataclasses.replace(e, folder=folders[e.network]) for e in entries),
    tuple(missing),
  )


def without(
  plan: Plan,
  trained: Iterable[Training],
  diverged: Sequence[Training],
  pieces: Sequence[str] = (),
) -> Plan:
  """A plan without the networks of which every training diverged.

  Args:
    plan: of all networks.
    trained: trainings that have a result.
    diverged: those that have none.
    pieces: names of the searches and controls that diverged.

  Returns:
    The plan with a line for each network and each job that lacks something.
  """
  counts = collections.Counter(one.folder for one in diverged)
  of_all = counts + collections.Counter(one.folder for one in trained)
  lines = [f'{name}, which diverged' for name in pieces]
  lines += [
    f'{counts[name]} of {of_all[name]} trainings of {name}, which diverged'
    for name in sorted(counts)
  ]
  entries = [e for e in plan.entries if counts[e.folder] < of_all[e.folder]]
  return Plan(tuple(entries), (*plan.missing, *lines))


def _searched(
  space: Space, level: Level, budget: float, found: Sequence[Found]
) -> list[Entry]:
  """What the searches derived, and at the middle their argmax, if another."""

  def entry(kind: str, one: Found, a: Architecture) -> Entry:
    name = f'{kind}_{one.member.name}'
    network = fix(space, a)
    return Entry(name, kind, level, budget, network, a, one.member.name)

  entries = [entry(SEARCHED, one, one.architecture) for one in found]
  for one in found if level.middle else ():
    plain = argmax(space, one.alphas)
    if plain != one.architecture:
      entries.append(entry(ARGMAX, one, plain))
  return entries


def alternatives(
  space: Space, resource: str, level: Level, budget: float, sizes: Sizes
) -> tuple[list[Entry], list[str]]:
  """What a level's searches are compared with, and what cannot be."""
  make = RESOURCES[resource]
  wanted = sizes.middle if level.middle else sizes.outer
  limits = {make(space): budget}
  entries, missing = [], []

  def add(kind: str, name: str, network: Space, a: Architecture | None):
    called = f'{name}_{level.name}'
    entries.append(Entry(called, kind, level, budget, network, a))

  for i, a in enumerate(_drawn(space, limits, wanted.randoms, sizes), 1):
    add(RANDOM, f'random{i}', fix(space, a), a)
  drawn = len(entries)
  if drawn < wanted.randoms:
    missing.append(
      f'at {level.name} of {wanted.randoms} random architectures {drawn} were '
      'found within the budget'
    )
  for name in wanted.zoo:
    for suffix, smallest in last_maps(space).items():
      called = name + suffix

      def published(name=name, called=called, smallest=smallest):
        network = scaled.within(
          names.NETWORKS[name], space, make, budget, smallest
        )
        add(ZOO, called, network, None)

      what = f'{called} cannot be scaled to {level.name}'
      _tried(missing, what, published)
  for name in handmade.names_for(space):

    def made(name=name):
      a = handmade.within(space, name, limits, fill=sizes.fill)
      add(HANDMADE, f'hand_{name}', fix(space, a), a)

    _tried(missing, f'hand_{name} cannot be made within {level.name}', made)
  return entries, missing


def last_maps(space: Space) -> dict[str, int]:
  """How published networks are adapted: suffix of the name to `smallest`.

  On small images there are two ways: the larger last map has more detail, the
  smaller one leaves room for more width. On others they are as published.
  """
  if space.image_size >= SMALL_IMAGES:
    return {'': LAST_MAPS[0]}
  return {f'_{pixels}px': pixels for pixels in LAST_MAPS}


def _tried(missing: list[str], what: str, make: Callable[[], None]) -> None:
  try:
    make()
  except InputError as e:
    missing.append(f'{what}: {e}')


def _drawn(
  space: Space, limits: Mapping[Cost, float], number: int, sizes: Sizes
) -> list[Architecture]:
  """Random architectures within limits, fewer where there are not as many."""

  def drawn(n: int) -> list[Architecture]:
    rng = np.random.default_rng(sizes.seed)
    return derive.sample_within(
      space, limits, n, rng, fill=sizes.fill, distinct=True
    )

  if number == 0:
    return []
  with contextlib.suppress(InputError):
    return drawn(number)
  # The first ones are the same however many are drawn: look for how many there
  # are. A draw that fails takes a second.
  found, low, high = drawn(1), 1, number
  while high - low > 1:
    middle = (low + high) // 2
    try:
      found, low = drawn(middle), middle
    except InputError:
      high = middle
  return found


def alphas_of(record: Mapping[str, Any]) -> Alphas:
  """What a search's record says of its alphas, as arrays."""
  return {k: np.asarray(v) for k, v in record['alphas'].items()}

"""The smallest sweep: one finished search, at fractions of its limit.

`experiments.compare` trains these networks, each once.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from nasjax import checks, cost, derive, options, report, zoo
from nasjax.baselines import scaled
from nasjax.cost import RESOURCES, Cost
from nasjax.errors import InputError
from nasjax.run import finished, outcome
from nasjax.run.workdir import schema
from nasjax.space import Alphas, Architecture, Space, fix, read_record

from ..flags import configs, sources
from .networks import CONTROL, RANDOM, SEARCHED, Entry, Plan, alphas_of
from .plan import Level

PUBLISHED = 'MobileNetV2'
# Flags of a search that a comparison reads, and those that all searches had.
_CONFIG = schema.both(
  schema.flags(options.of(sources.Streamable)),
  schema.fields(dataset=schema.text, data_dir=schema.anything),
)


def read(
  directory: pathlib.Path, ops: tuple[type, ...] = ()
) -> tuple[Architecture, dict[str, Any], sources.Streamable]:
  """A finished search: architecture, record and its images.

  Raises:
    InputError: there is none, or its files are of no use.
  """
  path = directory / 'architecture.json'
  if not path.exists():
    raise InputError(f'{directory} holds no finished search: no {path.name}')
  config = schema.read(directory / 'config.json', _CONFIG)
  found, record = finished.architecture(directory, ops), read_record(path)
  schema.hold(path, record, outcome.derived_from(found.space))
  # Older searches lack flags that are newer: these have their defaults.
  return found, record, configs.of(sources.Streamable, config)


def plan(
  space: Space,
  record: dict[str, Any],
  fractions: Sequence[float],
  randoms: int,
  seed: int,
  fill: float,
  controls: int = 0,
) -> Plan:
  """Every network that is to be compared, a level for each fraction.

  Where two levels have the same searched network, both entries have the folder
  of the first one.

  Args:
    space: that was searched.
    record: of the search; see `read`.
    fractions: of its limit on MACs.
    randoms: random networks at the middle level.
    seed: of all draws.
    fill: minimum fraction of a limit that networks use.
    controls: networks at the middle level that are derived from random alphas.

  Raises:
    InputError: a budget is out of the reach of the space or of MobileNetV2, or
      two budgets are so close that they read the same.
  """
  macs = cost.macs(space)
  of_device = [
    name
    for name, row in record['resources'].items()
    if name not in RESOURCES and row['limit'] is not None
  ]
  if of_device:
    raise InputError(
      f'the search had a limit on {", ".join(of_device)}, which a comparison '
      'cannot keep: it knows no device; compare a search without that limit'
    )
  limits = {
    checks.lookup('resource', name, RESOURCES)(space): row['limit']
    for name, row in record['resources'].items()
    if row['limit'] is not None
  }
  if macs not in limits:
    raise InputError('the search had no limit on macs; search with one')
  limit = limits.pop(macs)  # The others are kept by every network of the space.
  levels = _levels(limit, fractions)
  entries = [
    _derived(
      space, alphas_of(record), level, {macs: level.limit, **limits}, fill
    )
    for level in levels
  ]
  first: dict[Architecture | None, str] = {}
  for i, one in enumerate(entries):
    folder = first.setdefault(one.architecture, one.name)
    entries[i] = dataclasses.replace(one, folder=folder)
    if folder != one.name:
      print(
        f'within {one.budget} MACs the derived network is {folder} again '
        f'({macs.exact(one.architecture)} MACs): it is trained once'
      )
  for level in levels:
    name = f'mobilenet_v2_{level.name}'
    network = scaled.within(zoo.mobilenet_v2, space, cost.macs, level.limit)
    entries.append(_entry(name, PUBLISHED, level, network))
  (middle,) = (level for level in levels if level.middle)
  drawn = derive.sample_within(
    space,
    {macs: middle.limit, **limits},
    randoms,
    np.random.default_rng(seed),
    fill=fill,
    distinct=True,
  )
  for i, a in enumerate(drawn, 1):
    entries.append(_entry(f'random_{i}', RANDOM, middle, fix(space, a), a))
  for i in range(1, controls + 1):
    rng = np.random.default_rng((seed, i))
    noise = {
      name: rng.normal(size=(*choice.shape, len(choice)))
      for name, choice in space.choices.items()
    }
    kept = {macs: middle.limit, **limits}
    a = derive.within(space, noise, kept, fill=fill)
    entries.append(_entry(f'control_{i}', CONTROL, middle, fix(space, a), a))
  return Plan(tuple(entries), ())


def _levels(limit: float, fractions: Sequence[float]) -> list[Level]:
  """Levels in falling order."""
  budgets = sorted({int(limit * f) for f in fractions}, reverse=True)
  called = [report.si(budget) for budget in budgets]
  if len(set(called)) < len(called):
    raise InputError(
      f'fractions {list(fractions)} give the budgets {budgets} MACs, which '
      'differ by less than three digits show'
    )
  return [
    Level(name, budget, None, i == len(budgets) // 2)
    for i, (name, budget) in enumerate(zip(called, budgets, strict=True))
  ]


def _derived(
  space: Space,
  alphas: Alphas,
  level: Level,
  limits: dict[Cost, float],
  fill: float,
) -> Entry:
  """The most probable network of a level; prints what is not proven of it."""
  a, gap, fill_open = derive.solution(space, alphas, limits, fill=fill)
  proven = {'fill': fill, 'gap': gap, 'fill_open': fill_open}
  certificate = derive.certificate(a, alphas, limits, **proven)
  for line in outcome.unproven(certificate._asdict()):
    print(f'within {level.limit} MACs: {line}')
  name = f'searched_{level.name}'
  return _entry(name, SEARCHED, level, fix(space, a), a)


def _entry(
  name: str,
  kind: str,
  level: Level,
  network: Space,
  architecture: Architecture | None = None,
) -> Entry:
  return Entry(
    name, kind, level, level.limit, network, architecture, folder=name
  )

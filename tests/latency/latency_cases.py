"""Spaces and tables of latency for tests."""

import csv
import dataclasses

import numpy as np

from nasjax import latency, space
from nasjax.space import Choice, axes, label


@dataclasses.dataclass(frozen=True)
class Chosen:
  """A space of choices alone, which nothing can build: the protocol's least.

  Attributes:
    options: number of options of each choice.
    edges: how many single choices of two options the name `edges` holds.
    name: of the space.
  """

  options: tuple[int, ...]
  edges: int = 0
  name: str = 'chosen'

  @property
  def choices(self):
    found = {
      f'slot{i}': Choice(tuple('abcdefghi'[:n]))
      for i, n in enumerate(self.options)
    }
    if self.edges:
      found['edges'] = Choice(('none', 'conv'), (self.edges,))
    return found


FBNET = Chosen((9,) * 22, name='fbnet_latency')


def every_architecture(s):
  sizes = [len(names) for names in axes(s.choices).values()]
  return [space.Architecture.from_indices(s, i) for i in np.ndindex(*sizes)]


def random_table(s, rng, digits=6, **fields):
  """A table with times of up to 2 ms, of so many decimals."""
  keys = [f'{label(a)}/{o}' for a, own in axes(s.choices).items() for o in own]
  times = np.round(rng.uniform(0, 2, len(keys) + 1), digits).tolist()
  entries = dict(zip(['fixed', *keys], times, strict=True))
  return latency.LatencyTable(s.name, entries, 'choices', **fields)


def by_hand(table, architecture):
  """The sum of a table's entries, in floats."""
  named = zip(
    axes(architecture.space.choices), architecture.choice, strict=True
  )
  keys = ['fixed', *(f'{label(axis)}/{name}' for axis, name in named)]
  return table.scale * sum(table.entries[key] for key in keys)


def measured(shared):
  """The networks of `fbnet_latency.csv`, and column to `f64[5000]` in ms."""
  path = shared / 'reference/groundtruth/fbnet_latency.csv'
  with path.open() as file:
    rows = list(csv.DictReader(file))
  networks = [
    space.Architecture.from_indices(FBNET, map(int, row['arch']))
    for row in rows
  ]
  columns = [name for name in rows[0] if name != 'arch']
  return networks, {
    name: np.array([float(row[name]) for row in rows]) for name in columns
  }

"""What a method gets and gives in `benchmarks.truth.search`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.truth import proxy, table
from nasjax import search

FILL = 0.9  # Share of the limit on MACs that a network uses at least.
FINALISTS = 8
TOGETHER = 2  # Finalists between two looks at which is the best.
CHANGES = 2  # Choices in which the next finalists differ from it at most.

Scores = dict[str, np.ndarray]


class Found(NamedTuple):
  """What a method found under one limit.

  Attributes:
    rows: rows of the table, of networks within the limits, best first by the
      method's own scores: all that it ranks, or `FINALISTS` that it looked up.
    seconds: CPU seconds, without those of the supernet.
    more: further values to keep.
  """

  rows: list[int]
  seconds: float
  more: dict[str, Any]


class Given(NamedTuple):
  """What a method gets.

  Attributes:
    data_dir: where CIFAR-10 is prepared.
    recipe: of the supernet.
    state: after the warm-up.
    limits: resource to limit.
    seed: of everything random.
  """

  data_dir: str
  recipe: proxy.Recipe
  state: search.State
  limits: Mapping[str, float]
  seed: int


def by_scores(
  scores: Scores, limits: Mapping[str, float], fill: float = FILL
) -> list[int]:
  """All networks within limits, those with the highest sums of scores first.

  The table is small enough to look at every network; `nasjax.derive` finds the
  same without.
  """
  truth = table.load()
  stacked = np.stack([scores[name] for name in truth.space.choices])
  total = np.einsum('nco,co->n', truth.one_hot, stacked)
  rows = truth.keeping(limits, fill)
  order = np.argsort(-total[rows], kind='stable')
  return rows[order].tolist()


def finalists(ranked: Sequence[int]) -> list[int]:
  """The networks that are looked up.

  The first two, then two at a time: the next ones in rank that differ from the
  best so far in at most two choices; where there are none, the next of all.
  The best is the one with the best first test.

  Args:
    ranked: different rows of the table, best first.

  Returns:
    At most `FINALISTS` rows, in the order in which they are looked up.
  """
  truth = table.load()
  indices = truth.indices[list(ranked)]
  found = list(ranked[:TOGETHER])
  while len(found) < min(FINALISTS, len(set(ranked))):
    best = truth.indices[truth.chosen(found)]
    changes = (indices != best).sum(1)
    rest = [i for i, row in enumerate(ranked) if row not in found]
    order = sorted(rest, key=lambda i: changes[i] > CHANGES)
    more = min(TOGETHER, FINALISTS - len(found))
    found += [ranked[i] for i in order[:more]]
  return found

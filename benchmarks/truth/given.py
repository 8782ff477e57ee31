"""What a method gets and gives in `benchmarks.truth.search`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.truth import proxy, table
from nasjax import search

FILL = 0.9  # Share of the limit on MACs that a network uses at least.
FINALISTS = 8

Scores = dict[str, np.ndarray]


class Found(NamedTuple):
  """What a method found under one limit.

  Attributes:
    rows: rows of the table, best first by the method's own scores, of networks
      within the limits.
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
  """The networks within limits with the highest sums of scores, best first.

  The table is small enough to look at every network; `nasjax.derive` finds the
  same without.
  """
  truth = table.load()
  stacked = np.stack([scores[name] for name in truth.space.choices])
  total = np.einsum('nco,co->n', truth.one_hot, stacked)
  rows = truth.keeping(limits, fill)
  order = np.argsort(-total[rows], kind='stable')
  return rows[order[:FINALISTS]].tolist()

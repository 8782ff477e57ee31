"""Controls: what a search has to be better than."""

from collections.abc import Iterable

import numpy as np

from benchmarks.truth import proxy, table
from benchmarks.truth.given import FILL, FINALISTS, Found, Given, by_scores


def by_local_search(given: Given) -> Found:
  """Control: local search with as many look-ups as there are finalists.

  From a random network in the band: a neighbour in one choice replaces it where
  its first test is better.
  """
  truth, rng = table.load(), np.random.default_rng(given.seed)
  band = truth.keeping(given.limits, FILL)
  inside = set(band.tolist())
  current = int(rng.choice(band))
  seen = [current]
  while len(seen) < FINALISTS:
    near = [row for row in neighbours(current) if row in inside]
    row = int(rng.choice(_unseen(near, seen) or _unseen(band, seen)))
    seen.append(row)
    if truth.tests[row, 0] > truth.tests[current, 0]:
      current = row
  return Found(seen, 0.0, {})


def _unseen(rows: Iterable[int], seen: list[int]) -> list[int]:
  return [int(row) for row in rows if row not in seen]


def by_noise(given: Given) -> Found:
  """Control: random scores in place of trained ones."""
  rng = np.random.default_rng(given.seed)
  scores = {n: rng.normal(size=len(c)) for n, c in proxy.SPACE.choices.items()}
  return Found(by_scores(scores, given.limits), 0.0, {})


def at_random(given: Given) -> Found:
  """Control: random networks that use 90 % of the limit."""
  rng = np.random.default_rng(given.seed)
  rows = table.load().keeping(given.limits, FILL)
  return Found(rng.permutation(rows)[:FINALISTS].tolist(), 0.0, {})


def by_depth(given: Given) -> Found:
  """Control: most options that are not the identity, then most MACs."""
  truth = table.load()
  rows = truth.keeping(given.limits, FILL)
  depth = (truth.indices[rows] > 0).sum(1)
  order = np.lexsort((-truth.costs['macs'][rows], -depth))
  return Found(rows[order].tolist(), 0.0, {})


def by_evolution(given: Given) -> Found:
  """Control: regularised evolution, as many look-ups as finalists.

  Real et al. 2019 (section 3): of a sample of the population the best is
  mutated in one choice, and the oldest dies. Half of the look-ups are the first
  population.
  """
  truth, rng = table.load(), np.random.default_rng(given.seed)
  band = truth.keeping(given.limits, FILL)
  first = rng.choice(band, FINALISTS // 2, replace=False).tolist()
  population, seen = list(first), list(first)
  inside = set(band.tolist())
  while len(seen) < FINALISTS:
    sample = rng.choice(population, 2, replace=False)
    parent = int(max(sample, key=lambda row: truth.tests[row, 0]))
    near = [row for row in neighbours(parent) if row in inside]
    child = int(rng.choice(_unseen(near, seen) or _unseen(band, seen)))
    seen.append(child)
    population = [*population[1:], child]
  return Found(seen, 0.0, {})


def neighbours(row: int) -> list[int]:
  """Rows of the networks that differ in one choice."""
  truth, found = table.load(), []
  for i in range(truth.indices.shape[1]):
    for j in range(3):
      if truth.indices[row, i] != j:
        moved = truth.indices[row].copy()
        moved[i] = j
        found.append(int(truth.rows(moved[None])[0]))
  return found

"""The search: weights on one half of the images, alphas on the other.

Alternating (Liu et al. 2019, DARTS, algorithm 1): a weight step lowers the
task's loss on `train`, an alpha step lowers the constrained loss on `valid`,
with a gradient that is told how the weights answer, or not (`order`). Both are
pure and meant to be jitted apart, so that the warm-up, in which only weights
learn, compiles nothing of its own.
"""

from nasjax.search import population
from nasjax.search.make import Search, adam, make
from nasjax.search.state import Loss, Metrics, Setting, State
from nasjax.search.step import harden
from nasjax.train import cross_entropy

__all__ = [
  'Loss',
  'Metrics',
  'Search',
  'Setting',
  'State',
  'adam',
  'cross_entropy',
  'harden',
  'make',
  'population',
]

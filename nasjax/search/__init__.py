"""The search: weights on one half of the images, alphas on the other.

The steps alternate (Liu et al. 2019, DARTS, algorithm 1). A weight step lowers
the task's loss on `train`; an alpha step lowers the constrained loss on
`valid`, by a hypergradient (`nasjax.search.hypergradient`). `make` takes any
Linen module and its choices. Jit the two steps apart: then a warm-up, in which
only the weights learn, compiles nothing more.
"""

from nasjax.search import contributions, form, hypergradient, population
from nasjax.search.constrained import harden
from nasjax.search.make import Search, adam, make
from nasjax.search.state import Loss, Metrics, Setting, State
from nasjax.train import cross_entropy

__all__ = [
  'Loss',
  'Metrics',
  'Search',
  'Setting',
  'State',
  'adam',
  'contributions',
  'cross_entropy',
  'form',
  'harden',
  'hypergradient',
  'make',
  'population',
]

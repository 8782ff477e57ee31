"""Guards against collapse; each is off by default.

Differentiable searches drift to skips, which need no training (Zela et al.
2020), or stay undecided until deriving decides for them. Warm-up and the
alphas' optimizer belong to the search (`nasjax.search`). This package has the
rest: terms, dropout and fairness (`Guards`, inside the step), and rules that
stop a search from outside (`Rule`), from its metrics.
"""

from nasjax.guard.curvature import largest_eigenvalue
from nasjax.guard.entropy import entropy, total_entropy
from nasjax.guard.fairness import Fairness, strict, uniform
from nasjax.guard.finite import all_finite, skipping
from nasjax.guard.guards import Guards, is_hard
from nasjax.guard.skips import count_skips, drop_skips, skips
from nasjax.guard.stop import (
  Rule,
  Verdict,
  any_of,
  rising_curvature,
  too_many_skips,
)

__all__ = [
  'Fairness',
  'Guards',
  'Rule',
  'Verdict',
  'all_finite',
  'any_of',
  'count_skips',
  'drop_skips',
  'entropy',
  'is_hard',
  'largest_eigenvalue',
  'rising_curvature',
  'skipping',
  'skips',
  'strict',
  'too_many_skips',
  'total_entropy',
  'uniform',
]

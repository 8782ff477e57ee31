"""From alphas to architectures, within limits."""

from nasjax.derive.certificate import Certificate, certificate
from nasjax.derive.finalists import finalists, leaders
from nasjax.derive.frontier import Point, pareto, within_budget
from nasjax.derive.likeliest import likeliest
from nasjax.derive.limits import check_reachable, uses
from nasjax.derive.sample import sample_within
from nasjax.derive.solve import Solution, log_prob, solution, within

__all__ = [
  'Certificate',
  'Point',
  'Solution',
  'certificate',
  'check_reachable',
  'finalists',
  'leaders',
  'likeliest',
  'log_prob',
  'pareto',
  'sample_within',
  'solution',
  'uses',
  'within',
  'within_budget',
]

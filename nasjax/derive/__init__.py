"""From alphas to architectures, within limits."""

from nasjax.derive.certificate import Certificate, certificate
from nasjax.derive.frontier import Point, pareto, within_budget
from nasjax.derive.leaders import leaders
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

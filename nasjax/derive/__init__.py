"""From alphas to architectures, within limits."""

from nasjax.derive.certificate import Certificate as Certificate
from nasjax.derive.certificate import certificate as certificate
from nasjax.derive.finalists import finalists as finalists
from nasjax.derive.finalists import leaders as leaders
from nasjax.derive.frontier import Point as Point
from nasjax.derive.frontier import pareto as pareto
from nasjax.derive.frontier import within_budget as within_budget
from nasjax.derive.limits import check_reachable as check_reachable
from nasjax.derive.limits import uses as uses
from nasjax.derive.sample import sample_within as sample_within
from nasjax.derive.solve import Solution as Solution
from nasjax.derive.solve import log_prob as log_prob
from nasjax.derive.solve import solution as solution
from nasjax.derive.solve import within as within

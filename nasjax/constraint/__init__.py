"""Constraints: they change the task's loss so that a cost keeps its limit.

A constraint is an `(init, update)` pair, as an optax transformation is:

    state = constraint.init()
    loss, state = constraint.update(loss, cost, strict_cost, state)

`cost` is the expected cost and carries the gradient. `strict_cost` is the cost
of the most probable option of every choice, without limits. (Deriving within
limits takes a solver, too slow for a step.) Limits and strengths are arrays in
the state: a sweep over them compiles once. Updates run inside the
differentiated loss, and stop gradients into their state.

In the formulas `L` is the limit, `c` the expected cost, `s` the strength, and
`r = c / L`: a strength means the same for every resource and unit.
"""

from nasjax.constraint.base import Constraint, chain
from nasjax.constraint.forms import FORMS, Form, Kept, keep
from nasjax.constraint.lagrange import augmented_lagrangian, lagrangian
from nasjax.constraint.penalty import (
  absolute,
  band,
  hinge,
  linear,
  log_power,
  ratio_power,
)
from nasjax.constraint.project import Projection, project

__all__ = [
  'FORMS',
  'Constraint',
  'Form',
  'Kept',
  'Projection',
  'absolute',
  'augmented_lagrangian',
  'band',
  'chain',
  'hinge',
  'keep',
  'lagrangian',
  'linear',
  'log_power',
  'project',
  'ratio_power',
]

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

from nasjax.constraint.base import Constraint as Constraint
from nasjax.constraint.base import chain as chain
from nasjax.constraint.dual import augmented_lagrangian as augmented_lagrangian
from nasjax.constraint.dual import lagrangian as lagrangian
from nasjax.constraint.forms import FORMS as FORMS
from nasjax.constraint.forms import Form as Form
from nasjax.constraint.forms import Kept as Kept
from nasjax.constraint.forms import keep as keep
from nasjax.constraint.penalty import absolute as absolute
from nasjax.constraint.penalty import band as band
from nasjax.constraint.penalty import hinge as hinge
from nasjax.constraint.penalty import linear as linear
from nasjax.constraint.penalty import log_power as log_power
from nasjax.constraint.penalty import ratio_power as ratio_power
from nasjax.constraint.project import Projection as Projection
from nasjax.constraint.project import project as project

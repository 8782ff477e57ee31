"""Relaxations: from alphas to probs, so that a choice is differentiable.

A relaxation is a function `(alphas, temperature, key) -> probs`, or, where it
is defined on sampled ops, `-> Sampled(probs, index)`. Alphas and probs are
dicts from the name of a choice to `f32[..., options]`. The last axis is the
choice, and probs sum to 1 along it; rows along the other axes are choices of
their own, drawn independently. Lower temperatures are closer to one-hot.

Names in capitals are relaxations with their distribution, as a search takes
them. Let `f` be the loss as a function of probs. A search wants to minimise
`E f(one-hot)` under the distribution. The gradient of each estimator has the
mean:

| relaxation | ops that run | the mean of its gradient |
|---|---|---|
| `softmax`, `sparsemax` | all | of `f(distribution)`, without noise |
| `gumbel_softmax` | all | of `E f(a relaxed sample)` |
| `dirichlet` | all | of `E f(a sample of the simplex)` |
| `straight_through` | all | of `E f(one-hot)`, to first order |
| `reinmax` | all | of `E f(one-hot)`, to second order |
| `gdas` | one | biased, see `help(gdas)` |
| `binary_gates` | two | biased, see `help(binary_gates)` |

All but `gumbel_softmax`, `gdas` and `binary_gates` are exact for `E f(one-hot)`
where `f` is linear in the probs of each slot.
"""

from nasjax.relax.base import Relaxation as Relaxation
from nasjax.relax.base import Relaxed as Relaxed
from nasjax.relax.base import Sampled as Sampled
from nasjax.relax.base import Tree as Tree
from nasjax.relax.base import draw as draw
from nasjax.relax.base import is_sampled as is_sampled
from nasjax.relax.base import logits as logits
from nasjax.relax.hard import REINMAX as REINMAX
from nasjax.relax.hard import STRAIGHT_THROUGH as STRAIGHT_THROUGH
from nasjax.relax.hard import reinmax as reinmax
from nasjax.relax.hard import straight_through as straight_through
from nasjax.relax.paths import BINARY_GATES as BINARY_GATES
from nasjax.relax.paths import GDAS as GDAS
from nasjax.relax.paths import binary_gates as binary_gates
from nasjax.relax.paths import gdas as gdas
from nasjax.relax.paths import one_path as one_path
from nasjax.relax.simplex import DIRICHLET as DIRICHLET
from nasjax.relax.simplex import SPARSEMAX as SPARSEMAX
from nasjax.relax.simplex import dirichlet as dirichlet
from nasjax.relax.simplex import dirichlet_mean as dirichlet_mean
from nasjax.relax.simplex import sparsemax as sparsemax
from nasjax.relax.soft import GUMBEL_SOFTMAX as GUMBEL_SOFTMAX
from nasjax.relax.soft import SOFTMAX as SOFTMAX
from nasjax.relax.soft import gumbel_softmax as gumbel_softmax
from nasjax.relax.soft import probabilities as probabilities
from nasjax.relax.soft import softmax as softmax

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
| `one_path` | one | 0: for weights; see `nasjax.search.contributions` |

All but `gumbel_softmax`, `gdas` and `binary_gates` are exact for `E f(one-hot)`
where `f` is linear in the probs of each slot.
"""

from nasjax.relax.base import (
  Relaxation,
  Relaxed,
  Sampled,
  Tree,
  draw,
  is_sampled,
  logits,
)
from nasjax.relax.hard import (
  REINMAX,
  STRAIGHT_THROUGH,
  reinmax,
  straight_through,
)
from nasjax.relax.sampled import (
  BINARY_GATES,
  GDAS,
  PATHS,
  binary_gates,
  gdas,
  one_path,
)
from nasjax.relax.simplex import (
  DIRICHLET,
  SPARSEMAX,
  dirichlet,
  dirichlet_mean,
  sparsemax,
)
from nasjax.relax.soft import (
  GUMBEL_SOFTMAX,
  SOFTMAX,
  gumbel_softmax,
  probabilities,
  softmax,
)

__all__ = [
  'BINARY_GATES',
  'DIRICHLET',
  'GDAS',
  'GUMBEL_SOFTMAX',
  'PATHS',
  'REINMAX',
  'SOFTMAX',
  'SPARSEMAX',
  'STRAIGHT_THROUGH',
  'Relaxation',
  'Relaxed',
  'Sampled',
  'Tree',
  'binary_gates',
  'dirichlet',
  'dirichlet_mean',
  'draw',
  'gdas',
  'gumbel_softmax',
  'is_sampled',
  'logits',
  'one_path',
  'probabilities',
  'reinmax',
  'softmax',
  'sparsemax',
  'straight_through',
]

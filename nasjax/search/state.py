"""What a search is made of (`Setting`, static), and where it is (`State`)."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from nasjax import data, relax
from nasjax.constraint import Constraint, Projection
from nasjax.cost import Cost
from nasjax.guard import Guards
from nasjax.search.hypergradient import Estimator
from nasjax.search.hypergradient import Loss as InnerLoss
from nasjax.space import Alphas, Space
from nasjax.supernet import Supernet, downsampling
from nasjax.supernet.entangled import Entangled

Loss = Callable[[jax.Array, jax.Array], jax.Array]
Metrics = dict[str, jax.Array]


class State(NamedTuple):
  """All that the next step depends on. A pytree of arrays.

  Attributes:
    step: `i32[]`, weight steps done.
    key: PRNG key of the next step.
    params: the supernet's weights; where a few of its ops run at a time,
      stacked (`nasjax.supernet.stacked`), and `Search.params` has them as they
      were.
    batch_stats: its running statistics, with a leading axis of patterns.
    opt_state: of the weights' optimizer.
    alphas: slot to `f32[ops]`.
    alpha_opt_state: of the alphas' optimizer.
    constraints: one constraint state per cost.
    projection: of the projection; () without one.
    baseline: mean of the losses that patterns were drawn for.
    train: position in the images of the weights; () where batches are given.
    valid: position in the images of the alphas; () where batches are given.
    skipped: steps in a row that were left out since they were not finite, of
      `'weights'` and of `'alphas'`, `i32[]` each.
  """

  step: jax.Array
  key: jax.Array
  params: dict
  batch_stats: dict
  opt_state: optax.OptState
  alphas: Alphas
  alpha_opt_state: optax.OptState
  constraints: tuple
  projection: tuple
  baseline: downsampling.Baseline
  train: data.Sampler | tuple[()]
  valid: data.Sampler | tuple[()]
  skipped: dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Setting:
  """What a search is put together from; the arguments of `make`."""

  space: Space
  batches: data.Batches
  costs: tuple[Cost, ...]
  constraint: Constraint
  projection: Projection | None
  weight_tx: optax.GradientTransformation
  alpha_tx: optax.GradientTransformation
  hypergradient: Callable[[InnerLoss, InnerLoss], Estimator]
  relaxation: relax.Relaxed
  temperature: Callable[[jax.Array], jax.Array]
  loss: Loss
  guards: Guards
  nets: tuple[Supernet | Entangled, ...]

  @property
  def runs_sampled_ops(self) -> bool:
    """Whether a weight step runs only the ops that it sampled."""
    drawn_by = self.relaxation.weight_probs or self.relaxation.probs
    own = self.relaxation._replace(probs=drawn_by)
    return relax.is_sampled(own, self.space.choices)

  def distribution(self, state: State, alphas: Alphas) -> Alphas:
    """The probabilities that costs take."""
    return self.relaxation.distribution(
      alphas, self.temperature(state.step), None
    )

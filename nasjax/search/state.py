"""What a search is made of (`Setting`, static) and its state (`State`)."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import optax
from jax.typing import ArrayLike

from nasjax import data, relax
from nasjax.constraint import Constraint, Projection
from nasjax.cost import Cost
from nasjax.guard import Guards
from nasjax.search import contributions, score_function
from nasjax.search.form import Form
from nasjax.search.hypergradient import Hypergradient
from nasjax.space import Alphas, Choice

Loss = Callable[[jax.Array, jax.Array], jax.Array]
Metrics = dict[str, jax.Array]


class Batch(NamedTuple):
  """The data of one loss.

  Attributes:
    images: `f32[N, height, width, channels]`.
    labels: `i32[N]`.
    key: PRNG key of all draws, those of the network included.
  """

  images: jax.Array
  labels: jax.Array
  key: jax.Array


class State(NamedTuple):
  """Everything that the next step depends on: a pytree of arrays.

  Attributes:
    step: `i32[]`, weight steps done, and alpha steps with frozen weights.
    key: PRNG key of the next step.
    params: the network's weights, as the search's form keeps them
      (`nasjax.search.form`); `Search.params` returns them as the network made
      them.
    batch_stats: running statistics, in the same form.
    opt_state: of the weights' optimizer.
    alphas: name of a choice to `f32[*shape, options]`.
    alpha_opt_state: of the alphas' optimizer.
    constraints: one constraint state per cost.
    projection: of the projection; () without one.
    baseline: mean of the losses of drawn options, see
      `nasjax.search.score_function`.
    train: position in the images of the weights; () where batches are given.
    valid: position in the images of the alphas; () where batches are given.
    skipped: `'weights'` and `'alphas'` to `i32[]`: steps in a row that were
      skipped because they were not finite.
    judged: networks that alphas learn from, see
      `nasjax.search.contributions`; () where they learn from mixtures.
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
  baseline: score_function.Baseline
  train: data.Sampler | tuple[()]
  valid: data.Sampler | tuple[()]
  skipped: dict[str, jax.Array]
  judged: contributions.Judged | tuple[()] = ()


@dataclasses.dataclass(frozen=True)
class Setting:
  """The static parts of a search: the arguments of `make`."""

  net: nn.Module
  choices: Mapping[str, Choice]
  batches: data.Batches
  costs: tuple[Cost, ...]
  constraint: Constraint
  projection: Projection | None
  alpha_tx: optax.GradientTransformation
  hypergradient: Hypergradient
  relaxation: relax.Relaxed
  temperature: Callable[[jax.Array], ArrayLike]
  loss: Loss
  guards: Guards
  form: Form
  sampling: contributions.Sampling | None = None

  def distribution(self, state: State, alphas: Alphas) -> Alphas:
    """The probabilities that costs take."""
    return self.relaxation.distribution(
      alphas, self.temperature(state.step), None
    )

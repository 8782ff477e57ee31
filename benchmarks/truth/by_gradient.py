"""Searches by gradients of mini-batches, on the same supernet."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.truth import proxy, table
from benchmarks.truth.given import Found, Given, by_scores
from nasjax import constraint, cost, relax, search
from nasjax.relax.base import fold, gumbel, one_hot, slope
from nasjax.run import compilation
from nasjax.search import sparse_update
from nasjax.space import init_alphas
from nasjax.train import optimizers


class Variant(NamedTuple):
  """A search by another estimator, from the same supernet.

  Attributes:
    parts: its functions.
    images: of weights and alphas.
    constraints: made for each limit, `limits -> Kept`.
    rate: of the alphas' Adam.
  """

  parts: search.Search
  images: proxy.Images
  keep: Callable[[Mapping], constraint.Kept]
  rate: float


def _by_gradient(
  given: Given, variant: Variant, steps: int, *, learning: bool, name: str
) -> tuple[search.State, float]:
  """Takes alpha steps on mini-batches; returns the state and CPU seconds."""
  costs = {getattr(cost, n)(proxy.SPACE): v for n, v in given.limits.items()}
  kept, alphas = variant.keep(costs), init_alphas(proxy.SPACE)
  state = given.state._replace(
    key=jax.random.fold_in(jax.random.key(given.seed), 3),
    alphas=alphas,
    alpha_opt_state=search.adam(variant.rate).init(alphas),
    constraints=tuple(c.init() for _, c in kept.constraints),
    projection=() if kept.projection is None else kept.projection.init(),
    judged=(),
  )
  train, valid = variant.images
  key = name, given.data_dir, given.recipe
  if key not in _compiled:
    compiled = functools.partial(compilation.compiled, donate=False)
    _compiled[key] = (
      compiled('weight step', variant.parts.weight_step, state, train),
      compiled('alpha step', variant.parts.alpha_step, state, train, valid),
    )
  weight_step, alpha_step = _compiled[key]
  start = time.process_time()
  for _ in range(steps):
    if learning:
      state, _ = weight_step(state, train)
    state, _ = alpha_step(state, train, valid)
  jax.block_until_ready(state)
  return state, time.process_time() - start


_compiled: dict[Any, tuple[Callable, Callable]] = {}


def _variant(
  given: Given, relaxation: relax.Relaxed, keep, rate, weight_tx=None
):
  macs = cost.macs(proxy.SPACE)
  kept = keep({macs: 5e7})
  options: dict[str, Any] = {'relaxation': relaxation}
  if weight_tx is not None:
    options['weight_tx'] = weight_tx
  built = proxy.build(
    given.recipe,
    given.data_dir,
    None,
    constraints=kept.constraints,
    projection=kept.projection,
    alpha_tx=search.adam(rate),
    **options,
  )
  return Variant(built.parts, built.images, keep, rate)


def by_straight_through(given: Given) -> Found:
  """Straight-through samples on frozen weights, the price by dual ascent."""
  keep = functools.partial(
    constraint.keep, form='lagrangian_equal', number=0.02
  )
  variant = _variant(given, PATH_STRAIGHT_THROUGH, keep, 0.02)
  state, seconds = _by_gradient(
    given, variant, 500, learning=False, name='straight_through'
  )
  scores = {name: np.asarray(a) for name, a in state.alphas.items()}
  return Found(by_scores(scores, given.limits), seconds, {})


def hard_gumbel(alphas, temperature, key):
  """One-hot samples; backward the Gumbel softmax that they are the argmax of.

  Jang et al. 2017, straight-through Gumbel softmax.
  """
  found = {}
  for name, a in alphas.items():
    z = (a + gumbel(fold(key, name), a)) / temperature
    found[name] = one_hot(jnp.argmax(z, -1), z) + slope(jax.nn.softmax(z), z)
  return found


PATH_STRAIGHT_THROUGH = relax.Relaxed(
  relax.straight_through, relax.softmax, weight_probs=relax.one_path
)
HARD_GUMBEL = relax.Relaxed(
  hard_gumbel, relax.softmax, weight_probs=relax.one_path
)
# Prices of 50 M MACs, in nats.
PEER_STRENGTHS = 0.02, 0.035, 0.06, 0.1, 0.18, 0.3
PEER_STEPS = 1000
_peers: dict[Any, list[tuple[int, float]]] = {}


def by_peer(given: Given) -> Found:
  """Hard Gumbel samples with a price on MACs, weights still learning.

  A run for each strength serves all limits: of the runs whose argmax keeps a
  limit, the one with the most MACs. Without one, the smallest is no answer, so
  the cheapest network of the space stands for it.
  """
  truth = table.load()
  key = given.data_dir, given.recipe, given.seed
  if key not in _peers:
    _peers[key] = []
    for strength in PEER_STRENGTHS:
      keep = lambda costs, s=strength: constraint.keep(  # noqa: E731
        dict.fromkeys(costs, 5e7), 'linear', s
      )
      tx = optimizers.sgd(0.01, weight_decay=0.0)
      variant = _variant(given, HARD_GUMBEL, keep, 0.02, tx)
      # The state of a constant rate has no count of steps.
      opened = given._replace(
        state=given.state._replace(
          opt_state=sparse_update.init(
            tx, proxy.SPACE.choices, given.state.params
          )
        )
      )
      state, seconds = _by_gradient(
        opened, variant, PEER_STEPS, learning=True, name='peer'
      )
      best = [int(state.alphas[n].argmax()) for n in proxy.SPACE.choices]
      _peers[key].append((int(truth.rows(np.array([best]))[0]), seconds))
  (name,) = given.limits
  costs = truth.costs[name]
  runs = [row for row, _ in _peers[key] if costs[row] <= given.limits[name]]
  runs.sort(key=lambda row: -costs[row])
  found = list(dict.fromkeys(runs)) or [0]
  seconds = sum(seconds for _, seconds in _peers[key])
  more = {'runs': [row for row, _ in _peers[key]]}
  return Found(found, seconds, more)

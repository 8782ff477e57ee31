"""Searches that mix all options, without single paths: what was done before."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from benchmarks.truth import proxy
from benchmarks.truth.given import Found, Given, by_scores
from nasjax import constraint, cost, search
from nasjax.run import compilation
from nasjax.train import optimizers

DARTS_STEPS = 3000


class Mixture(NamedTuple):
  """A search whose network mixes all options.

  Attributes:
    parts: its functions.
    images: of weights and of alphas.
    warmup: weight steps before the first alpha step.
    steps: weight steps in all.
  """

  parts: search.Search
  images: proxy.Images
  warmup: int
  steps: int


def by_default_of_before(given: Given) -> Found:
  """nasjax' default before single paths: projected onto the limit.

  240 steps of 32 images, 80 of them warm-up; temperature 1 to 0.2; derived with
  98 % of the limit filled.
  """
  mixture = _of_before(given.data_dir)
  (name,) = given.limits
  costs = {getattr(cost, name)(proxy.SPACE): given.limits[name]}
  kept = constraint.keep(costs, form='project_equal')
  assert kept.projection is not None
  projection = kept.projection.init()
  state, seconds = _alternate(given, 'before', mixture, projection)
  scores = _scores(state)
  return Found(by_scores(scores, given.limits, fill=0.98), seconds, {})


@functools.cache
def _of_before(data_dir: str) -> Mixture:
  warmup, steps = 80, 240
  kept = constraint.keep({cost.macs(proxy.SPACE): 5e7}, form='project_equal')
  parts, images = proxy.build(
    proxy.Recipe(draw='mixture', batch_size=32),
    data_dir,
    None,
    projection=kept.projection,
    weight_tx=optimizers.sgd(optimizers.cosine(0.05, steps), weight_decay=1e-4),
    alpha_tx=search.adam(optax.cosine_decay_schedule(0.05, steps - warmup)),
    temperature=optax.exponential_decay(
      1.0, steps - warmup, 0.2, transition_begin=warmup
    ),
  )
  return Mixture(parts, images, warmup, steps)


def by_darts(given: Given) -> Found:
  """DARTS' alternation without a limit; the limit is kept by deriving.

  Liu et al. 2019, section 3.1: SGD 0.025 with decay 3e-4 for weights, Adam 3e-4
  with decay 1e-3 for alphas, first order, no warm-up. One run serves all
  limits.
  """
  key = given.data_dir, given.seed
  if key not in _darts_runs:
    _darts_runs.clear()
    _darts_runs[key] = _alternate(given, 'darts', _darts(given.data_dir), None)
  state, seconds = _darts_runs[key]
  scores = _scores(state)
  first = [int(s.argmax()) for s in scores.values()]
  return Found(by_scores(scores, given.limits), seconds, {'argmax': first})


_darts_runs: dict[Any, tuple[search.State, float]] = {}


@functools.cache
def _darts(data_dir: str) -> Mixture:
  parts, images = proxy.build(
    proxy.Recipe(draw='mixture'),
    data_dir,
    None,
    weight_tx=optimizers.sgd(
      optimizers.cosine(0.025, DARTS_STEPS), weight_decay=3e-4
    ),
    alpha_tx=optax.chain(
      optax.add_decayed_weights(1e-3), optax.adam(3e-4, b1=0.5)
    ),
  )
  return Mixture(parts, images, 0, DARTS_STEPS)


_compiled: dict[Any, tuple[Callable, Callable, Callable]] = {}


def _alternate(given, name, mixture, projection):
  """Weight and alpha steps in turn; returns the state and CPU seconds."""
  parts, (train, valid) = mixture.parts, mixture.images
  key = jax.random.key(given.seed)
  if (name, given.data_dir) not in _compiled:
    shapes, start = compilation.initial(
      lambda k: parts.init(k, train, valid), key
    )
    step = functools.partial(compilation.compiled, donate=False)
    _compiled[name, given.data_dir] = (
      start,
      step('weight step', parts.weight_step, shapes, train),
      step('alpha step', parts.alpha_step, shapes, train, valid),
    )
  start, weight_step, alpha_step = _compiled[name, given.data_dir]
  state = start()._replace(key=jax.random.fold_in(key, 4))
  if projection is not None:
    state = state._replace(projection=projection)
  begun = time.process_time()
  for i in range(mixture.steps):
    state, _ = weight_step(state, train)
    if i >= mixture.warmup:
      state, _ = alpha_step(state, train, valid)
  jax.block_until_ready(state)
  return state, time.process_time() - begun


def _scores(state: search.State) -> dict[str, np.ndarray]:
  """Alphas: their order of networks is that of log probabilities."""
  return {name: np.asarray(a) for name, a in state.alphas.items()}

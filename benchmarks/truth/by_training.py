"""Control: networks of the proxy trained alone, and the same regression."""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.truth import proxy
from benchmarks.truth.given import Found, Given, Scores, by_scores
from nasjax import relax, search
from nasjax.run import compilation
from nasjax.search import contributions
from nasjax.search.contributions import Sampling
from nasjax.space import init_alphas

NETWORKS = 48  # They share the steps of the supernet.


def by_training_alone(given: Given) -> Found:
  """Each network starts from new weights and gets its share of the steps.

  Their losses are regressed on the options, as those of the supernet. All
  limits are served by the same networks.
  """
  key = given.data_dir, given.recipe, given.seed
  if key not in _regressed:
    _regressed.clear()
    _regressed[key] = _regression(given)
  scores, seconds = _regressed[key]
  return Found(by_scores(scores, given.limits), seconds, {})


_regressed: dict[Any, tuple[Scores, float]] = {}


@functools.cache
def _steps(data_dir: str, recipe: proxy.Recipe) -> tuple[Callable, ...]:
  parts, (train, valid) = proxy.build(recipe, data_dir, Sampling())
  shapes, start = compilation.initial(
    lambda key: parts.init(key, train, valid), jax.random.key(0)
  )
  step = compilation.compiled('weight step', parts.weight_step, shapes, train)
  return start, step, jax.jit(parts.losses)


def _regression(given: Given) -> tuple[Scores, float]:
  recipe = proxy.Recipe(steps=given.recipe.steps // NETWORKS)
  start, step, judged = _steps(given.data_dir, recipe)
  train, valid = proxy.build(recipe, given.data_dir, Sampling()).images
  probs = relax.softmax(init_alphas(proxy.SPACE))
  key = jax.random.fold_in(jax.random.key(given.seed), 5)
  begun = time.process_time()
  options, log_probs = contributions.draw(key, probs, NETWORKS)
  losses = []
  for i in range(NETWORKS):
    own = {name: o[i : i + 1] for name, o in options.items()}
    state: search.State = start(jax.random.fold_in(key, i))
    # Alphas so far apart that only this network is drawn.
    sure = {
      name: 1e3 * jax.nn.one_hot(o[0], len(proxy.SPACE.choices[name]))
      for name, o in own.items()
    }
    state = state._replace(alphas=sure)
    for _ in range(recipe.steps):
      state, _ = step(state, train)
    losses.append(judged(state, valid, own))
  memory = contributions.empty(proxy.SPACE.choices, NETWORKS)
  buffer = contributions.add(
    memory, options, jnp.concatenate(losses), log_probs
  )
  effects = contributions.effects(buffer, probs)
  scores = {name: -np.asarray(g) for name, g in effects.gradient.items()}
  return scores, time.process_time() - begun

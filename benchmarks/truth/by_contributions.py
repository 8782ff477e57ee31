"""Searches by contributions, and the same regression without alphas."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.truth import proxy
from benchmarks.truth.given import Found, Given, Scores, by_scores
from nasjax import constraint, cost, guard, relax, search
from nasjax.run import compilation
from nasjax.search import contributions
from nasjax.search.contributions import Sampling
from nasjax.space import init_alphas

ALPHA_STEPS = 100
ENTROPY = -2.0  # Weight, with losses in standard deviations.
SAMPLING = Sampling(per_step=8, memory=800, images=2000)


@functools.cache
def _built(
  data_dir: str, recipe: proxy.Recipe, resources: tuple[str, ...]
) -> proxy.Built:
  costs = [getattr(cost, name)(proxy.SPACE) for name in resources]
  # Limits are data of the state; these are not used.
  kept = constraint.keep({c: sum(c.bounds()) / 2 for c in costs})
  return proxy.build(
    recipe,
    data_dir,
    SAMPLING,
    projection=kept.projection,
    alpha_tx=search.adam(0.05),
    guards=guard.Guards(entropy=lambda step: jnp.float32(ENTROPY)),
  )


@functools.cache
def _alpha_step(
  data_dir: str, recipe: proxy.Recipe, resources: tuple[str, ...]
) -> Callable:
  parts, (train, valid) = _built(data_dir, recipe, resources)
  key = jax.random.key(0)
  shapes = jax.eval_shape(lambda k: parts.init(k, train, valid), key)
  step = functools.partial(compilation.compiled, 'alpha step', donate=False)
  return step(parts.alpha_step, shapes, train, valid)


def _begun(given: Given) -> search.State:
  """The state after the warm-up, with the limits and without alphas' moves."""
  costs = {getattr(cost, n)(proxy.SPACE): v for n, v in given.limits.items()}
  kept = constraint.keep(costs)
  assert kept.projection is not None
  state, alphas = given.state, init_alphas(proxy.SPACE)
  return state._replace(
    key=jax.random.fold_in(jax.random.key(given.seed), 1),
    alphas=alphas,
    alpha_opt_state=search.adam(0.05).init(alphas),
    projection=kept.projection.init(),
    judged=contributions.empty(proxy.SPACE.choices, SAMPLING.memory),
  )


def searched(given: Given) -> Found:
  """Alphas follow contributions under the limit; deriving takes the last."""
  case = given.data_dir, given.recipe, tuple(given.limits)
  step = _alpha_step(*case)
  _, (train, valid) = _built(*case)
  state = _begun(given)
  start = time.process_time()
  for _ in range(ALPHA_STEPS):
    state, _ = step(state, train, valid)
  jax.block_until_ready(state)
  probs = relax.softmax(state.alphas)
  scores = contributions.scores(state.judged, probs, SAMPLING)
  scores = {name: np.asarray(s) for name, s in scores.items()}
  seconds = time.process_time() - start
  more = {'probs': _rounded(probs, 3), 'scores': _rounded(scores, 5)}
  return Found(by_scores(scores, given.limits), seconds, more)


def _rounded(values: Mapping[str, Any], digits: int) -> dict[str, list[float]]:
  return {
    name: np.asarray(v, np.float64).round(digits).tolist()
    for name, v in values.items()
  }


@functools.cache
def _judge(data_dir: str, recipe: proxy.Recipe) -> Callable:
  """`(state, options) -> losses`, compiled once for 100 networks."""
  parts, (_, valid) = _built(data_dir, recipe, ('macs',))
  compiled = jax.jit(parts.losses)
  return lambda state, options: compiled(state, valid, options)


def by_regression(given: Given) -> Found:
  """The same number of networks at uniform probs; no alphas, no limit."""
  key = given.data_dir, given.recipe, given.seed
  if key not in _regressed:  # The same for every limit.
    _regressed.clear()
    _regressed[key] = _regression(given)
  scores, deviation, seconds = _regressed[key]
  found = by_scores(scores, given.limits)
  more = {'deviation': deviation, 'scores': _rounded(scores, 5)}
  return Found(found, seconds, more)


_regressed: dict[Any, tuple[Scores, float, float]] = {}


def _regression(given: Given) -> tuple[Scores, float, float]:
  judged = _judge(given.data_dir, given.recipe)
  probs = relax.softmax(init_alphas(proxy.SPACE))
  key = jax.random.fold_in(jax.random.key(given.seed), 2)
  start = time.process_time()
  options, log_probs = contributions.draw(key, probs, SAMPLING.memory)
  losses = [
    judged(given.state, {n: o[i : i + 100] for n, o in options.items()})
    for i in range(0, SAMPLING.memory, 100)
  ]
  buffer = contributions.add(
    contributions.empty(proxy.SPACE.choices, SAMPLING.memory),
    options,
    jnp.concatenate(losses),
    log_probs,
  )
  effects = contributions.effects(buffer, probs, SAMPLING.ridge)
  scores = {n: -np.asarray(g) for n, g in effects.gradient.items()}
  seconds = time.process_time() - start
  return scores, float(effects.deviation), seconds


def untrained(given: Given) -> Found:
  """Control: the same pipeline on untrained weights."""
  parts, (train, valid) = _built(given.data_dir, given.recipe, ('macs',))
  _, start = compilation.initial(
    lambda k: parts.init(k, train, valid), jax.random.key(given.seed)
  )
  return searched(given._replace(state=start()))

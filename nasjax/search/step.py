"""One weight step and one alpha step of a search.

They alternate elsewhere: `nasjax.search.make` puts both into `Search.step`, and
`nasjax/run/search_loop.py` calls them one by one, after a warm-up of weight
steps alone.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nasjax import data, guard, relax
from nasjax.data.augment import Augment
from nasjax.search import contributions, judge
from nasjax.search import score_function as drawn_lib
from nasjax.search.constrained import with_limits
from nasjax.search.state import Batch, Metrics, Setting, State
from nasjax.space import init_alphas
from nasjax.train import accuracy


def init(
  setting: Setting, key: jax.Array, train: data.Arrays, valid: data.Arrays
) -> State:
  """The first state; see `Search.init`."""
  key, for_net, for_alphas, for_train, for_valid = jax.random.split(key, 5)
  projection = setting.projection
  alphas = init_alphas(setting.choices, for_alphas)
  images = jnp.zeros((1, *train.images.shape[1:]))
  variables = setting.net.init(
    for_net, images, relax.softmax(alphas), train=False
  )
  params, stats, opt_state = setting.form.init(variables)
  return State(
    step=jnp.int32(0),
    key=key,
    params=params,
    batch_stats=stats,
    opt_state=opt_state,
    alphas=alphas,
    alpha_opt_state=setting.alpha_tx.init(alphas),
    constraints=setting.constraint.init(),
    projection=() if projection is None else projection.init(),
    baseline=drawn_lib.baseline_init(),
    train=setting.batches.begin(for_train, train),
    valid=setting.batches.begin(for_valid, valid),
    skipped={'weights': jnp.int32(0), 'alphas': jnp.int32(0)},
    judged=()
    if setting.sampling is None
    else contributions.empty(setting.choices, setting.sampling.memory),
  )


def _draw(batches, sampler, arrays, key):
  """The next batch, the position after it, and the next key."""
  key, for_batch, for_net = jax.random.split(key, 3)
  images, labels, sampler = batches(sampler, arrays, for_batch)
  return Batch(images, labels, for_net), sampler, key


def _draw_train(setting, state, train, key):
  return _draw(setting.batches, state.train, train, key)


def _draw_valid(setting, state, valid):
  # Alpha steps use images without augmentation; that is for weight steps.
  plain = dataclasses.replace(setting.batches, policy=Augment())
  return _draw(plain, state.valid, valid, state.key)


class _Drawn(NamedTuple):
  """The sampled probs and options of one step.

  Attributes:
    sampled: probs, and the index of the options that run.
    options: name to `i32[*shape]`, of choices with `drawn` only.
    dropout: PRNG key of the network.
  """

  sampled: relax.Sampled
  options: dict[str, jax.Array]
  dropout: jax.Array


def _draws(setting, state, alphas, key, relaxation, guards=None):
  """Samples the probs and options for a batch."""
  for_relax, for_dropout, for_options, for_guards = jax.random.split(key, 4)
  temperature = setting.temperature(state.step)
  sampled = relax.draw(relaxation, alphas, temperature, for_relax)
  chances = setting.distribution(state, alphas)
  if guards is not None:
    sampled = guards.train_probs(
      sampled, setting.choices, state.step, for_guards
    )
    if guards.fairness is not None:
      chances = sampled.probs
  options = drawn_lib.draw(for_options, setting.choices, chances)
  index = (sampled.index or {}) | options
  return _Drawn(
    relax.Sampled(sampled.probs, index or None), options, for_dropout
  )


def _draws_train(setting, state, alphas, key):
  relaxation = setting.relaxation.weight_probs or setting.relaxation.probs
  return _draws(setting, state, alphas, key, relaxation, setting.guards)


def _forward(setting, state, params, images, drawn):
  """Logits and statistics of the network, or of the options that were drawn."""
  return setting.form.apply(
    params, state.batch_stats, images, drawn.sampled, drawn.dropout
  )


def params(setting: Setting, state: State, images: jax.Array) -> dict:
  """The network's weights; see `Search.params`."""
  return setting.form.params(state.params, images)


def _train_loss(setting, state, alphas, params, picked):
  """The task's loss, which weights lower; aux: logits and statistics."""
  drawn = _draws_train(setting, state, alphas, picked.key)
  return _task_loss(setting, state, drawn, params, picked)


def _task_loss(setting, state, drawn, params, picked):
  logits, stats = _forward(setting, state, params, picked.images, drawn)
  return setting.loss(logits, picked.labels), (logits, stats)


def _valid_loss(setting, state, alphas, params, picked):
  """The constrained loss, which alphas lower; aux: new states and metrics."""
  # Batches are normalised by their own statistics. The statistics of this one
  # are dropped, for every hypergradient: only weight steps update them.
  drawn = _draws(setting, state, alphas, picked.key, setting.relaxation.probs)
  logits, _ = _forward(setting, state, params, picked.images, drawn)
  task = setting.loss(logits, picked.labels)
  metrics = {
    'valid_loss': task,
    'valid_accuracy': accuracy(logits, picked.labels),
    **drawn.options,
  }
  distribution = setting.distribution(state, alphas)
  total, baseline = drawn_lib.score(
    task, distribution, drawn.options, state.baseline
  )
  total, kept, more = with_limits(setting, state, total, distribution)
  return total, (kept, (baseline, state.judged), {**metrics, **more})


def weight_step(
  setting: Setting, state: State, train: data.Arrays
) -> tuple[State, Metrics]:
  """One weight step; see `Search.weight_step`."""
  picked, sampler, key = _draw_train(setting, state, train, state.key)
  drawn = _draws_train(setting, state, state.alphas, picked.key)
  (value, (logits, stats)), params, opt_state = setting.form.update(
    lambda params: _task_loss(setting, state, drawn, params, picked),
    state.params,
    state.opt_state,
    drawn.sampled.index,
  )
  metrics = {
    'train_loss': value,
    'train_accuracy': accuracy(logits, picked.labels),
    'temperature': jnp.asarray(setting.temperature(state.step)),
  }
  state = state._replace(
    step=state.step + 1,
    key=key,
    params=params,
    batch_stats=stats,
    opt_state=opt_state,
    train=sampler,
  )
  return state, metrics


def alpha_step(
  setting: Setting, state: State, train: data.Arrays, valid: data.Arrays
) -> tuple[State, Metrics]:
  """One alpha step; see `Search.alpha_step`."""
  judging = _draw_valid if setting.sampling is None else judge.images
  picked, sampler, key = judging(setting, state, valid)
  # The batch and the noise of the next weight step, as in DARTS. The position
  # in `train` stays, so that this step will draw them as well.
  ahead, _, _ = _draw_train(setting, state, train, key)
  estimate = setting.hypergradient(
    functools.partial(_train_loss, setting, state),
    functools.partial(
      _valid_loss if setting.sampling is None else judge.loss, setting, state
    ),
  )
  g, (kept, (baseline, judged), metrics) = estimate(
    state.alphas, state.params, state.opt_state, ahead, picked
  )
  updates, opt_state = setting.alpha_tx.update(
    g, state.alpha_opt_state, state.alphas
  )
  alphas, projection = _projected(
    setting, state, optax.apply_updates(state.alphas, updates)
  )
  if setting.projection is not None and projection:
    names = [cost.name for cost in setting.projection.costs]
    duals = zip(names, projection.duals, strict=True)
    metrics |= {f'{name}_dual': dual for name, dual in duals}
  metrics['skips'] = guard.count_skips(alphas, setting.choices)
  state = state._replace(
    key=key,
    alphas=alphas,
    alpha_opt_state=opt_state,
    constraints=kept,
    projection=projection,
    baseline=baseline,
    valid=sampler,
    judged=judged,
  )
  return state, metrics


def eigenvalue(setting: Setting, state: State, valid: data.Arrays) -> jax.Array:
  """The largest eigenvalue of the Hessian; see `Search.eigenvalue`."""
  picked, _, key = _draw_valid(setting, state, valid)

  def task(alphas):
    # The mixture by the distribution, even where steps draw ops: a one-hot
    # sample has no curvature in the alphas.
    distribution = setting.relaxation.distribution
    drawn = _draws(setting, state, alphas, picked.key, distribution)
    logits, _ = _forward(setting, state, state.params, picked.images, drawn)
    return setting.loss(logits, picked.labels)

  return guard.largest_eigenvalue(task, state.alphas, key)


def _projected(setting, state, alphas):
  if setting.projection is None:
    return alphas, state.projection
  distribution = functools.partial(setting.distribution, state)
  return setting.projection.update(alphas, distribution, state.projection)

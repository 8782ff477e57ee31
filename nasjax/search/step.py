"""The steps of a search."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nasjax import data, guard, relax
from nasjax.data.augment import Augment
from nasjax.search import sparse_update
from nasjax.search.state import Metrics, Setting, State
from nasjax.space import Alphas, init_alphas
from nasjax.supernet import downsampling, stacked
from nasjax.train import accuracy


def init(
  setting: Setting, key: jax.Array, train: data.Arrays, valid: data.Arrays
) -> State:
  """Where a search begins; see `Search.init`."""
  key, for_net, for_alphas, for_train, for_valid = jax.random.split(key, 5)
  space, nets, projection = setting.space, setting.nets, setting.projection
  alphas = init_alphas(space, for_alphas)
  shape = (1, space.image_size, space.image_size, space.channels)
  variables = nets[0].init(
    for_net, jnp.zeros(shape), relax.softmax(alphas), train=False
  )
  params, stats = variables['params'], variables.get('batch_stats', {})
  if setting.runs_sampled_ops:
    params, stats = (stacked.stack(space, tree) for tree in (params, stats))
    opt_state = sparse_update.init(setting.weight_tx, space, params)
  else:
    opt_state = setting.weight_tx.init(params)
  return State(
    step=jnp.int32(0),
    key=key,
    params=params,
    batch_stats=downsampling.spread(stats, len(nets)),
    opt_state=opt_state,
    alphas=alphas,
    alpha_opt_state=setting.alpha_tx.init(alphas),
    constraints=setting.constraint.init(),
    projection=() if projection is None else projection.init(),
    baseline=downsampling.baseline_init(),
    train=setting.batches.begin(for_train, train),
    valid=setting.batches.begin(for_valid, valid),
    skipped={'weights': jnp.int32(0), 'alphas': jnp.int32(0)},
  )


class Batch(NamedTuple):
  """What a loss is taken on.

  Attributes:
    images: `f32[N, height, width, channels]`.
    labels: `i32[N]`.
    key: of everything that is random in the network.
  """

  images: jax.Array
  labels: jax.Array
  key: jax.Array


def _draw(batches, sampler, arrays, key):
  """The next batch, the position behind it, and the next key."""
  key, for_batch, for_net = jax.random.split(key, 3)
  images, labels, sampler = batches(sampler, arrays, for_batch)
  return Batch(images, labels, for_net), sampler, key


def _draw_train(setting, state, train, key):
  return _draw(setting.batches, state.train, train, key)


def _draw_valid(setting, state, valid):
  # Alphas are judged on images as they are: augmentation is for weights.
  plain = dataclasses.replace(setting.batches, policy=Augment())
  return _draw(plain, state.valid, valid, state.key)


class _Drawn(NamedTuple):
  """What a relaxation drew, and which pattern.

  Attributes:
    found: probs, and the index of the ops that run.
    pattern: `i32[]`.
    dropout: key of what the network draws.
  """

  found: relax.Sampled
  pattern: jax.Array
  dropout: jax.Array


def _draws(setting, state, alphas, key, drawn_by, guards=None):
  """What a batch is run through."""
  for_relax, for_dropout, for_pattern, for_guards = jax.random.split(key, 4)
  heat = setting.temperature(state.step)
  found = relax.draw(drawn_by, alphas, heat, for_relax)
  chances = setting.distribution(state, alphas)
  if guards is not None:
    found = guards.train_probs(found, setting.space, state.step, for_guards)
    if guards.fairness is not None:
      chances = found.probs
  return _Drawn(found, downsampling.draw(for_pattern, chances), for_dropout)


def _draws_train(setting, state, alphas, key):
  relaxation = setting.relaxation.weight_probs or setting.relaxation.probs
  return _draws(setting, state, alphas, key, relaxation, setting.guards)


def _forward(setting, state, params, images, drawn):
  """Runs the supernet, or what was drawn of it: logits, and statistics."""
  index = drawn.found.index

  def run(net, stats):
    variables = {'params': params, 'batch_stats': stats}
    if setting.runs_sampled_ops and index is None:
      variables = _unstacked(setting, variables)
    logits, updated = net.apply(
      variables,
      images,
      drawn.found.probs,
      train=True,
      index=index,
      mutable=['batch_stats'],
      rngs={'dropout': drawn.dropout},
    )
    new = updated.get('batch_stats', {})
    if setting.runs_sampled_ops and index is None:
      new = stacked.stack(setting.space, new)
    return logits, new

  each = [functools.partial(run, net) for net in setting.nets]
  return downsampling.call(each, drawn.pattern, state.batch_stats)


def _unstacked(setting, variables):
  """Variables of a search that runs a few ops, as its supernet has them."""
  net, own = setting.nets[0], setting.nets[0].space
  images = jnp.zeros((1, own.image_size, own.image_size, own.channels))
  probs = init_alphas(setting.space)
  shapes = jax.eval_shape(
    lambda: net.init(jax.random.key(0), images, probs, train=False)
  )
  return {
    name: stacked.unstack(setting.space, tree, shapes.get(name, {}))
    for name, tree in variables.items()
  }


def params(setting: Setting, state: State) -> dict:
  """The supernet's weights; see `Search.params`."""
  if not setting.runs_sampled_ops:
    return state.params
  return _unstacked(setting, {'params': state.params})['params']


def _train_loss(setting, state, alphas, params, picked):
  """The task's loss, which weights lower; with what it was computed from."""
  drawn = _draws_train(setting, state, alphas, picked.key)
  return _task_loss(setting, state, drawn, params, picked)


def _task_loss(setting, state, drawn, params, picked):
  logits, stats = _forward(setting, state, params, picked.images, drawn)
  return setting.loss(logits, picked.labels), (logits, stats)


def _valid_loss(setting, state, alphas, params, picked):
  """The constrained loss, which alphas lower; with the states it leaves."""
  # Batches are normalised by their own statistics. What this one adds to the
  # running ones is dropped, whatever the order: they are the weights' business.
  drawn = _draws(setting, state, alphas, picked.key, setting.relaxation.probs)
  logits, _ = _forward(setting, state, params, picked.images, drawn)
  task = setting.loss(logits, picked.labels)
  metrics = {
    'valid_loss': task,
    'valid_accuracy': accuracy(logits, picked.labels),
  }
  if setting.space.patterns:
    metrics['pattern'] = drawn.pattern
  distribution = setting.distribution(state, alphas)
  total, baseline = downsampling.score(
    task, distribution, drawn.pattern, state.baseline
  )
  total, kept, more = _constrained(
    setting, total, distribution, state.constraints
  )
  if setting.guards.entropy is not None:
    weight = setting.guards.entropy(state.step)
    total = total + weight * guard.total_entropy(distribution)
    metrics['entropy_weight'] = jnp.asarray(weight)
  metrics |= {**more, 'total_loss': total}
  return total, (kept, baseline, metrics)


def weight_step(
  setting: Setting, state: State, train: data.Arrays
) -> tuple[State, Metrics]:
  """One step of the weights; see `Search.weight_step`."""
  picked, sampler, key = _draw_train(setting, state, train, state.key)
  drawn = _draws_train(setting, state, state.alphas, picked.key)
  index, params = drawn.found.index, state.params
  if index is not None:
    # Of what does not run there is no gradient to compute.
    params = stacked.take(setting.space, params, index)
  objective = functools.partial(_task_loss, setting, state, drawn)
  grad = jax.value_and_grad(objective, has_aux=True)
  (value, (logits, stats)), g = grad(params, picked)
  params, opt_state = _moved(setting, state, g, index)
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


def _moved(setting, state, gradient, index):
  """Weights and their optimizer's state, after a step of what ran."""
  tx, params = setting.weight_tx, state.params
  if index is not None:
    return sparse_update.update(
      tx, setting.space, gradient, state.opt_state, params, index
    )
  updates, opt_state = tx.update(gradient, state.opt_state, params)
  return optax.apply_updates(params, updates), opt_state


def alpha_step(
  setting: Setting, state: State, train: data.Arrays, valid: data.Arrays
) -> tuple[State, Metrics]:
  """One step of the alphas; see `Search.alpha_step`."""
  picked, sampler, key = _draw_valid(setting, state, valid)
  # What the next weight step will draw, as in DARTS, and with its noise; the
  # position in `train` is not moved, so nothing is taken from that step.
  ahead, _, _ = _draw_train(setting, state, train, key)
  estimate = setting.hypergradient(
    functools.partial(_train_loss, setting, state),
    functools.partial(_valid_loss, setting, state),
  )
  g, (kept, baseline, metrics) = estimate(
    state.alphas, state.params, state.opt_state, ahead, picked
  )
  updates, opt_state = setting.alpha_tx.update(
    g, state.alpha_opt_state, state.alphas
  )
  alphas, projection = _projected(
    setting, state, optax.apply_updates(state.alphas, updates)
  )
  if projection:
    duals = zip(setting.projection.names, projection.duals, strict=True)
    metrics |= {f'{name}_dual': dual for name, dual in duals}
  metrics['skips'] = guard.count_skips(alphas, setting.space)
  state = state._replace(
    key=key,
    alphas=alphas,
    alpha_opt_state=opt_state,
    constraints=kept,
    projection=projection,
    baseline=baseline,
    valid=sampler,
  )
  return state, metrics


def eigenvalue(setting: Setting, state: State, valid: data.Arrays) -> jax.Array:
  """How sharply the task's loss curves; see `Search.eigenvalue`."""
  picked, _, key = _draw_valid(setting, state, valid)

  def task(alphas):
    # The mixture by the distribution, whatever is drawn or hard in the steps:
    # only of that one there is a curvature.
    distribution = setting.relaxation.distribution
    drawn = _draws(setting, state, alphas, picked.key, distribution)
    logits, _ = _forward(setting, state, state.params, picked.images, drawn)
    return setting.loss(logits, picked.labels)

  return guard.largest_eigenvalue(task, state.alphas, key)


def _constrained(setting, loss, distribution, before):
  """The constrained loss, the constraints' states, and what they looked at."""
  expected = tuple(cost(distribution) for cost in setting.costs)
  hard = harden(distribution)
  strict = tuple(cost(hard) for cost in setting.costs)
  loss, kept = setting.constraint.update(loss, expected, strict, before)
  metrics = {}
  for cost, e, s, k in zip(setting.costs, expected, strict, kept, strict=True):
    metrics |= {cost.name: e, f'{cost.name}_strict': s}
    if hasattr(k, 'multiplier'):
      metrics[f'{cost.name}_multiplier'] = k.multiplier
  return loss, kept, metrics


def _projected(setting, state, alphas):
  if setting.projection is None:
    return alphas, state.projection
  distribution = functools.partial(setting.distribution, state)
  return setting.projection.update(alphas, distribution, state.projection)


def harden(probs: Alphas) -> Alphas:
  """One-hot at the most probable op of every choice, without a gradient."""
  return {
    name: jax.nn.one_hot(p.argmax(-1), p.shape[-1], dtype=p.dtype)
    for name, p in probs.items()
  }

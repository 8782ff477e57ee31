"""Alpha steps that judge single networks, see `nasjax.search.contributions`."""

from typing import Any

import jax
import jax.numpy as jnp

from nasjax import data, relax
from nasjax.search import contributions
from nasjax.search.constrained import with_limits
from nasjax.search.state import Batch, Setting, State
from nasjax.space import Alphas


def loss(
  setting: Setting,
  state: State,
  alphas: Alphas,
  params: dict,
  batch: Batch,
) -> tuple[jax.Array, Any]:
  """The constrained loss, and its gradient in the alphas by contributions.

  Losses are in standard deviations of the networks' losses, so that weights of
  constraints and of the entropy mean the same on every data set.
  """
  sampling = _sampling(setting)
  distribution = setting.distribution(state, alphas)
  for_options, for_net = jax.random.split(batch.key)
  chances = contributions.floored(
    jax.lax.stop_gradient(distribution), sampling.floor
  )
  options, log_probs = contributions.draw(
    for_options, chances, sampling.per_step
  )
  losses = path_losses(
    setting, state, params, batch._replace(key=for_net), options
  )
  before = state.judged
  assert isinstance(before, contributions.Judged)
  judged = contributions.add(before, options, losses, log_probs)
  effects = contributions.effects(judged, chances, sampling.ridge)
  scale = jnp.maximum(effects.deviation, 1e-6)
  total = effects.mean / scale
  for name, g in effects.gradient.items():
    p = distribution[name]
    total = total + (g / scale * (p - jax.lax.stop_gradient(p))).sum()
  total, kept, more = with_limits(setting, state, total, distribution)
  metrics = {
    'valid_loss': effects.mean,
    'loss_deviation': effects.deviation,
    'ridge_shrinkage': effects.shrinkage,
    **more,
  }
  return total, (kept, (state.baseline, judged), metrics)


def path_losses(
  setting: Setting,
  state: State,
  params: dict,
  batch: Batch,
  options: dict[str, jax.Array],
) -> jax.Array:
  """The loss of every network, each normalised by its own batch statistics.

  Args:
    setting: of the search.
    state: whose statistics are passed on; they are not used.
    params: weights, in the form of the state's.
    batch: the images on which all networks are judged.
    options: name to `i32[number, *shape]`.

  Returns:
    `f32[number]`.
  """
  choices = setting.choices
  samples = relax.is_sampled(setting.relaxation, choices)

  def one(options):
    probs, index = {}, {}
    for name, option in options.items():
      probs[name] = jax.nn.one_hot(option, len(choices[name]))
      if choices[name].drawn:
        index[name] = option
      elif samples:
        index[name] = option[..., None]
    logits, _ = setting.form.apply(
      params,
      state.batch_stats,
      batch.images,
      relax.Sampled(probs, index or None),
      batch.key,
    )
    return setting.loss(logits, batch.labels)

  return jax.lax.map(one, dict(options))


def images(
  setting: Setting, state: State, valid: data.Arrays
) -> tuple[Batch, Any, jax.Array]:
  """The images on which networks are judged: always the same ones.

  Returns:
    The batch, the position in `valid`, which stays, and the next key.
  """
  key, for_net = jax.random.split(state.key)
  number = min(_sampling(setting).images, len(valid.labels))
  first = jnp.asarray(valid.images[:number])
  chosen = data.normalise(first, setting.batches.mean, setting.batches.std)
  labels = jnp.asarray(valid.labels[:number])
  return Batch(chosen, labels, for_net), state.valid, key


def _sampling(setting: Setting) -> contributions.Sampling:
  if setting.sampling is None:
    raise ValueError('to judge networks, make the search with sampling.')
  return setting.sampling


def losses(
  setting: Setting, state: State, valid: data.Arrays, options: dict
) -> jax.Array:
  """The loss of every network on the images of alpha steps.

  Returns:
    `f32[number]`; see `Search.losses`.
  """
  batch, _, _ = images(setting, state, valid)
  return path_losses(setting, state, state.params, batch, options)

"""Choices whose options cannot be mixed: draw one, learn from its loss.

Where `Choice.drawn` is set, such as for features of different resolutions, a
step draws one option from the probabilities and the network runs that option
alone. The gradient of the loss in the probabilities is the score-function
estimate (Williams 1992, REINFORCE) with a running mean of losses as baseline.
The gradient of a cost stays exact, since costs take the probabilities.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from nasjax.space import Alphas, Choice


class Baseline(NamedTuple):
  """Running mean of the losses of drawn options.

  Attributes:
    total: `f32[]`, exponentially weighted sum of losses.
    weight: `f32[]`, sum of their weights; `total / weight` is the mean, without
      a bias towards the start.
  """

  total: jax.Array
  weight: jax.Array


def baseline_init() -> Baseline:
  """The baseline before the first loss."""
  return Baseline(jnp.float32(0), jnp.float32(0))


def draw(
  key: jax.Array, choices: Mapping[str, Choice], probs: Alphas
) -> dict[str, jax.Array]:
  """Draws an option of every choice with `drawn`, independently.

  Args:
    key: PRNG key, consumed.
    choices: name to choice.
    probs: name to `f32[*shape, options]`.

  Returns:
    Name to `i32[*shape]`, for the drawn choices only.

  Example:
    >>> choices = {
    ...   'op': Choice(('a', 'b')),
    ...   'size': Choice(('small', 'large'), shape=(2,), drawn=True),
    ... }
    >>> probs = {'op': jnp.ones(2) / 2, 'size': jnp.array([[0, 1.], [1.0, 0]])}
    >>> index = draw(jax.random.key(0), choices, probs)
    >>> list(index), index['size'].tolist()
    (['size'], [1, 0])
  """
  index = {}
  names = [name for name, choice in choices.items() if choice.drawn]
  for i, name in enumerate(names):
    own = jax.random.fold_in(key, i) if i else key
    index[name] = jax.random.categorical(own, jnp.log(probs[name]))
  return index


def score(
  loss: jax.Array,
  probs: Alphas,
  index: Mapping[str, jax.Array],
  baseline: Baseline,
  decay: float = 0.9,
) -> tuple[jax.Array, Baseline]:
  """Adds the score-function gradient in the probabilities to a loss.

  Args:
    loss: `f32[]`, the loss with the drawn options.
    probs: name to `f32[*shape, options]`, from which the options were drawn.
    index: name to `i32[*shape]`, as `draw` returned it.
    baseline: running mean of the earlier losses.
    decay: decay of the running mean, 0 to 1.

  Returns:
    `(loss, baseline)`. The value of the loss is the same; its gradient has the
    additional term `(loss - mean) d log p`, with p the joint probability of the
    drawn options. The first loss is its own mean, so the term is 0 then.

  Example:
    >>> def loss(p):
    ...   start = Baseline(jnp.float32(1), jnp.float32(1))  # The mean is 1.
    ...   return score(3.0, {'size': p}, {'size': jnp.array(0)}, start)[0]
    >>> jax.grad(loss)(jnp.array([0.5, 0.5])).tolist()  # (3 - 1) / 0.5
    [4.0, 0.0]
  """
  if not index:
    return loss, baseline
  value = jax.lax.stop_gradient(loss)
  after = Baseline(
    decay * baseline.total + (1 - decay) * value,
    decay * baseline.weight + (1 - decay),
  )
  mean = jnp.where(
    baseline.weight > 0,
    baseline.total / jnp.maximum(baseline.weight, 1e-12),
    value,
  )
  log_probs = [_log_prob(probs[name], i) for name, i in index.items()]
  log_prob = sum(log_probs[1:], log_probs[0])
  surrogate = (value - mean) * (log_prob - jax.lax.stop_gradient(log_prob))
  return loss + surrogate, after


def _log_prob(p: jax.Array, index: jax.Array) -> jax.Array:
  """Log of the probability of all drawn options of one name, `f32[]`."""
  drawn = jnp.take_along_axis(p, jnp.asarray(index)[..., None], -1)
  return jnp.log(drawn).sum()

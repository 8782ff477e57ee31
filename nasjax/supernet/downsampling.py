"""The place of downsampling as a choice.

Patterns differ in resolution, so their outputs cannot be mixed: each step draws
one pattern. Weights are shared, since their shapes do not depend on it; batch
norm keeps running statistics per pattern. The gradient with respect to the
pattern's probabilities is estimated from the losses of the drawn patterns
(Williams 1992, REINFORCE, with a running mean as baseline). The gradient of the
cost is exact.

Spaces without patterns are handled as if they had one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nasjax.ops import Numerics
from nasjax.space import Alphas, Space, at_pattern
from nasjax.supernet.entangled import Entangled
from nasjax.supernet.mixed import Supernet

KINDS = ('mixed', 'entangled')


class Baseline(NamedTuple):
  """Running mean of the drawn losses.

  Attributes:
    total: `f32[]`, exponentially weighted sum of losses.
    weight: `f32[]`, of the weights; `total / weight` is free of the start.
  """

  total: jax.Array
  weight: jax.Array


def networks(
  space: Space, numerics: Numerics, kind: str = 'mixed'
) -> list[Supernet | Entangled]:
  """The supernet of each pattern; the one of a space that has none.

  Args:
    space: what they hold.
    numerics: how they are computed.
    kind: `'mixed'`, every op with weights of its own, or `'entangled'`.

  Raises:
    ValueError: another kind.

  Example:
    >>> from nasjax import spaces
    >>> macro = spaces.tiny_macro()
    >>> [type(n).__name__ for n in networks(macro, Numerics(), 'entangled')]
    ['Entangled', 'Entangled']
  """
  if kind not in KINDS:
    raise ValueError(f'kind must be one of {KINDS}, got {kind=}.')
  net = Entangled if kind == 'entangled' else Supernet
  if not space.patterns:
    return [net(space, numerics)]
  each = [at_pattern(space, i) for i in range(len(space.patterns))]
  return [net(s, numerics) for s in each]


def draw(key: jax.Array, probs: Alphas) -> jax.Array:
  """Index of a pattern, `i32[]`; 0 without patterns. The key is consumed."""
  if 'pattern' not in probs:
    return jnp.int32(0)
  return jax.random.categorical(key, jnp.log(probs['pattern']))


def spread(tree: Any, number: int) -> Any:
  """The same statistics for each pattern: a leading axis of `number`."""
  return jax.tree.map(lambda x: jnp.stack([x] * number), tree)


def call(
  apply: list[Callable[[dict], tuple[jax.Array, dict]]],
  index: jax.Array,
  stats: dict,
) -> tuple[jax.Array, dict]:
  """Runs the drawn pattern alone.

  Args:
    apply: for each pattern, from batch statistics to logits and new statistics.
    index: which one to run.
    stats: batch statistics, each with a leading axis of patterns.

  Returns:
    Logits, and statistics of which those of the drawn pattern are new.
  """
  if len(apply) == 1:
    # Without looking anything up: for hundreds of statistics that would be a
    # fifth of the time that tracing a step takes.
    logits, new = apply[0](jax.tree.map(lambda x: x.squeeze(0), stats))
    one = lambda whole, x: x[None].astype(whole.dtype)  # noqa: E731
    return logits, jax.tree.map(one, stats, new)
  own = jax.tree.map(lambda x: x[index], stats)
  logits, new = jax.lax.switch(index, apply, own)

  def kept(all_patterns, own):
    return all_patterns.at[index].set(own.astype(all_patterns.dtype))

  return logits, jax.tree.map(kept, stats, new)


def baseline_init() -> Baseline:
  """No loss seen."""
  return Baseline(jnp.float32(0), jnp.float32(0))


def score(
  loss: jax.Array,
  probs: Alphas,
  index: jax.Array,
  baseline: Baseline,
  decay: float = 0.9,
) -> tuple[jax.Array, Baseline]:
  """The loss, whose gradient in the pattern's probs is estimated.

  Args:
    loss: `f32[]`, of the drawn pattern.
    probs: what it was drawn from.
    index: what was drawn.
    baseline: running mean of losses before this one.
    decay: of the running mean.

  Returns:
    The same value, with `(loss - baseline) d log probs[index]` added to its
    gradient, and the next baseline. The first loss is its own baseline.
  """
  if 'pattern' not in probs:
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
  log_prob = jnp.log(probs['pattern'][index])
  return loss + (value - mean) * (
    log_prob - jax.lax.stop_gradient(log_prob)
  ), after

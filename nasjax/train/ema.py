"""EMA of the weights and batch statistics of a network."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def decay_at(step: ArrayLike, decay: float) -> jax.Array:
  """Decay of the EMA at a step, `f32[]`.

  The smaller of `decay` and `(1 + step) / (10 + step)`, as TensorFlow's
  `ExponentialMovingAverage` has it. So the early EMA follows quickly, and does
  not keep the initial weights for `1 / (1 - decay)` steps.

  Args:
    step: steps that were averaged before, from 0.
    decay: decay in the long run, in [0, 1).

  Example:
    >>> [round(float(decay_at(step, 0.9)), 4) for step in (0, 8, 1000)]
    [0.1, 0.5, 0.9]
  """
  step = jnp.asarray(step, jnp.float32)
  return jnp.minimum(decay, (1 + step) / (10 + step))


def update(average: Any, values: Any, step: ArrayLike, decay: float) -> Any:
  """The EMA after one more value.

  Args:
    average: the EMA so far, a tree of float arrays.
    values: the new values, in the same structure.
    step: steps that were averaged before, from 0.
    decay: decay in the long run, in [0, 1).

  Returns:
    `d * average + (1 - d) * values`, where d is `decay_at(step, decay)`.

  Example:
    >>> update({'w': jnp.zeros(1)}, {'w': jnp.ones(1)}, 8, 0.9)['w'].tolist()
    [0.5]
  """
  kept = decay_at(step, decay)
  # Unlike optax.incremental_update, a value that does not change stays the same
  # to the bit.
  return jax.tree.map(
    lambda a, v: a + (1 - kept).astype(a.dtype) * (v - a), average, values
  )

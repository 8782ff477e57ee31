"""A smooth maximum: what steers a cost that is a maximum over the network."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from nasjax.cost.base import Cost
from nasjax.space import Table, rows

_TEMPERATURE = 0.05


def smooth_maximum(
  cost: Cost,
  probs: Mapping[str, jax.Array],
  *,
  temperature: float = _TEMPERATURE,
  negligible: float = 0.05,
) -> jax.Array:
  """`t log sum(p exp(c / t))` over the combinations that are not negligible.

  The expectation of a maximum says little of the network that is derived: it
  may be far below the limit while the most probable network is far above. This
  is close to the largest cost that still has some probability, and its
  gradient lowers the probability of the costly options first.

  Args:
    cost: a cost of probs.
    probs: name of a choice to `f32[*shape, options]`, summing to 1 along the
      last axis.
    temperature: `t` as a fraction of the largest cost that is not negligible,
      above 0; the smaller, the closer to the maximum.
    negligible: combinations of options of one table that are less probable than
      this fraction of its most probable combination are left out, 0 to 1.

  Returns:
    `f32[]`, in the cost's unit, differentiable. For an additive cost it is the
    expectation, `cost(probs)`. At one-hot probs it is at least the exact cost,
    and at most `t log(tables)` more.

  Raises:
    KeyError: `probs` lacks a choice of a table.

  Example:
    >>> from nasjax import cost, relax, space, spaces
    >>> tiny = spaces.tiny()
    >>> memory, alphas = cost.memory(tiny), space.init_alphas(tiny)
    >>> probs = relax.softmax(alphas)
    >>> float(memory(probs)) < float(smooth_maximum(memory, probs))
    True
  """
  if cost.reduction == 'sum':
    return cost(probs)
  single = rows(probs)
  weights, values = [], []
  for table in cost.tables:
    p = _joint(table, single)
    weights.append(jnp.where(p >= negligible * p.max(), p, 0.0))
    values.append(jnp.asarray(table.array(), p.dtype).ravel())
  weight, value = jnp.concatenate(weights), jnp.concatenate(values)
  largest = jnp.where(weight > 0, value, 0.0).max()
  t = jnp.maximum(temperature * largest, jnp.finfo(value.dtype).tiny)
  # Below the largest, so that no power overflows.
  powers = weight * jnp.exp(jnp.minimum((value - largest) / t, 0.0))
  return largest + t * jnp.log(powers.sum())


def steered(
  cost: Cost, probs: Mapping[str, jax.Array], strict: jax.Array
) -> jax.Array:
  """The cost that a constraint sees.

  An additive cost is its expectation. A maximum has the value of the network
  that would be derived now: a multiplier rises until that network keeps the
  limit. Its gradient is that of `smooth_maximum`, over the temperature, so that
  it is as large as the gradient of an expectation: to take a costly option with
  half of the probability counts as about half of the cost.

  Args:
    cost: a cost of probs.
    probs: name of a choice to `f32[*shape, options]`, summing to 1 along the
      last axis.
    strict: `f32[]`, the cost of the most probable network.

  Example:
    >>> from nasjax import cost, relax, space, spaces
    >>> tiny = spaces.tiny()
    >>> memory, probs = cost.memory(tiny), relax.softmax(
    ...   space.init_alphas(tiny))
    >>> float(steered(memory, probs, jnp.float32(1000.0)))
    1000.0
  """
  if cost.reduction == 'sum':
    return cost(probs)
  smooth = smooth_maximum(cost, probs) / _TEMPERATURE
  value = jax.lax.stop_gradient(strict)
  return value + (smooth - jax.lax.stop_gradient(smooth))


def _joint(table: Table, single: Mapping) -> jax.Array:
  """The probability of each combination of a table, in the order of values."""
  if not table.axes:
    return jnp.ones(1)
  outer = functools.partial(jnp.tensordot, axes=0)
  return functools.reduce(outer, [single[axis] for axis in table.axes]).ravel()

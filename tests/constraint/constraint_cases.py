"""Constraints, and costs to constrain."""

import jax
import jax.numpy as jnp

LIMIT = 10.0


PLACES = (0.5 * LIMIT, LIMIT, 1.5 * LIMIT)


def pressure(c, cost, state, strict=None):
  """d loss / d cost, and the state afterwards."""
  strict = jnp.float32(cost if strict is None else strict)
  f = lambda x: c.update(jnp.float32(1.0), x, strict, state)  # noqa: E731
  (_, after), slope = jax.value_and_grad(f, has_aux=True)(jnp.float32(cost))
  return float(slope), after

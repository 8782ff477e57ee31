"""The peak of a program on one small image."""

import jax
import jax.numpy as jnp


def shape(*dims, dtype=jnp.float32):
  return jax.ShapeDtypeStruct(dims, dtype)


X = shape(1, 8, 8, 4)
IN = 64 * 4 * 4  # Bytes of X.

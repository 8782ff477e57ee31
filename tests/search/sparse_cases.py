"""A space whose ops are stacked."""

import functools

import jax
import jax.numpy as jnp

from nasjax import spaces
from nasjax.supernet import Supernet

SPACE = spaces.tiny()
CHOICES = SPACE.choices


@functools.cache
def init_variables():
  images = jnp.zeros((1, 8, 8, 1))
  probs = {name: jnp.ones(len(ops)) for name, ops in CHOICES.items()}
  init = functools.partial(Supernet(SPACE).init, train=False)
  return jax.jit(init)(jax.random.key(0), images, probs)


def index_of(*ops):
  return {s: jnp.array([i]) for s, i in zip(CHOICES, ops, strict=True)}

"""A small network and images to train it on."""

import jax
import numpy as np
import optax

from nasjax import data, space, spaces, train
from nasjax.ops import Numerics


def make_network():
  tiny = spaces.tiny()
  chosen = space.Architecture(tiny, ('mbconv_k3_e1', 'mbconv_k3_e1', 'skip'))
  return space.fix(tiny, chosen)


BATCHES = data.Batches(4, (0.5,), (0.3,))
ARRAYS = data.Arrays(
  np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8),
  np.arange(6, dtype=np.int32),
)


_NUMERICS = Numerics()


def run_states(
  steps, arrays=ARRAYS, teacher_weights=(), numerics=_NUMERICS, **options
):
  """The states of a training, from the first on, and its last metrics."""
  parts = train.make(
    make_network().network(numerics), BATCHES, tx=optax.sgd(0.1), **options
  )
  states = [jax.jit(parts.init)(jax.random.key(0), arrays)]
  step, metrics = jax.jit(parts.step), {}
  for _ in range(steps):
    state, metrics = step(states[-1], arrays, teacher_weights)
    states.append(state)
  return states, metrics

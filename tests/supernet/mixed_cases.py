"""A supernet on few images."""

import functools

import jax
import jax.numpy as jnp


def init_variables(net, images, probs):
  init = jax.jit(functools.partial(net.init, train=False))
  variables = init(jax.random.key(0), images, probs)
  # Statistics other than 0 and 1, or a forgotten one would not be seen.
  noise = jax.random.uniform(jax.random.key(1), (), minval=0.5)
  return {
    **variables,
    'batch_stats': jax.tree.map(lambda x: x + noise, variables['batch_stats']),
  }


def images_for(s, n=3):
  shape = (n, s.image_size, s.image_size, s.channels)
  return jax.random.normal(jax.random.key(2), shape)


def sparse(space_, m):
  """Probs that are 0 but at `m` ops of each slot, and which those are."""
  probs, index = {}, {}
  for n, (name, options) in enumerate(space_.choices.items()):
    key = jax.random.fold_in(jax.random.key(7), n)
    index[name] = jax.random.permutation(key, len(options))[:m]
    some = jax.random.uniform(key, (m,), minval=0.2)
    probs[name] = jnp.zeros(len(options)).at[index[name]].set(some)
  return probs, index

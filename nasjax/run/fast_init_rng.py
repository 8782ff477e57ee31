"""A PRNG that compiles fast, for the initial weights of a network.

On a CPU, XLA takes 50 ms to compile one draw of JAX's default generator, and
the initialisation of a supernet has hundreds of draws. Here each 32-bit word is
a hash of the key and the word's position: two rounds of a mixing function in
which every input bit changes about half of the output bits (Wellons 2018,
"Prospecting for Hash Functions", lowbias32). It is a PRNG implementation for
`jax.random`, with tests of its statistics; use it for initial weights only.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import random


def drawn_quickly(init: Callable) -> Callable:
  """Wraps an `init` so that it draws from this generator.

  Args:
    init: a pure function `(key, ...) -> pytree of arrays`.

  Returns:
    A function with the arguments of `init`. Keys in its result have the
    implementation of the key that was given.

  Example:
    >>> init = drawn_quickly(lambda key: jax.random.normal(key, (2,)))
    >>> init(jax.random.key(0)).shape
    (2,)
  """
  own = jax.random.key(0, impl=IMPL).dtype

  def run(key: jax.Array, *args: Any) -> Any:
    kind = jax.random.key_impl(key)
    # From a key of any implementation to the two words of this one.
    words = jax.random.bits(key, (2,), 'uint32')
    out = init(jax.random.wrap_key_data(words, impl=IMPL), *args)

    def returned(x):
      if x.dtype != own:
        return x
      shape = jax.random.key_data(jax.random.key(0, impl=kind)).shape
      fresh = jax.vmap(lambda k: jax.random.bits(k, shape, 'uint32'))
      data = fresh(x.reshape(-1)).reshape(*x.shape, *shape)
      return jax.random.wrap_key_data(data, impl=kind)

    return jax.tree.map(returned, out)

  return run


def _mixed(x):
  for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
    x = (x ^ (x >> jnp.uint32(shift))) * jnp.uint32(factor)
  return x ^ (x >> jnp.uint32(16))


def _hash(key, x):
  """Hashes every word of `x` with the key, `u32[...]`."""
  golden = jnp.uint32(0x9E3779B9)  # Spreads neighbours (Knuth 1998, 6.4).
  return _mixed(_mixed(x * golden + key[0]) + key[1])


def _key(word):
  """Two words from one, along a new last axis."""
  return jnp.stack([word, _mixed(word + jnp.uint32(0x85EBCA6B))], -1)


def _positions(shape):
  return lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)


def _seed(seed):
  return _key(_mixed(jnp.asarray(seed).astype(jnp.uint32)))


def _split(key, shape):
  return _key(_hash(key, _positions(shape)))


def _fold_in(key, data):
  # Swap the words of the key; otherwise a split would give the same keys.
  return _key(_hash(key[::-1], jnp.asarray(data).astype(jnp.uint32)))


def _bits(key, width, shape):
  if width == 64:
    high, low = (_bits(k, 32, shape) for k in _split(key, (2,)))
    return high.astype('uint64') << jnp.uint64(32) | low.astype('uint64')
  return _hash(key, _positions(shape)).astype(f'uint{width}')


IMPL = random.define_prng_impl(
  key_shape=(2,),
  seed=_seed,
  split=_split,
  random_bits=_bits,
  fold_in=_fold_in,
  name='nasjax_quick',
  tag='quick',
)

"""A random generator that compiles fast, for what is drawn once at a start.

JAX's own ones are made for long streams; XLA's CPU backend compiles a draw of
theirs for 50 ms, and a supernet draws hundreds. Here 32 bits are a hash of the
key and of their position: two rounds of a mixing function that changes half of
the output bits with any input bit (Wellons 2018, "Prospecting for Hash
Functions", lowbias32). It is a `jax.random` generator like any other, tested as
such, and no more than initial weights should depend on it.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import random


def drawn_quickly(init: Callable) -> Callable:
  """`init`, whose first argument is a key, with this generator's numbers.

  Keys that it returns are of the given key's kind again.

  Args:
    init: a pure function; what it returns is a pytree of arrays.

  Example:
    >>> init = drawn_quickly(lambda key: jax.random.normal(key, (2,)))
    >>> init(jax.random.key(0)).shape
    (2,)
  """
  own = jax.random.key(0, impl=IMPL).dtype

  def run(key: jax.Array, *args: Any) -> Any:
    kind = jax.random.key_impl(key)
    # Any kind of key, to the two words of this one.
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
  """A word for every word of `x`."""
  golden = jnp.uint32(0x9E3779B9)  # Spreads neighbours (Knuth 1998, 6.4).
  return _mixed(_mixed(x * golden + key[0]) + key[1])


def _key(word):
  """Two words from one, along a last axis."""
  return jnp.stack([word, _mixed(word + jnp.uint32(0x85EBCA6B))], -1)


def _positions(shape):
  return lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)


def _seed(seed):
  return _key(_mixed(jnp.asarray(seed).astype(jnp.uint32)))


def _split(key, shape):
  return _key(_hash(key, _positions(shape)))


def _fold_in(key, data):
  # The words the other way round, or a split would give the same keys.
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

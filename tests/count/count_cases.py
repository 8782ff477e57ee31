"""Programs of which more than one file counts something."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def shape(*dims, dtype=jnp.float32):
  return jax.ShapeDtypeStruct(dims, dtype)


def conv(x, w, strides=(1, 1), padding='SAME', **kwargs):
  numbers = ('NHWC', 'HWIO', 'NHWC')
  return lax.conv_general_dilated(
    x, w, strides, padding, dimension_numbers=numbers, **kwargs
  )


X = shape(1, 9, 9, 4)
SQUARE = shape(4, 4)  # A product of two counts 64.


def scanned(fn):
  def three(*args):
    return lax.scan(lambda _, __: (None, fn(*args)), None, length=3)[1]

  return three


def vmapped(fn):
  def two(*args):
    pair = jax.tree.map(lambda x: jnp.stack([x, x]), args[-1])
    return jax.vmap(lambda x: fn(*args[:-1], x))(pair)

  return two


# What a program is wrapped in, and how often it then runs.
WRAPPERS = {
  'plain': (lambda fn: fn, 1),
  'jit': (jax.jit, 1),
  'scan': (scanned, 3),
  'vmap': (vmapped, 2),
  'remat': (jax.checkpoint, 1),
}


def network(w, x):
  x = jax.nn.relu(conv(x, w['a'], (2, 2)))
  x = conv(x, w['b'], feature_group_count=8)
  return x.mean((1, 2)) @ w['c']


NETWORK = {
  'a': shape(3, 3, 4, 8),
  'b': shape(5, 5, 1, 8),
  'c': shape(8, 10),
}


class Block(nn.Module):
  features: int
  stride: int = 1

  @nn.compact
  def __call__(self, x, train=False):
    norm = functools.partial(nn.BatchNorm, use_running_average=not train)
    y = nn.Conv(
      self.features, (3, 3), strides=self.stride, use_bias=False, name='a'
    )(x)
    y = nn.relu(norm(name='a_norm')(y))
    y = nn.Conv(self.features, (3, 3), use_bias=False, name='b')(y)
    y = norm(name='b_norm')(y)
    if x.shape != y.shape:
      x = nn.Conv(
        self.features, (1, 1), strides=self.stride, use_bias=False, name='skip'
      )(x)
    return nn.relu(x + y)


class ResNet(nn.Module):
  remat: bool = False

  @nn.compact
  def __call__(self, x, train=False):
    block = nn.remat(Block, static_argnums=2) if self.remat else Block
    x = nn.relu(nn.Conv(8, (3, 3), name='stem')(x))
    x = block(8, name='block1')(x, train)
    x = block(16, 2, name='block2')(x, train)
    return nn.Dense(10, name='head')(x.mean((1, 2)))


IMAGES = shape(1, 16, 16, 3)
RESNET_MACS = (
  256 * 8 * 27
  + 2 * 256 * 8 * 72
  + 64 * 16 * 72
  + 64 * 16 * 144
  + 64 * 16 * 8
  + 160
)
RESNET_PARAMS = (
  (27 * 8 + 8)
  + (2 * 72 * 8 + 2 * 16)
  + (72 * 16 + 144 * 16 + 8 * 16 + 2 * 32)
  + (160 + 10)
)


def check_totals(table):
  assert sum(row.macs for row in table.rows) == table.macs
  assert sum(row.params for row in table.rows) == table.params
  np.testing.assert_allclose(sum(row.share for row in table.rows), 1)

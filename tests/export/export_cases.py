"""Networks to export, with weights that make every layer count."""

import functools
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import data, ops, train
from nasjax.data import images
from nasjax.export import model

NATIVE = ops.Numerics(lowering='native')


def _lacks(*modules):
  return any(importlib.util.find_spec(name) is None for name in modules)


needs_mobile = pytest.mark.skipif(
  _lacks('ai_edge_litert', 'litert_converter', 'litert_quantizer'),
  reason='needs the extra mobile: pip install nasjax[mobile]',
)
needs_onnx = pytest.mark.skipif(
  _lacks('onnx', 'onnxruntime'),
  reason='needs the extra onnx: pip install nasjax[onnx]',
)
# Formats with what each of them needs.
FORMATS = [
  pytest.param('tflite', marks=needs_mobile),
  pytest.param('onnx', marks=needs_onnx),
]


def batch_of(network):
  """Real images at the size of a network, normalised."""
  pixels = np.asarray(data.load().train.images[:16])
  pixels = [
    images.square(images.of_pixels(x), network.image_size) for x in pixels
  ]
  mean, std = normalisation_of(network)
  return ((np.stack(pixels) / 255 - mean) / std).astype(np.float32)


@functools.cache
def variables_of(network, seed=0):
  """Random weights with the statistics of a batch, as a training leaves them.

  With other statistics activations grow from block to block, so that rounding
  decides the logits, or vanish, so that all images have the same.
  """
  size = network.image_size
  like = jnp.zeros((1, size, size, network.channels))
  net = network.network(ops.Numerics('native', bn_momentum=0.0))
  made = jax.eval_shape(
    lambda: net.init(jax.random.key(0), like, {}, train=False)
  )
  rng = np.random.default_rng(seed)

  def drawn(path, leaf):
    name = path[-1].key
    if name == 'scale':
      found = rng.uniform(0.6, 1.2, leaf.shape)
    elif name == 'kernel':
      spread = np.sqrt(2 / np.prod(leaf.shape[:-1]))
      found = spread * rng.normal(size=leaf.shape)
    else:
      found = 0.3 * rng.normal(size=leaf.shape)
    return found.astype(np.float32)

  made = jax.tree_util.tree_map_with_path(drawn, made)
  batch = batch_of(network)
  key = jax.random.key(0)

  @jax.jit
  def seen(variables):
    return net.apply(
      variables,
      batch,
      {},
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )

  _, new = seen(made)
  made = made | jax.tree.map(np.array, dict(new))
  return train.Weights(made['params'], made.get('batch_stats', {}))


def normalisation_of(network):
  """A mean and a deviation of its own for each channel."""
  n = network.channels
  return tuple(np.linspace(0.3, 0.6, n)), tuple(np.linspace(0.2, 0.4, n))


def model_of(network, seed=0):
  """A model with random weights."""
  return model.of(
    network,
    variables_of(network, seed),
    normalisation=normalisation_of(network),
  )


@functools.cache
def labels(n):
  return tuple(f'class {i}' for i in range(n))

"""The exported function is the network, normalisation included."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from nasjax import ops, run, space, spaces
from nasjax.export import model
from nasjax.run import trained
from nasjax.train.recipe import Recipe
from tests.conftest import images
from tests.export.export_cases import model_of, variables_of

SIZES = {'image_size': 9, 'channels': 3, 'num_classes': 4}
TINY = spaces.tiny(**SIZES)
ARCHITECTURE = space.argmax(TINY, space.init_alphas(TINY))
NETWORK = TINY.fix(ARCHITECTURE)


def trained_of(**recipe):
  weights = variables_of(NETWORK)
  result = {
    **trained.facts(NETWORK, SIZES),
    'classes': ['a', 'b', 'c', 'd'],
    'normalisation': {'mean': [0.4, 0.5, 0.6], 'std': [0.2, 0.3, 0.25]},
    'recipe': dataclasses.asdict(Recipe(**recipe)),
    'test_accuracy': 0.5,
    'test_crop': 0.875,
  }
  return run.Trained(NETWORK, result, lambda: weights)


def test_the_graph_is_the_network_on_normalised_images():
  one = model_of(NETWORK)
  pixels = images(5, 9, 3)
  normal = (pixels / 255 - one.mean) / one.std
  net = NETWORK.network(ops.Numerics('native'))
  expected = net.apply(
    one.weights._asdict(), jnp.asarray(normal, jnp.float32), {}, train=False
  )
  found = jax.vmap(lambda x: one.graph(x[None])[0])(
    jnp.asarray(pixels, jnp.float32)
  )
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  precise = one.precise_logits(pixels)
  assert precise.dtype == np.float64
  np.testing.assert_allclose(found, precise, rtol=1e-4, atol=1e-4)
  logits = one.logits(pixels, size=2)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_training_gives_names_weights_and_numerics():
  net = trained_of(bn_epsilon=0.05, dtype='bfloat16')
  one = model.of(net)
  assert one.classes == ('a', 'b', 'c', 'd')
  assert (one.mean, one.std) == ((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
  assert (one.crop, one.bn_epsilon) == (0.875, 0.05)
  pixels = images(5, 9, 3)
  # float32, whatever it was trained in.
  single = trained_of(bn_epsilon=0.05)
  np.testing.assert_array_equal(
    one.logits(pixels).argmax(1), single.predict(pixels)
  )
  default = one.logits(pixels) - model.of(trained_of()).logits(pixels)
  assert np.abs(default).max() > 1e-3


def test_sources_of_every_kind_are_one_network():
  weights = variables_of(NETWORK)
  pixels = images(3, 9, 3)
  sources = NETWORK, ARCHITECTURE
  first, second = (model.of(s, weights).logits(pixels) for s in sources)
  np.testing.assert_array_equal(first, second)
  mapping = model.of(NETWORK, weights._asdict()).logits(pixels)
  np.testing.assert_array_equal(first, mapping)
  given = model.of(trained_of(), variables_of(NETWORK, 1))
  assert np.abs(given.logits(pixels) - first).max() > 1e-3

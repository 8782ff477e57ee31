"""The result of a training: costs, classes, predictions."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax import cost, space, spaces, train
from nasjax.run import trained
from nasjax.train.recipe import Recipe
from tests.conftest import images, refused

SIZES = {'image_size': 8, 'channels': 1, 'num_classes': 3}


@pytest.fixture(scope='module')
def one():
  s = spaces.tiny(**SIZES)
  network = s.fix(space.argmax(s, space.init_alphas(s)))
  result = {
    **trained.facts(network, SIZES),
    'classes': ['a', 'b', 'c'],
    'normalisation': {'mean': [0.5], 'std': [0.25]},
    'recipe': dataclasses.asdict(Recipe()),
    'test_accuracy': 0.5,
  }

  def load():
    net = network.network(Recipe().numerics)
    like = jnp.zeros((1, 8, 8, 1))
    made = net.init(jax.random.key(0), like, {}, train=False)
    return train.Weights(made['params'], made.get('batch_stats', {}))

  return trained.Trained(network, result, load)


def test_facts_are_the_costs_of_the_network(one):
  for name in ('macs', 'params', 'memory'):
    assert one.result[name] == getattr(cost, name)(one.network).constant
  assert {name: one.result[name] for name in SIZES} == SIZES
  assert list(one.result['ops']) == [slot.name for slot in one.network.slots]


def test_predictions_are_the_largest_logit_of_normalised_images(one):
  pixels = images(5, 8, 1)
  net = one.network.network(Recipe().numerics)
  variables = {
    'params': one.weights.params,
    'batch_stats': one.weights.batch_stats,
  }
  normal = (pixels / 255 - 0.5) / 0.25
  logits = net.apply(
    variables, jnp.asarray(normal, jnp.float32), {}, train=False
  )
  np.testing.assert_array_equal(one.predict(pixels), logits.argmax(-1))
  assert one.predict(pixels[:0]).shape == (0,)


def test_names_come_with_probabilities_the_most_probable_first(one):
  pixels = images(5, 8, 1)
  found = one.classify(pixels, 2)
  rows = one.probabilities(pixels)
  np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-6)
  for row, classes, label in zip(rows, found, one.predict(pixels), strict=True):
    names = [name for name, _ in classes]
    assert names == [one.classes[i] for i in np.argsort(-row)[:2]]
    assert names[0] == one.classes[label]
    assert [p for _, p in classes] == sorted(row.tolist())[:-3:-1]
  assert one.classify(pixels[:0]) == []
  assert len(one.classify(pixels[:1], 99)[0]) == 3
  refused('most is 0; it must be at least 1', one.classify, pixels, 0)


@pytest.mark.parametrize(
  'wrong',
  [
    np.zeros((2, 9, 9, 1), np.uint8),
    np.zeros((2, 8, 8, 3), np.uint8),
    np.zeros((2, 8, 8, 1), np.float32),
  ],
)
def test_images_of_another_size_or_type_are_refused(one, wrong):
  refused(r'the network takes uint8\[n, 8, 8, 1\]', one.predict, wrong)

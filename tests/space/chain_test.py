"""Spaces as chains: static, and of images that can be halved."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from nasjax import cost, relax, space, spaces, zoo
from nasjax.supernet import Supernet
from nasjax.supernet.entangled import Entangled
from tests.conftest import refused


def test_spaces_are_static():
  assert hash(spaces.mobile_small()) == hash(spaces.mobile_small())
  with pytest.raises(dataclasses.FrozenInstanceError):
    spaces.tiny().name = 'other'


def test_images_that_a_network_cannot_halve_are_refused():
  """By whatever counts or computes it, in a library or a script."""
  # Five strides of 2: 17 pixels become 9, 5, 3, 2 and 1.
  space.check_image_size(spaces.mobile_224(image_size=17))
  cost.macs(spaces.mobile_224(image_size=17))
  small = spaces.mobile_224(image_size=16)
  message = (
    "images are 16 pixels high; 'mobile_224' downsamples so often that it "
    'takes at least 17'
  )
  refused(message, space.check_image_size, small)
  for resource in (cost.macs, cost.params, cost.memory):
    refused(message, resource, small)
  images, probs = (
    jnp.zeros((1, 16, 16, 3)),
    relax.softmax(space.init_alphas(small)),
  )
  for net in (Supernet(small), Entangled(small)):
    refused(message, net.init, jax.random.key(0), images, probs, train=False)
  refused('takes at least 17', cost.macs, zoo.mobilenet_v2(image_size=8))
  # One of the patterns is enough.
  stage = spaces.Stage(8, 1, (1, 2))
  two = spaces.mobile(
    [stage],
    image_size=2,
    num_classes=2,
    stem=8,
    stem_stride=(1, 2),
    head=8,
    patterns=('late', 'early'),
  )
  space.check_image_size(space.at_pattern(two, 0))
  refused('takes at least 3', cost.macs, two)
  for preset in (spaces.mobile_macro_small, spaces.mobile_small):
    space.check_image_size(preset(image_size=28))
    refused('takes at least', cost.macs, preset(image_size=4))


def test_only_a_chain_is_one():
  chain = spaces.tiny()
  assert space.as_chain(chain) is chain

  class Other:
    name = 'other'

  refused("space 'other' is no chain", space.as_chain, Other())

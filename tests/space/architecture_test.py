"""Spaces and architectures: fixing, refusals."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from nasjax import cost, ops, relax, space, spaces, zoo
from nasjax.supernet import Supernet
from nasjax.supernet.entangled import Entangled
from tests.conftest import refused


def test_spaces_are_static():
  assert hash(spaces.mobile_small()) == hash(spaces.mobile_small())
  with pytest.raises(dataclasses.FrozenInstanceError):
    spaces.tiny().name = 'other'


def test_fix_keeps_the_chosen_op_alone(draw):
  a = draw(spaces.mobile_small())
  fixed = space.fix(a.space, a)
  assert not fixed.choices
  kept = {s.name: s.ops[0].name for s in fixed.slots}
  for slot, name in zip(a.space.choices, a.choice, strict=True):
    assert kept[slot] == name


def test_skip_stands_only_where_shapes_stay():
  for slot, before in zip(
    spaces.mobile_224().slots[1:], spaces.mobile_224().slots, strict=False
  ):
    skippable = slot.stride == 1 and slot.features == before.features
    if len(slot.ops) > 1:
      assert ('skip' in slot.op_names) == skippable


def test_one_hot_and_argmax_are_inverse(draw):
  a = draw(spaces.mobile_small())
  assert space.argmax(a.space, space.one_hot(a)) == a


def _patterned(patterns, stride, name='a'):
  slot = space.Slot(name, (ops.Conv(3),), 4, stride)
  return space.Space('s', 8, 1, (slot,), patterns)


@pytest.mark.parametrize(
  'make',
  [
    lambda: space.Slot('s', (), 4),
    lambda: space.Slot('s', (ops.Conv(3),), 0),
    lambda: space.Slot('s', (ops.Conv(3), ops.Conv(3)), 4),
    lambda: space.Space('s', 8, 1, (space.Slot('a', (ops.Skip(),), 4),)),
    lambda: space.Width('w', (8,)),
    lambda: space.Width('w', (8, 4)),
    lambda: _patterned(('one',), 2),
    lambda: _patterned(('same', 'same'), (1, 2)),
    lambda: _patterned(('a', 'b'), (1, 2, 1)),
    lambda: _patterned(('a', 'b'), 1, name='pattern'),
    lambda: ops.Conv(2),
    lambda: ops.MBConv(3, 0),
    lambda: ops.MBConv(3, 1, 'gelu'),
    lambda: ops.Classifier(1.0),
  ],
)
def test_impossible_structures_are_refused(make):
  with pytest.raises(ValueError, match=r'requires|does not fit'):
    make()


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

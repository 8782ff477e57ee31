"""Published networks at other widths, and for small images."""

import pytest

from nasjax import cost, zoo
from nasjax.baselines import adapted
from tests.conftest import refused

SIZES = {'channels': 3, 'num_classes': 10}


@pytest.mark.parametrize(
  ('size', 'published'), [(64, True), (63, False), (28, False)]
)
def test_under_64_pixels_a_network_is_adapted_and_named_so(size, published):
  found = adapted.for_images(zoo.mobilenet_v2, image_size=size, **SIZES)
  plain = zoo.mobilenet_v2(image_size=size, **SIZES)
  assert (found == plain) == published
  assert found.name.endswith('_small_images') != published
  # At 63 pixels the last map of the published one is large enough already.
  more = cost.macs(found).constant > cost.macs(plain).constant
  assert more == (size == 28)


@pytest.mark.parametrize('smallest', [2, 4])
def test_the_last_map_is_as_high_as_is_asked_for(smallest):
  found = adapted.for_images(
    zoo.mobilenet_v2, image_size=32, smallest=smallest, **SIZES
  )
  size = 32
  for slot in found.slots:
    size = -(-size // slot.fixed_stride)
    if slot.name == 'head':
      break
  assert smallest <= size < 2 * smallest


def test_a_width_scales_where_there_is_one_and_is_refused_where_not():
  half = adapted.at_width(zoo.mobilenet_v2, 0.5)
  assert half() == zoo.mobilenet_v2(width=0.5)
  assert adapted.at_width(zoo.resnet18, 1.0) is zoo.resnet18
  message = 'resnet18 comes in one width, got width=0.5'
  refused(message, adapted.at_width, zoo.resnet18, 0.5)

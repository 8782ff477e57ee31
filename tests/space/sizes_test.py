"""The same ops for other images."""

import pytest

from nasjax import cost, space, spaces
from nasjax.space import Architecture, Proxy
from tests.conftest import refused
from tests.supernet.cell_cases import tiny

TINY = tiny()


@pytest.mark.parametrize(
  's', [TINY, Proxy(TINY, tiny(layers=1)), spaces.tiny()], ids=lambda s: s.name
)
def test_sizes_change_and_choices_stay(s):
  assert space.resize(s) == s
  other = space.resize(s, image_size=11, channels=2, num_classes=7)
  assert other.choices == s.choices
  assert space.resize(other) == other != s
  network = other.fix(
    Architecture.from_indices(other, [0] * len(space.axes(s.choices)))
  )
  sizes = network.image_size, network.channels, network.num_classes
  assert sizes == (11, 2, 7)
  assert cost.macs(network).constant > 0


def test_a_cell_network_takes_images_of_one_pixel():
  one = space.resize(TINY, image_size=1)
  space.check_image_size(one)
  low, high = cost.macs(one).bounds()
  assert 0 < low < high


def test_sizes_that_no_image_has_are_refused():
  refused('at least 1 pixel', space.resize, TINY, image_size=0)
  with pytest.raises(ValueError, match='features'):
    space.resize(TINY, num_classes=0)

  class Own:
    name = 'own'

  refused("space 'own' is a Own", space.resize, Own(), image_size=3)

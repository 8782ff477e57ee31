"""SqueezeNet, whose stem and pooling are its own."""

import pytest

from nasjax import zoo
from nasjax.errors import InputError
from tests.zoo.zoo_cases import last_map


@pytest.mark.parametrize(
  ('size', 'after'), [(224, 13), (223, 13), (64, 3), (18, 1), (17, 1)]
)
def test_squeezenet_pools_up_and_does_not_pad_its_stem(size, after):
  assert last_map(zoo.squeezenet_1_1(image_size=size)) == after


def test_squeezenet_needs_17_pixels():
  with pytest.raises(InputError, match='at least 17, got 16'):
    zoo.squeezenet_1_1(image_size=16)

"""FBNet's space: the layout that its paper prints."""

from nasjax import spaces
from tests.spaces.spaces_cases import layout


def test_fbnet_has_the_layout_of_its_table():
  """Wu et al. 2019, table 1: width, number and stride of the searched rows."""
  assert layout(spaces.fbnet()) == [
    [16, 1, 1],
    [24, 4, 2],
    [32, 4, 2],
    [64, 4, 2],
    [112, 4, 1],
    [184, 4, 2],
    [352, 1, 1],
  ]

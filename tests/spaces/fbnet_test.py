"""FBNet's space: the layout that its paper prints."""

from nasjax import (
  spaces,
)


def test_fbnet_has_the_layout_of_its_table():
  """Wu et al. 2019, table 1: width, number and stride of the searched rows."""
  rows = []
  for slot in spaces.fbnet().slots[1:-2]:
    if slot.name.endswith('_1'):
      rows.append([slot.features, 0, slot.stride])
    rows[-1][1] += 1
  assert rows == [
    [16, 1, 1],
    [24, 4, 2],
    [32, 4, 2],
    [64, 4, 2],
    [112, 4, 1],
    [184, 4, 2],
    [352, 1, 1],
  ]

"""FBNets and ProxylessNAS by the counts of their authors."""

import pytest

from tests.zoo.zoo_cases import TOTALS, layer_table


@pytest.mark.quick_every(3)
@pytest.mark.parametrize(
  ('name', 'macs', 'pooled', 'weights'),
  [
    ('fbnet_a', 244526360, 1504, 4270290),
    ('fbnet_b', 291101640, 1984, 4766670),
    ('fbnet_c', 378233440, 1984, 5525420),
  ],
)
def test_fbnets_have_the_counts_of_their_repository(
  name, macs, pooled, weights
):
  """It counts the pooling as one per element, and weights alone as params."""
  assert TOTALS[name][0] + 49 * pooled == macs
  kernels = sum(
    row.params - row.output[-1]
    for row in layer_table(name)[1]  # Each has a bias.
  )
  assert abs(kernels - weights) <= 5


def test_proxylessnas_has_the_counts_of_its_logs():
  logs = {'mobile': (320.4, 4.08), 'cpu': (439.2, 4.36), 'gpu': (465.3, 7.12)}
  for target, (macs, params) in logs.items():
    counted = TOTALS[f'proxylessnas_{target}']
    assert abs(counted[0] / 1e6 - macs) <= 0.05
    assert abs(counted[1] / 1e6 - params) <= 0.005

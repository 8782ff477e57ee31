"""MobileNets: published widths, and the two rules of V3."""

import jax
import jax.numpy as jnp
import pytest

from nasjax import cost, count, ops, zoo
from nasjax.supernet import Supernet


@pytest.mark.parametrize(
  ('width', 'macs', 'params'),
  [
    (1.4, 582, 6.06),
    (1.0, 300, 3.47),
    (0.75, 209, 2.61),
    (0.5, 97, 1.95),
    (0.35, 59, 1.66),
  ],
)
def test_mobilenet_v2_widths_have_their_published_counts(width, macs, params):
  """Both in millions, from its README, which leaves batch norm out."""
  network = zoo.mobilenet_v2(width=width)
  net = Supernet(network, ops.Numerics(lowering='native'))
  images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  scales = [
    leaf.size
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables['params'])
    if 'scale' in jax.tree_util.keystr(path)
  ]
  assert abs(cost.macs(network).constant / 1e6 - macs) < 1
  counted = cost.params(network).constant - 2 * sum(scales)
  assert abs(counted / 1e6 - params) <= 0.005


def test_mobilenet_v3_scales_by_two_rules():
  authors = zoo.mobilenet_v3_large(width=0.75)
  other = zoo.mobilenet_v3_large(width=0.75, rule='torchvision')
  # 80 and 184 in the table: 64 * 2.3 = 147.2, and 0.75 * 184 = 138.
  by_name = lambda s: {slot.name: slot for slot in s.slots}  # noqa: E731
  assert by_name(authors)['stage4_3'].ops[0].mid == 144
  assert by_name(other)['stage4_3'].ops[0].mid == 136
  assert authors.name != other.name
  same = zoo.mobilenet_v3_large(rule='torchvision')
  assert same == zoo.mobilenet_v3_large()

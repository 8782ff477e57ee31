"""Totals and layers of the published networks."""

import functools

import jax
import jax.numpy as jnp

from nasjax import cost, count, ops, zoo
from nasjax.supernet import Supernet

# MACs and params at 224 pixels and 1000 classes.
TOTALS = {
  'mobilenet_v1': (568740352, 4231976),
  'mobilenet_v2': (300774272, 3504872),
  'mobilenet_v3_large': (216589760, 5483032),
  'mobilenet_v3_small': (56510400, 2542856),
  'mnasnet_b1': (314415872, 4383312),
  'mnasnet_a1': (311579072, 3887038),
  'fbnet_a': (244452664, 4321232),
  'fbnet_b': (291004424, 4818216),
  'fbnet_c': (378136224, 5592784),
  'spnasnet': (333467072, 4421616),
  'proxylessnas_mobile': (320427584, 4080512),
  'proxylessnas_cpu': (439243864, 4361648),
  'proxylessnas_gpu': (465260160, 7119848),
  'proxylessnas_mobile_14': (580883408, 6857568),
  'efficientnet_b0': (385814752, 5288548),
  'efficientnet_lite0': (385187552, 4652008),
  'hardcorenas_a': (224227936, 5260232),
  'hardcorenas_f': (341905696, 8199688),
  'shufflenet_v2': (144907992, 2278604),
  'squeezenet_1_1': (349151936, 1235496),
  'resnet18': (1814073344, 11689512),
  'resnet50': (4089184256, 25557032),
}


def count_totals(network):
  return cost.macs(network).constant, cost.params(network).constant


@functools.cache
def layer_table(name):
  """Layers of the whole built network, normalisation left out."""
  network = getattr(zoo, name)()
  net = Supernet(network, ops.Numerics(lowering='native'))
  images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  table = count.table(net, variables, images, {}, train=False)
  return table, [row for row in table.rows if row.op != 'other']


def last_map(network):
  shape = 1, network.image_size, network.image_size, network.channels
  for slot in network.slots[:-1]:
    shape = cost.op_shape(slot.ops[0], slot.features, slot.stride, shape)
  return shape[1]

"""Counts a network: multiply-accumulates and parameters.

python -m experiments.count --network=mobilenet_v2 --json
python -m experiments.count --architecture=runs/search/architecture.json
python -m experiments.count --network=resnet18 --image_size=64 --table
python -m experiments.count --list

With --json each of them prints one JSON object on one line for every network;
--table adds `rows`, one object for every layer.
"""

import json
from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from experiments import cli, names
from nasjax import cost, count
from nasjax.errors import InputError
from nasjax.ops import Numerics
from nasjax.space import Architecture, Space, fix, resize
from nasjax.supernet import Supernet

FLAGS = flags.FLAGS


def network() -> Space:
  """What the flags name."""
  size, classes = FLAGS.image_size, FLAGS.num_classes
  for name, value in {'image_size': size, 'num_classes': classes}.items():
    if value is not None and value < 1:
      raise InputError(f'{name} is {value}; it must be at least 1')
  if (FLAGS.architecture is None) == (FLAGS.network is None):
    raise InputError('give either --architecture=FILE or --network=NAME')
  if FLAGS.network is None:
    ops = names.ops_of(FLAGS.ops)
    architecture = Architecture.load(FLAGS.architecture, ops)
    sized = resize(architecture.space, image_size=size, num_classes=classes)
    return fix(sized, architecture)
  make = names.network(FLAGS.network, FLAGS.width)
  given = {'image_size': size, 'num_classes': classes}
  given = {k: v for k, v in given.items() if v is not None}
  return make(**given)


def layers(space: Space) -> count.Table:
  """The layers of a network, each with its MACs and parameters."""
  net = Supernet(space, Numerics(depthwise='native'))
  side = space.image_size
  images = jax.ShapeDtypeStruct((1, side, side, space.channels), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  return count.table(net, variables, images, {}, train=False)


def totals(space: Space) -> dict[str, Any]:
  """What is counted of a network, and at which size."""
  return {
    'network': space.name,
    'macs': cost.macs(space).constant,
    'params': cost.params(space).constant,
    'image_size': space.image_size,
    'num_classes': space.num_classes,
  }


def main() -> None:
  if FLAGS.list and FLAGS.table:
    raise InputError('give one of --list and --table')
  if FLAGS.list:
    for make in names.NETWORKS.values():
      counted = totals(make())
      if FLAGS.json:
        print(json.dumps(counted))
      else:
        print(
          '{network:24} {macs:>13,} MACs {params:>11,} params'.format(**counted)
        )
    return
  space = network()
  counted = totals(space)
  if FLAGS.table:
    table = layers(space)
    counted['rows'] = [row._asdict() for row in table.rows]
  if FLAGS.json:
    print(json.dumps(counted))
  elif FLAGS.table:
    print(table.to_text())
  else:
    for name, value in counted.items():
      print(f'{name:12}', f'{value:,}' if isinstance(value, int) else value)


if __name__ == '__main__':
  flags.DEFINE_string('network', None, cli.one_of(names.NETWORKS))
  flags.DEFINE_string('architecture', None, 'an architecture.json')
  flags.DEFINE_string('ops', None, 'module with ops that the file names')
  flags.DEFINE_float('width', 1.0, 'multiplier of the widths of --network')
  flags.DEFINE_integer('image_size', None, "pixels; None is the network's own")
  flags.DEFINE_integer('num_classes', None, "None is the network's own")
  flags.DEFINE_boolean('list', False, 'all networks, with MACs and params')
  flags.DEFINE_boolean('table', False, 'a line per layer')
  flags.DEFINE_boolean(
    'json', False, 'one JSON object on one line for each network'
  )
  cli.run(main)

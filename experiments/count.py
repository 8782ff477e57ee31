"""Counts a network: multiply-accumulates and parameters.

python -m experiments.count --network=mobilenet_v2 --json
python -m experiments.count --architecture=runs/search/architecture.json
python -m experiments.count --network=resnet18 --image_size=64 --table
python -m experiments.count --list

With --json each of them prints one JSON object on one line for every network;
--table adds `rows`, one object for every layer.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('count')  # Before imports that take seconds.

import json
from typing import Any

import jax
import jax.numpy as jnp

from nasjax import checks, cost, count
from nasjax.ops import Numerics
from nasjax.printable import printable
from nasjax.space import (
  Architecture,
  Space,
  check_image_size,
  fix,
  resize,
)
from nasjax.supernet import Supernet

from .flags import cli, names

OPTIONS = {
  'network': (None, f'published network, {cli.one_of(names.NETWORKS)}'),
  'architecture': (None, 'architecture.json of the network to count'),
  'ops': (None, 'Python module with your ops, if --architecture uses them'),
  'width': (1.0, 'width multiplier of --network'),
  'image_size': (
    int,
    "edge of the images in pixels; not given: the network's own",
  ),
  'num_classes': (int, "number of classes; not given: the network's own"),
  'list': (False, 'print MACs and parameters of all published networks'),
  'table': (False, 'print one line per layer'),
  'json': (False, 'print one JSON object per network, on one line'),
}


def network(config: dict[str, Any]) -> Space:
  """What the flags name.

  Raises:
    InputError: they contradict each other, or the images are too small.
  """
  sizes = {name: config[name] for name in ('image_size', 'num_classes')}
  sizes = {name: n for name, n in sizes.items() if n is not None}
  checks.check_least(1, **sizes)
  names.check_network(config, OPTIONS)
  if config['network'] is not None:
    space = names.network(config['network'], config['width'])(**sizes)
  else:
    ops = names.ops_of(config['ops'])
    architecture = Architecture.load(config['architecture'], ops)
    space = fix(resize(architecture.space, **sizes), architecture)
  check_image_size(space)
  return space


def layers(space: Space) -> count.Table:
  """The layers of a network, each with its MACs and parameters."""
  net = Supernet(space, Numerics(lowering='native'))
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


def run(config: dict[str, Any]) -> None:
  """Counts and prints; see the head of this module.

  Args:
    config: a value for every option of `OPTIONS`.
  """
  if config['list']:
    others = OPTIONS.keys() - {'list', 'json'}
    cli.refuse_ignored(config, OPTIONS, sorted(others), 'with --list')
    for make in names.NETWORKS.values():
      counted = totals(make())
      if config['json']:
        print(json.dumps(counted))
      else:
        print(
          '{network:24} {macs:>13,} MACs {params:>11,} params'.format(**counted)
        )
    return
  space = network(config)
  counted = totals(space)
  if config['table']:
    table = layers(space)
    counted['rows'] = [row._asdict() for row in table.rows]
  if config['json']:
    print(json.dumps(counted))
  elif config['table']:
    print(table.to_text())
  else:
    for name, value in counted.items():
      shown = f'{value:,}' if isinstance(value, int) else printable(value)
      print(f'{name:12}', shown)


def main() -> None:
  run(cli.values(OPTIONS))


def define() -> None:
  """Defines the flags of the script."""
  cli.define(OPTIONS)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main)


if __name__ == '__main__':
  start()

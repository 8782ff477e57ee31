"""Counts a network: multiply-accumulates and parameters.

python -m experiments.count --network=mobilenet_v2 --json
python -m experiments.count --architecture=runs/search/architecture.json
python -m experiments.count --network=resnet18 --image_size=64 --table
python -m experiments.count --nasbench201='|nor_conv_3x3~0|+|...|+|...|' --json
python -m experiments.count --list

With --json each of them prints one JSON object on one line for every network;
--table adds `rows`, one object for every layer.
"""

from .flags import early

if __name__ == '__main__':
  early.begin('count')  # Before imports that take seconds.

import dataclasses
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp

from nasjax import checks, cost, count, latency, options, spaces
from nasjax.ops import Numerics
from nasjax.options import check_types, documented, option
from nasjax.printable import printable
from nasjax.space import (
  Architecture,
  CellSpace,
  Space,
  check_image_size,
  fix,
  resize,
)

from .flags import cli, configs, names


@documented
@dataclasses.dataclass(frozen=True)
class Flags:
  """What is counted, and how it is printed.

  Raises:
    InputError: a size below 1, or a field without effect.
  """

  network: str | None = option(
    None, f'published network, {cli.one_of(names.NETWORKS)}'
  )
  architecture: str | None = option(
    None, 'architecture.json of the network to count'
  )
  nasbench201: str | None = option(
    None,
    'network of NAS-Bench-201, the op and the source of each edge, such as '
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|',
  )
  ops: str | None = option(
    None, 'Python module with your ops, if --architecture uses them'
  )
  width: float = option(1.0, 'width multiplier of --network')
  image_size: int | None = option(
    None, "edge of the images in pixels; not given: the network's own"
  )
  num_classes: int | None = option(
    None, "number of classes; not given: the network's own"
  )
  latency_table: str | None = option(
    None, 'file with the times of a device, to print the latency'
  )
  list: bool = option(
    False, 'print MACs and parameters of all published networks'
  )
  table: bool = option(False, 'print one line per layer')
  json: bool = option(False, 'print one JSON object per network, on one line')

  def __post_init__(self):
    check_types(self)
    if self.list:
      shown = {'list', 'json'}
      others = {field.name for field in dataclasses.fields(self)} - shown
      checks.refuse_ignored(self, sorted(others), 'with --list')
    checks.check_least(1, **self.sizes)

  @property
  def sizes(self) -> dict[str, int]:
    """The sizes that were given."""
    found = {'image_size': self.image_size, 'num_classes': self.num_classes}
    return {name: size for name, size in found.items() if size is not None}


OPTIONS = options.of(Flags)


def architecture(told: Flags) -> Architecture:
  """The network that the flags name, in its space.

  A published network is the only one of its space.

  Raises:
    InputError: they contradict each other, or the images are too small.
  """
  if told.nasbench201 is not None:
    others = ['network', 'architecture', 'ops', 'width']
    checks.refuse_ignored(told, others, 'with --nasbench201')
    cells = spaces.nasbench201(**told.sizes)
    return spaces.nasbench201_architecture(cells, told.nasbench201)
  names.check_network(told)
  if told.network is not None:
    space = names.network(told.network, told.width)(**told.sizes)
    found = Architecture(space, ())
  else:
    found = Architecture.load(told.architecture, names.ops_of(told.ops))
    space = resize(found.space, **told.sizes)
    found = Architecture(space, found.choice)
  check_image_size(space)
  return found


def layers(space: Space | CellSpace) -> count.Table:
  """The layers of a network, each with its MACs and parameters."""
  net = space.network(Numerics(lowering='native'))
  side = space.image_size
  images = jax.ShapeDtypeStruct((1, side, side, space.channels), jnp.float32)
  variables = count.module_shapes(net, images, {}, train=False)
  return count.table(net, variables, images, {}, train=False)


def totals(space: Space | CellSpace) -> dict[str, Any]:
  """What is counted of a network, and at which size."""
  return {
    'network': space.name,
    'macs': cost.macs(space).constant,
    'params': cost.params(space).constant,
    'image_size': space.image_size,
    'num_classes': space.num_classes,
  }


def latency_of(found: Architecture, path: str) -> float:
  """Latency of a network by a table of its space, ms.

  Raises:
    InputError: the table cannot be read, is of something else or lacks keys.
  """
  table = latency.read(path, found.space)
  price = cost.latency(found.space, table)
  for line in latency.warnings(table):
    print(f'warning: {line}', file=sys.stderr)
  return price.exact(found)


def run(told: Flags) -> None:
  """Counts and prints; see the head of this module."""
  if told.list:
    for make in names.NETWORKS.values():
      counted = totals(make())
      if told.json:
        print(json.dumps(counted))
      else:
        print(
          '{network:24} {macs:>13,} MACs {params:>11,} params'.format(**counted)
        )
    return
  named = architecture(told)
  space = fix(named.space, named)
  counted = totals(space)
  if told.latency_table is not None:
    counted[cost.LATENCY] = latency_of(named, told.latency_table)
  if told.table:
    table = layers(space)
    counted['rows'] = [row._asdict() for row in table.rows]
  if told.json:
    print(json.dumps(counted))
  elif told.table:
    print(table.to_text())
  else:
    for name, value in counted.items():
      number = isinstance(value, int | float)
      shown = f'{value:,}' if number else printable(value)
      print(f'{name:12}', shown)


def main() -> None:
  run(configs.of(Flags, cli.values(OPTIONS)))


def define() -> None:
  """Defines the flags of the script."""
  cli.define(OPTIONS)


def start() -> None:
  """Runs the script."""
  define()
  cli.run(main)


if __name__ == '__main__':
  start()

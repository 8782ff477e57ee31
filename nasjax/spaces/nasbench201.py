"""The cells of NAS-Bench-201, of which every accuracy is known."""

import re
from collections.abc import Sequence

from nasjax.errors import InputError
from nasjax.ops import (
  AvgPool,
  Classifier,
  Conv,
  Norm,
  Preactivated,
  ReluConv,
  SkipConnect,
  Zero,
)
from nasjax.space import (
  Architecture,
  Cell,
  CellLayer,
  CellSpace,
  SearchSpace,
  Slot,
  complete,
)

_NAME = 'edges'  # Of the choice.
_NODES = 4
_STAGES = 3
_EXAMPLE = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|'
_PART = re.compile(r'([^|~+]+)~(\d+)')


def nasbench201(
  *,
  image_size: int = 32,
  channels: int = 3,
  num_classes: int = 10,
  width: int = 16,
  cells: int = 5,
  affine: bool = True,
) -> CellSpace:
  """The space of NAS-Bench-201: one cell of six edges, five ops each.

  Dong and Yang 2020 (NAS-Bench-201, section 2.1) trained all 15,625 networks.
  A cell has four nodes and an edge between every two of them. An edge is one of
  none, skip, ReLU-conv-BN 1x1 or 3x3, and average pooling. All cells of a
  network are equal. There are three stages; between them, a residual block
  halves the resolution and doubles the channels.

  The choice `edges` has the shape `(6,)`; the edges are 1<-0, 2<-0, 2<-1, 3<-0,
  3<-1, 3<-2, as in the names of the benchmark.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.
    width: channels of the first stage.
    cells: cells of each stage.
    affine: whether the batch norms of edges have a scale and a bias. A search
      network goes without, as in the paper, and may have fewer cells and
      channels, see `nasjax.space.Proxy`.

  Example:
    >>> from nasjax import cost, space
    >>> small = nasbench201(width=4, cells=1, affine=False)
    >>> proxy = space.Proxy(nasbench201(), small)
    >>> cost.macs(proxy).bounds()
    (7783040, 220119680)
  """
  ops = Zero(), SkipConnect(), ReluConv(1), ReluConv(3), AvgPool(3)
  layers: list[Slot | CellLayer] = [Slot('stem', (Conv(3, 'identity'),), width)]
  features = width
  for stage in range(1, _STAGES + 1):
    if stage > 1:
      features *= 2
      slot = Slot(f'reduce{stage - 1}', (Preactivated(),), features, 2)
      layers.append(slot)
    layers += [
      CellLayer(f'stage{stage}_{i}', _NAME, features)
      for i in range(1, cells + 1)
    ]
  layers.append(Slot('norm', (Norm(),), features))
  layers.append(Slot('classifier', (Classifier(),), num_classes))
  cell = Cell(_NAME, complete(ops, _NODES), affine)
  return CellSpace('nasbench201', image_size, channels, (cell,), tuple(layers))


def nasbench201_architecture(space: SearchSpace, text: str) -> Architecture:
  """The architecture that a string of NAS-Bench-201 names.

  Args:
    space: `nasbench201`, or another space with these choices.
    text: for every node after the first, the op and the source of each edge,
      such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|`.

  Raises:
    InputError: the text has another form, an op that does not exist, or sources
      out of order.

  Example:
    >>> space = nasbench201()
    >>> text = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|none~2|'
    >>> a = nasbench201_architecture(space, text)
    >>> a.choice[:3]
    ('nor_conv_3x3', 'none', 'skip_connect')
    >>> nasbench201_string(a) == text
    True
  """
  return Architecture(space, _ops(space.choices[_NAME].options, text))


def nasbench201_string(architecture: Architecture) -> str:
  """The string by which NAS-Bench-201 names an architecture.

  Args:
    architecture: of `nasbench201`, or of another space with these choices.
  """
  ops = iter(architecture.choice)
  parts = [
    ''.join(f'{next(ops)}~{source}|' for source in range(node))
    for node in range(1, _NODES)
  ]
  return '+'.join(f'|{part}' for part in parts)


def _ops(options: Sequence[str], text: str) -> tuple[str, ...]:
  """The ops of a string, in the order of the edges."""
  nodes = text.split('+')
  if len(nodes) != _NODES - 1:
    raise _bad(text, f'it has {len(nodes)} nodes, not {_NODES - 1}')
  ops = []
  for node, part in enumerate(nodes, 1):
    if len(part) < 2 or part[0] != '|' or part[-1] != '|':
      raise _bad(text, f'node {node}, {part!r}, is not between two |')
    edges = part[1:-1].split('|')
    if len(edges) != node:
      raise _bad(text, f'node {node} has {len(edges)} edges, not {node}')
    for source, edge in enumerate(edges):
      match = _PART.fullmatch(edge)
      if match is None:
        raise _bad(text, f'{edge!r} of node {node} is not op~source')
      op, found = match[1], match[2]
      if found != str(source):
        raise _bad(
          text,
          f'edge {source + 1} of node {node} is {edge!r}, not from {source}',
        )
      if op not in options:
        raise _bad(text, f'{op!r} is no op; choose from {", ".join(options)}')
      ops.append(op)
  return tuple(ops)


def _bad(text: str, why: str) -> InputError:
  return InputError(
    f'{text!r} names no network of NAS-Bench-201: {why}; a right one is '
    f'{_EXAMPLE}'
  )

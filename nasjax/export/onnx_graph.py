"""A graph of ONNX operators, and the order of the axes in it.

Arrays of four axes, `[N, H, W, C]` in JAX, are stored as ONNX wants them:
`[N, C, H, W]`. Arrays of other ranks keep their order.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

# Places of H, W and C differ: logical axis to stored axis, and back.
STORED, LOGICAL = (0, 2, 3, 1), (0, 3, 1, 2)


@dataclasses.dataclass(frozen=True)
class Node:
  """An operator with one output.

  Attributes:
    op: name of the ONNX operator.
    inputs: names of nodes, constants or the image.
    output: its name.
    attributes: of the operator.
  """

  op: str
  inputs: tuple[str, ...]
  output: str
  attributes: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Value:
  """A result that depends on the image.

  Attributes:
    name: of the node, or of the image.
    shape: in JAX.
    held: the same, with 1 where the node leaves an axis to be broadcast.
  """

  name: str
  shape: tuple[int, ...]
  held: tuple[int, ...]


@dataclasses.dataclass
class Graph:
  """What is written to a file.

  Attributes:
    nodes: in the order in which they run.
    constants: by name.
    sums: names of sums over all pixels, to what is summed and their number.
  """

  nodes: list[Node] = dataclasses.field(default_factory=list)
  constants: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
  sums: dict[str, tuple[str, int]] = dataclasses.field(default_factory=dict)

  def add(self, op: str, *inputs: str, **attributes: Any) -> str:
    """Appends a node; its name."""
    output = f'{op.lower()}_{len(self.nodes)}'
    self.nodes.append(Node(op, inputs, output, attributes))
    return output

  def constant(self, array: np.ndarray) -> str:
    """Keeps a constant; its name."""
    name = f'constant_{len(self.constants)}'
    self.constants[name] = np.ascontiguousarray(array)
    return name


def axis_of(rank: int, axis: int) -> int:
  return STORED[axis] if rank == 4 else axis


def stored(x: np.ndarray) -> np.ndarray:
  """A known array as it is stored, with 1 for axes that are broadcast."""
  x = unbroadcast(x)
  return x.transpose(LOGICAL) if x.ndim == 4 else x


def name_of(graph: Graph, x: Value | np.ndarray) -> str:
  """The name of an input of an operator that broadcasts."""
  if isinstance(x, Value):
    return x.name
  return graph.constant(stored(x))


def plain(graph: Graph, x: Value) -> str:
  """A value in the order of JAX, whole."""
  name = x.name
  if x.held != x.shape:
    shape = [x.shape[i] for i in LOGICAL] if len(x.shape) == 4 else x.shape
    whole = graph.constant(np.array(shape, np.int64))
    name = graph.add('Expand', name, whole)
  if len(x.shape) == 4:
    # (0, 2, 3, 1) takes it from [N, C, H, W] to [N, H, W, C].
    return graph.add('Transpose', name, perm=STORED)
  return name


def of_plain(graph: Graph, name: str, shape: Sequence[int]) -> Value:
  """The value of a node whose order is that of JAX."""
  if len(shape) == 4:
    name = graph.add('Transpose', name, perm=LOGICAL)
  return Value(name, tuple(shape), tuple(shape))


def unbroadcast(x: np.ndarray) -> np.ndarray:
  for axis, stride in enumerate(x.strides):
    if stride == 0 and x.shape[axis] > 1:
      x = x.take([0], axis)
  return x


def whole(graph: Graph, x: Value) -> str:
  """A value as it is stored, whole."""
  if x.held == x.shape:
    return x.name
  return of_plain(graph, plain(graph, x), x.shape).name

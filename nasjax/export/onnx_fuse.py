"""Fuses operators of an ONNX graph: the network stays the same.

Batch norm becomes part of the convolution before it, `min(max(x, 0), 6)` one
Clip, and the steps of hard-swish one operator.
"""

import collections
import dataclasses

import numpy as np

from nasjax.export.onnx_graph import Graph, Node


def fuse(graph: Graph, output: str) -> Graph:
  """The graph with fewer operators.

  Args:
    graph: as traced.
    output: name of its output, which keeps its name.
  """
  fused = Graph(list(graph.nodes), dict(graph.constants))
  changed = True
  while changed:
    changed = any([_pass(fused, output, rule) for rule in _RULES])
  return _without_unused(fused, output)


def _pass(graph: Graph, output: str, rule) -> bool:
  """Applies a rule to every node; whether it changed one."""
  makers = {node.output: i for i, node in enumerate(graph.nodes)}
  uses = collections.Counter(i for node in graph.nodes for i in node.inputs)
  uses[output] += 1
  found = _Found(graph, makers, uses)
  changed = False
  for place, node in enumerate(graph.nodes):
    new = rule(found, node)
    if new is not None:
      # A node reads only what stands before it, so one pass may chain.
      graph.nodes[place] = new
      changed = True
  if changed:
    graph.nodes[:] = _without_unused(graph, output).nodes
  return changed


@dataclasses.dataclass(frozen=True)
class _Found:
  """Where a rule looks things up."""

  graph: Graph
  makers: dict[str, int]
  uses: collections.Counter

  def maker(self, name: str, *ops: str) -> Node | None:
    """The node of a name, if it is one of some operators."""
    place = self.makers.get(name)
    node = None if place is None else self.graph.nodes[place]
    return node if node is not None and node.op in ops else None

  def alone(self, name: str, *ops: str) -> Node | None:
    """The same, if nothing else reads it."""
    return self.maker(name, *ops) if self.uses[name] == 1 else None

  def constant(self, name: str) -> np.ndarray | None:
    return self.graph.constants.get(name)

  def is_number(self, name: str, number: float) -> bool:
    array = self.constant(name)
    return array is not None and array.size == 1 and array == np.float32(number)

  def sides(self, node: Node) -> tuple[str, np.ndarray] | None:
    """A node's input and its constant, in whichever order."""
    for x, c in (node.inputs, node.inputs[::-1]):
      array = self.constant(c)
      if array is not None and self.constant(x) is None:
        return x, array
    return None


def _channels(array: np.ndarray) -> np.ndarray | None:
  """A constant as one number per channel; None where it is no such thing."""
  if array.size == 1:
    return array.reshape(1)
  right = array.ndim == 4 and array.size == array.shape[1]
  return array.ravel() if right else None


def _scaled_conv(found: _Found, node: Node) -> Node | None:
  """A product with a factor per channel, into the weights before it."""
  sides = found.sides(node) if node.op in ('Mul', 'Div') else None
  if sides is None or (node.op == 'Div' and node.inputs[0] != sides[0]):
    return None
  conv, factor = found.alone(sides[0], 'Conv'), _channels(sides[1])
  if conv is None or factor is None:
    return None
  factor = 1 / factor if node.op == 'Div' else factor
  x, kernel, *bias = conv.inputs
  weights = found.graph.constants[kernel] * factor.reshape(-1, 1, 1, 1)
  inputs = [x, found.graph.constant(weights.astype(np.float32))]
  if bias:
    shift = found.graph.constants[bias[0]] * factor
    inputs.append(found.graph.constant(shift.astype(np.float32)))
  return dataclasses.replace(conv, inputs=tuple(inputs), output=node.output)


def _shifted_conv(found: _Found, node: Node) -> Node | None:
  """A sum with a number per channel, into the bias before it."""
  sides = found.sides(node) if node.op == 'Add' else None
  if sides is None:
    return None
  conv, shift = found.alone(sides[0], 'Conv'), _channels(sides[1])
  if conv is None or shift is None:
    return None
  x, kernel, *bias = conv.inputs
  width = len(found.graph.constants[kernel])
  shift = np.broadcast_to(shift, (width,))
  if bias:
    shift = shift + found.graph.constants[bias[0]]
  name = found.graph.constant(shift.astype(np.float32))
  return dataclasses.replace(conv, inputs=(x, kernel, name), output=node.output)


def _linear(found: _Found, node: Node) -> Node | None:
  """A product of a matrix and a sum: Gemm."""
  sides = found.sides(node) if node.op == 'Add' else None
  product = found.alone(sides[0], 'MatMul') if sides else None
  if sides is None or product is None:
    return None
  bias = sides[1].ravel()
  width = found.graph.constants[product.inputs[1]].shape[-1]
  if len(bias) != width:
    return None
  inputs = *product.inputs, found.graph.constant(bias)
  return Node('Gemm', inputs, node.output)


def _relu(found: _Found, node: Node) -> Node | None:
  sides = found.sides(node) if node.op == 'Max' else None
  if sides is None or sides[1].size != 1 or sides[1] != 0:
    return None
  return Node('Relu', sides[:1], node.output)


def _clip(found: _Found, node: Node) -> Node | None:
  sides = found.sides(node) if node.op == 'Min' else None
  relu = found.alone(sides[0], 'Relu') if sides else None
  if sides is None or relu is None or sides[1].size != 1:
    return None
  ends = [np.float32(0), np.float32(sides[1].ravel()[0])]
  names = [found.graph.constant(np.array(end)) for end in ends]
  return Node('Clip', (relu.inputs[0], *names), node.output)


def _hard_sigmoid(found: _Found, node: Node) -> Node | None:
  """`relu6(x + 3) / 6`, before its sum goes into a bias."""
  if node.op == 'Div' and found.is_number(node.inputs[1], 6):
    clip = found.alone(node.inputs[0], 'Clip')
  elif node.op == 'Mul' and found.is_number(node.inputs[1], 1 / 6):
    clip = found.alone(node.inputs[0], 'Clip')
  else:
    return None
  if clip is None or not found.is_number(clip.inputs[2], 6):
    return None
  total = found.alone(clip.inputs[0], 'Add')
  sides = found.sides(total) if total else None
  if sides is None or sides[1].size != 1 or sides[1] != 3:
    return None
  settings = {'alpha': 1 / 6, 'beta': 0.5}
  return Node('HardSigmoid', sides[:1], node.output, settings)


def _hard_swish(found: _Found, node: Node) -> Node | None:
  if node.op != 'Mul':
    return None
  for x, gate in (node.inputs, node.inputs[::-1]):
    found_gate = found.alone(gate, 'HardSigmoid')
    if found_gate is not None and found_gate.inputs == (x,):
      return Node('HardSwish', (x,), node.output)
  return None


def _transposes(found: _Found, node: Node) -> Node | None:
  """Two changes of the order of axes are one, or none."""
  if node.op != 'Transpose':
    return None
  before = found.maker(node.inputs[0], 'Transpose')
  if before is None:
    return None
  perm = [before.attributes['perm'][i] for i in node.attributes['perm']]
  if perm == sorted(perm):
    return Node('Identity', before.inputs, node.output)
  return Node('Transpose', before.inputs, node.output, {'perm': perm})


# Hard-swish first: its sum must not go into a bias. Then what adds to one.
_RULES = (
  _relu,
  _clip,
  _hard_sigmoid,
  _hard_swish,
  _scaled_conv,
  _shifted_conv,
  _linear,
  _transposes,
)


def _without_unused(graph: Graph, output: str) -> Graph:
  """The graph without identities, and without what nothing reads."""
  same = {n.output: n.inputs[0] for n in graph.nodes if n.op == 'Identity'}

  def root(name):
    while name in same and name != output:
      name = same[name]
    return name

  nodes, needed = [], {output}
  for node in reversed(graph.nodes):
    if node.output not in needed or root(node.output) != node.output:
      continue
    inputs = tuple(map(root, node.inputs))
    needed |= set(inputs)
    nodes.append(dataclasses.replace(node, inputs=inputs))
  constants = {k: v for k, v in graph.constants.items() if k in needed}
  return Graph(nodes[::-1], constants)

"""A traced network as a graph of ONNX operators.

The trace is walked once. Operations on known arrays, such as those that turn
the statistics of batch norm into factors, are computed; all others become nodes
(`nasjax.export.onnx_nodes`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core as jax_core

from nasjax.errors import InputError
from nasjax.export import onnx_graph as layout
from nasjax.export import onnx_nodes


def trace(
  run: Callable[[jax.Array], jax.Array], shape: tuple[int, ...], image: str
) -> tuple[layout.Graph, str]:
  """The graph of a function of one image.

  Args:
    run: `f32[1, H, W, C] -> f32[1, classes]`, as `Model.graph`.
    shape: `(1, H, W, C)`.
    image: name of the input, which the graph takes as it is in JAX.

  Returns:
    The graph, and the name of its output.

  Raises:
    InputError: an operation has no ONNX form here.
  """
  closed = jax.make_jaxpr(run)(jax.ShapeDtypeStruct(shape, np.float32))
  graph = layout.Graph()
  given = graph.add('Transpose', image, perm=layout.LOGICAL)
  (found,) = _walk(
    graph, closed.jaxpr, closed.consts, [layout.Value(given, shape, shape)]
  )
  assert isinstance(found, layout.Value), (
    'the output does not depend on the image'
  )
  return graph, layout.plain(graph, found)


def _walk(
  graph: layout.Graph, jaxpr: Any, consts: Sequence, given: Sequence
) -> list:
  """Results of a jaxpr: NumPy arrays where they are known, else Values."""
  known: dict[Any, Any] = {}

  def read(atom):
    if isinstance(atom, jax_core.Literal):
      return np.asarray(atom.val)
    return known[atom]

  known |= zip(jaxpr.constvars, map(np.asarray, consts), strict=True)
  known |= zip(jaxpr.invars, given, strict=True)
  for equation in jaxpr.eqns:
    inputs = [read(atom) for atom in equation.invars]
    known |= zip(
      equation.outvars, _equation(graph, equation, inputs), strict=True
    )
  return [read(atom) for atom in jaxpr.outvars]


def _equation(graph: layout.Graph, equation: Any, inputs: list) -> list:
  name, params = equation.primitive.name, equation.params
  inner = params.get('call_jaxpr', params.get('jaxpr'))
  if inner is not None and name != 'scan' and 'cond_jaxpr' not in params:
    jaxpr = getattr(inner, 'jaxpr', inner)
    return _walk(graph, jaxpr, getattr(inner, 'consts', ()), inputs)
  if not any(isinstance(x, layout.Value) for x in inputs):
    return _computed(equation, inputs)
  write = onnx_nodes.WRITERS.get(name)
  if write is None:
    raise InputError(
      f'the operation {name!r} has no ONNX form here; export LiteRT or '
      'StableHLO'
    )
  found = write(graph, equation, *inputs)
  return found if isinstance(found, list) else [found]


def _computed(equation: Any, inputs: list[np.ndarray]) -> list:
  """Outputs of an operation on known arrays."""
  name, params = equation.primitive.name, equation.params
  if name == 'broadcast_in_dim':
    # A view, so that the graph may hold the small array.
    (x, *_), places = inputs, params['broadcast_dimensions']
    shape = [1] * len(params['shape'])
    for axis, size in zip(places, x.shape, strict=True):
      shape[axis] = size
    return [np.broadcast_to(x.reshape(shape), params['shape'])]
  if name in _NUMPY:
    kept = {x.dtype for x in inputs}
    return [_NUMPY[name](*inputs).astype(kept.pop())]
  found = equation.primitive.bind(*inputs, **params)
  several = equation.primitive.multiple_results
  return list(map(np.asarray, found if several else [found]))


# Those of batch norm: NumPy does not compile each of them for each shape.
_NUMPY = {
  'add': np.add,
  'div': np.divide,
  'mul': np.multiply,
  'rsqrt': lambda x: 1 / np.sqrt(x),
  'sub': np.subtract,
}

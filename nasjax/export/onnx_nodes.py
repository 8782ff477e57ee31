"""JAX operations on values that depend on the image, as ONNX operators.

Each function takes the graph, the equation of the trace and its inputs: Values,
or NumPy arrays where they are known. It appends nodes and returns Values.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from nasjax.errors import InputError
from nasjax.export import onnx_graph as layout


def _shape_of(equation: Any) -> tuple[int, ...]:
  return tuple(equation.outvars[0].aval.shape)


def _unary(op: str) -> Callable:
  def write(graph, equation, x):
    return dataclasses.replace(x, name=graph.add(op, x.name))

  return write


def _binary(op: str) -> Callable:
  def write(graph, equation, x, y):
    helds = [
      z.held if isinstance(z, layout.Value) else layout.unbroadcast(z).shape
      for z in (x, y)
    ]
    name = graph.add(op, layout.name_of(graph, x), layout.name_of(graph, y))
    shape = _shape_of(equation)
    return layout.Value(name, shape, tuple(np.broadcast_shapes(*helds)))

  return write


def _divided(graph, equation, x, y):
  source, pixels = graph.sums.get(getattr(x, 'name', ''), ('', 0))
  if source and isinstance(y, np.ndarray) and np.all(y == pixels):
    kept = int(len(x.shape) == 4)
    name = graph.add('ReduceMean', source, axes=[2, 3], keepdims=kept)
    return dataclasses.replace(x, name=name)
  return _binary('Div')(graph, equation, x, y)


def _square(graph, equation, x):
  return dataclasses.replace(x, name=graph.add('Mul', x.name, x.name))


def _power(graph, equation, x):
  exponent = graph.constant(np.float32(equation.params['y']))
  return dataclasses.replace(x, name=graph.add('Pow', x.name, exponent))


def _rsqrt(graph, equation, x):
  name = graph.add('Reciprocal', graph.add('Sqrt', x.name))
  return dataclasses.replace(x, name=name)


def _clamp(graph, equation, low, x, high):
  ends = [graph.constant(np.float32(end)) for end in (low, high)]
  return dataclasses.replace(x, name=graph.add('Clip', x.name, *ends))


def _same(graph, equation, x):
  return x


def _converted(graph, equation, x):
  if equation.params['new_dtype'] != np.float32:
    raise InputError(
      f'the network computes in {equation.params["new_dtype"]}; export float32'
    )
  return x


def _convolution(graph, equation, x, kernel):
  params = equation.params
  numbers = params['dimension_numbers']
  if not isinstance(x, layout.Value) or isinstance(kernel, layout.Value):
    raise InputError('a kernel that depends on the image has no ONNX form here')
  # As JAX has it: places of batch, features and the axes of space.
  expected = (0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)
  if tuple(numbers) != expected or set(params['lhs_dilation']) != {1}:
    raise InputError('a convolution of another layout has no ONNX form here')
  low, high = zip(*params['padding'], strict=True)
  name = graph.add(
    'Conv',
    x.name,
    graph.constant(np.asarray(kernel).transpose(3, 2, 0, 1)),
    group=params['feature_group_count'],
    strides=list(params['window_strides']),
    dilations=list(params['rhs_dilation']),
    kernel_shape=list(kernel.shape[:2]),
    pads=[*low, *high],
  )
  return layout.Value(name, _shape_of(equation), _shape_of(equation))


def _max_pool(graph, equation, x):
  params = equation.params
  whole = params['window_dimensions'], params['window_strides']
  if any(sizes[0] != 1 or sizes[3] != 1 for sizes in whole):
    raise InputError('pooling over channels has no ONNX form here')
  low, high = zip(*params['padding'][1:3], strict=True)
  name = graph.add(
    'MaxPool',
    x.name,
    kernel_shape=list(whole[0][1:3]),
    strides=list(whole[1][1:3]),
    pads=[*low, *high],
  )
  return layout.Value(name, _shape_of(equation), _shape_of(equation))


def _reduced(op: str) -> Callable:
  def write(graph, equation, x):
    shape, axes = _shape_of(equation), list(equation.params['axes'])
    pooled = len(x.shape) == 4 and axes == [1, 2] and x.held == x.shape
    name = x.name if pooled else layout.plain(graph, x)
    stored = [2, 3] if pooled else axes
    if op == 'ReduceSum':  # Of this opset it alone takes them as an input.
      places = graph.constant(np.array(stored, np.int64))
      source, name = name, graph.add(op, name, places, keepdims=0)
      if pooled:
        graph.sums[name] = source, x.shape[1] * x.shape[2]
    else:
      name = graph.add(op, name, axes=stored, keepdims=0)
    return (
      layout.Value(name, shape, shape)
      if pooled
      else layout.of_plain(graph, name, shape)
    )

  return write


def _matmul(graph, equation, x, y):
  contracted, batched = equation.params['dimension_numbers']
  last = isinstance(x, layout.Value) and contracted == (
    (len(x.shape) - 1,),
    (0,),
  )
  if not last or any(batched) or isinstance(y, layout.Value) or y.ndim != 2:
    raise InputError('a matrix product of this form has no ONNX form here')
  name = graph.add('MatMul', layout.plain(graph, x), graph.constant(y))
  return layout.of_plain(graph, name, _shape_of(equation))


def _reshaped(graph, equation, x):
  return _reshape(graph, x, _shape_of(equation))


def _reshape(
  graph: layout.Graph, x: layout.Value, shape: tuple[int, ...]
) -> layout.Value:
  if x.name in graph.sums and shape == (x.shape[0], 1, 1, x.shape[-1]):
    # As squeeze-excite has it: the sum keeps its axes.
    source, pixels = graph.sums[x.name]
    places = graph.constant(np.array([2, 3], np.int64))
    name = graph.add('ReduceSum', source, places, keepdims=1)
    graph.sums[name] = source, pixels
    return layout.Value(name, shape, shape)
  # Maps of one pixel have the same order in both layouts.
  small = len(x.shape) != 4 or x.held[1:3] == x.shape[1:3] == (1, 1)
  name = x.name if small and x.held == x.shape else layout.plain(graph, x)
  if len(shape) == 4 and shape[1:3] == (1, 1):
    stored = [shape[i] for i in layout.LOGICAL]
    where = graph.constant(np.array(stored, np.int64))
    return layout.Value(graph.add('Reshape', name, where), shape, shape)
  where = graph.constant(np.array(shape, np.int64))
  return layout.of_plain(graph, graph.add('Reshape', name, where), shape)


def _broadcast(graph, equation, x):
  shape = _shape_of(equation)
  held = [1] * len(shape)
  places = equation.params['broadcast_dimensions']
  for axis, size in zip(places, x.shape, strict=True):
    held[axis] = size
  if math.prod(x.held) != math.prod(x.shape) or list(x.shape) != held:
    x = _reshape(graph, x, tuple(held))
  return layout.Value(x.name, shape, tuple(held))


def _transposed(graph, equation, x):
  perm = equation.params['permutation']
  name = graph.add('Transpose', layout.plain(graph, x), perm=tuple(perm))
  return layout.of_plain(graph, name, _shape_of(equation))


def _cut(
  graph: layout.Graph, x: layout.Value, starts, ends, steps
) -> layout.Value:
  rank = len(x.shape)
  axes = [layout.axis_of(rank, axis) for axis in range(rank)]
  texts = [
    graph.constant(np.array(numbers, np.int64))
    for numbers in (starts, ends, axes, steps)
  ]
  sizes = zip(starts, ends, steps, strict=True)
  shape = tuple(-(-(end - start) // step) for start, end, step in sizes)
  return layout.Value(
    graph.add('Slice', layout.whole(graph, x), *texts), shape, shape
  )


def _sliced(graph, equation, x):
  params = equation.params
  steps = params['strides'] or (1,) * len(x.shape)
  return _cut(graph, x, params['start_indices'], params['limit_indices'], steps)


def _split(graph, equation, x):
  axis, start, found = equation.params['axis'], 0, []
  for size in equation.params['sizes']:
    starts, ends = [0] * len(x.shape), list(x.shape)
    starts[axis], ends[axis] = start, start + size
    found.append(_cut(graph, x, starts, ends, [1] * len(x.shape)))
    start += size
  return found


def _concatenated(graph, equation, *parts):
  shape = _shape_of(equation)
  names = [
    layout.whole(graph, x)
    if isinstance(x, layout.Value)
    else graph.constant(layout.stored(x))
    for x in parts
  ]
  axis = layout.axis_of(len(shape), equation.params['dimension'])
  return layout.Value(graph.add('Concat', *names, axis=axis), shape, shape)


def _padded(graph, equation, x, value):
  rank, config = len(x.shape), equation.params['padding_config']
  if any(min(low, high) < 0 or inner for low, high, inner in config):
    raise InputError('padding that crops or dilates has no ONNX form here')
  stored = [config[i] for i in layout.LOGICAL] if rank == 4 else config
  pads = [low for low, _, _ in stored] + [high for _, high, _ in stored]
  shape = _shape_of(equation)
  ends = graph.constant(np.array(pads, np.int64)), graph.constant(value)
  return layout.Value(
    graph.add('Pad', layout.whole(graph, x), *ends), shape, shape
  )


WRITERS: dict[str, Callable] = {
  'abs': _unary('Abs'),
  'add': _binary('Add'),
  'broadcast_in_dim': _broadcast,
  'clamp': _clamp,
  'concatenate': _concatenated,
  'conv_general_dilated': _convolution,
  'convert_element_type': _converted,
  'copy': _same,
  'copy_p': _same,
  'div': _divided,
  'dot_general': _matmul,
  'erf': _unary('Erf'),
  'exp': _unary('Exp'),
  'expand_dims': _reshaped,
  'integer_pow': _power,
  'log': _unary('Log'),
  'logistic': _unary('Sigmoid'),
  'max': _binary('Max'),
  'min': _binary('Min'),
  'mul': _binary('Mul'),
  'neg': _unary('Neg'),
  'pad': _padded,
  'reduce_max': _reduced('ReduceMax'),
  'reduce_sum': _reduced('ReduceSum'),
  'reduce_window_max': _max_pool,
  'reshape': _reshaped,
  'rsqrt': _rsqrt,
  'slice': _sliced,
  'split': _split,
  'sqrt': _unary('Sqrt'),
  'square': _square,
  'squeeze': _reshaped,
  'sub': _binary('Sub'),
  'tanh': _unary('Tanh'),
  'transpose': _transposed,
}

"""Operations become ONNX operators that compute the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nasjax.export import (
  onnx_fuse,
  onnx_graph,
  onnx_nodes,
  onnx_trace,
)
from tests.conftest import refused
from tests.export.export_cases import needs_onnx

SHAPE = 1, 5, 7, 6
RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(3, 3, 6, 4)).astype(np.float32)
COLUMNS = RNG.normal(size=(6, 3)).astype(np.float32)
FACTORS = RNG.normal(size=(1, 1, 1, 6)).astype(np.float32)


def _conv(x, kernel=KERNEL, **options):
  numbers = ('NHWC', 'HWIO', 'NHWC')
  options = {'window_strides': (1, 1), 'padding': 'SAME'} | options
  return jax.lax.conv_general_dilated(
    x, kernel, dimension_numbers=numbers, **options
  )


# Each ends in two axes, as a network does.
CASES = {
  'strided': lambda x: _conv(x, window_strides=(2, 2)).sum((1, 2)),
  'dilated': lambda x: _conv(x, rhs_dilation=(2, 2)).mean((1, 2)),
  'padded': lambda x: _conv(x, padding=[(0, 1), (2, 0)]).max((1, 2)),
  'dense': lambda x: x.mean((1, 2)) @ COLUMNS + COLUMNS[:1],
  'channels': lambda x: x.sum(3).max((1,)),
  'rows': lambda x: x.sum((1,)).sum((1,)),
  'broadcast': lambda x: (x - x.mean((1, 2), keepdims=True)).max((1, 2)),
  'gate': lambda x: (x * jax.nn.sigmoid(x.mean((1, 2), keepdims=True))).sum(
    (1, 2)
  ),
  'swish': lambda x: jax.nn.swish(_conv(x)).mean((1, 2)),
  'hard': lambda x: jax.nn.hard_swish(_conv(x)).mean((1, 2)),
  'shared': lambda x: (lambda y: (y * FACTORS[..., :4] + y).sum((1, 2)))(
    _conv(x)
  ),
  'shuffle': lambda x: (
    x.reshape(1, 5, 7, 2, 3).swapaxes(3, 4).reshape(SHAPE) * FACTORS
  ).sum((1, 2)),
  'halves': lambda x: jnp.concatenate(
    [half for half in jnp.split(x, 2, axis=-1)][::-1], -1
  ).max((1, 2)),
  'slice': lambda x: x[:, 1:5:2, ::3, 2:].sum((1, 2)),
  'pad': lambda x: jnp.pad(x, ((0, 0), (1, 0), (0, 2), (3, 0))).max((1, 2)),
  'flat': lambda x: x.reshape(1, -1),
  'turned': lambda x: x.transpose(0, 3, 2, 1).reshape(1, -1),
  'column': lambda x: x[:, :, :1].reshape(1, -1),
  'clip': lambda x: jnp.clip(x, -0.5, 0.7).sum((1, 2)),
  'unary': lambda x: (
    jnp.exp(x) + jnp.tanh(x) - jnp.abs(x) + jnp.log(jnp.square(x) + 1)
  ).sum((1, 2)),
  'roots': lambda x: (
    jax.lax.rsqrt(x**2 + 1) / jnp.sqrt(x**4 + 2) + jax.lax.erf(x)
  ).sum((1, 2)),
  'pool': lambda x: jax.lax.reduce_window(
    x, -np.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), 'SAME'
  ).sum((1, 2)),
  'affine': lambda x: (_conv(x * 2 + 1) / FACTORS[..., :4] + 3 - 1).sum((1, 2)),
}


def _ops(name):
  graph, output = onnx_trace.trace(CASES[name], SHAPE, 'image')
  return [node.op for node in onnx_fuse.fuse(graph, output).nodes]


@needs_onnx
@pytest.mark.parametrize('name', CASES)
def test_an_operation_computes_the_same(name):
  import onnxruntime
  from onnx import helper, numpy_helper

  run = CASES[name]
  graph, output = onnx_trace.trace(run, SHAPE, 'image')
  x = RNG.normal(size=SHAPE).astype(np.float32)
  expected = np.asarray(run(jnp.asarray(x)))
  for found in (graph, onnx_fuse.fuse(graph, output)):
    nodes = [
      helper.make_node(n.op, n.inputs, [n.output], **n.attributes)
      for n in found.nodes
    ]
    ends = [('image', SHAPE)], [(output, expected.shape)]
    values = [
      [helper.make_tensor_value_info(n, 1, shape) for n, shape in end]
      for end in ends
    ]
    constants = [
      numpy_helper.from_array(c, n) for n, c in found.constants.items()
    ]
    made = helper.make_model(
      helper.make_graph(nodes, name, *values, constants),
      opset_imports=[helper.make_opsetid('', 17)],
      ir_version=8,
    )
    session = onnxruntime.InferenceSession(made.SerializeToString())
    (y,) = session.run(None, {'image': x})
    np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


def test_steps_are_fused_where_nothing_else_reads_them():
  first = ['Transpose']
  assert _ops('hard') == [*first, 'Conv', 'HardSwish', 'ReduceMean']
  assert _ops('swish') == [*first, 'Conv', 'Sigmoid', 'Mul', 'ReduceMean']
  assert _ops('dense') == [*first, 'ReduceMean', 'Gemm']
  # The sum before the convolution stays: padding is 0 after it.
  affine = [*first, 'Mul', 'Add', 'Conv', 'Sub', 'ReduceSum']
  assert _ops('affine') == affine
  assert _ops('shared') == [*first, 'Conv', 'Mul', 'Add', 'ReduceSum']
  assert 'Mul' not in onnx_nodes.WRITERS
  assert onnx_graph.STORED != onnx_graph.LOGICAL


@pytest.mark.parametrize(
  ('run', 'message'),
  [
    (lambda x: jnp.sort(x, 1).sum((1, 2)), "operation 'sort' has no ONNX"),
    (lambda x: x.astype(jnp.bfloat16).sum((1, 2)), 'computes in bfloat16'),
    (
      lambda x: _conv(x, x[0, :3, :3, :, None] * KERNEL[:, :, :1, :1]),
      'kernel',
    ),
  ],
)
def test_an_operation_without_a_form_is_one_line(run, message):
  refused(message, onnx_trace.trace, run, SHAPE, 'image')

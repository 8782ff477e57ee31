"""What one equation counts, by the convention of `nasjax.count`.

A primitive is a layer, which has a rule here; or its work cannot be seen or has
no convention; or it is free. What is none of these is no primitive of JAX's own
and may multiply.
"""

import collections
from collections.abc import Collection

from jax.extend import core
from jax.extend.core import primitives

from nasjax.count.jaxpr import array, size


def layer_macs(
  eqn: core.JaxprEqn, gradients: Collection[core.JaxprEqn] = ()
) -> int:
  """MACs of an equation whose primitive is one of `LAYERS`.

  Args:
    eqn: the equation.
    gradients: the convolutions of its program that are gradients to a kernel,
      as `nasjax.count.kernel_gradient` finds them.
  """
  if eqn in gradients:
    return conv_macs(eqn, to_kernel=True)
  return LAYERS[eqn.primitive.name](eqn)


def conv_macs(eqn: core.JaxprEqn, to_kernel: bool = False) -> int:
  """MACs of an equation of the primitive `conv_general_dilated`.

  Args:
    eqn: the equation.
    to_kernel: whether its result is the gradient to a kernel. Only where its
      input is dilated does that make a difference.

  Example:
    >>> import jax
    >>> from nasjax.count.jaxpr import trace
    >>> x = jax.numpy.zeros((1, 3, 8, 8))
    >>> kernel = jax.numpy.zeros((16, 3, 3, 3))
    >>> conv = lambda x, kernel: jax.lax.conv(x, kernel, (2, 2), 'SAME')
    >>> conv_macs(trace(conv, x, kernel).eqns[0])  # 4*4*16 * 3*3*3
    6912
  """
  lhs, rhs = (array(atom).shape for atom in eqn.invars)
  out = array(eqn.outvars[0]).shape
  numbers = eqn.params['dimension_numbers']
  batch, features, *outputs = (out[axis] for axis in numbers.out_spec)
  _, group_inputs, *taps = (rhs[axis] for axis in numbers.rhs_spec)
  axes = zip(
    (lhs[axis] for axis in numbers.lhs_spec[2:]),
    taps,
    outputs,
    eqn.params['window_strides'],
    (low for low, _ in eqn.params['padding']),
    eqn.params['lhs_dilation'],
    eqn.params['rhs_dilation'],
    strict=True,
  )
  each = size(_axis(*axis, to_kernel=to_kernel) for axis in axes)
  return size((batch, features, group_inputs)) * each


def _axis(
  inputs, taps, outputs, stride, low, lhs_dilation, rhs_dilation, to_kernel
):
  """How often an input meets a tap along one axis of a convolution."""
  if lhs_dilation == 1:
    return outputs * taps
  # Input i and tap t meet in output o where
  # i * lhs_dilation + low == o * stride + t * rhs_dilation.
  if to_kernel:
    # The cotangent stands where the taps were, and the taps come out.
    taps, outputs = outputs, taps
    stride, rhs_dilation = rhs_dilation, stride
  pairs = _pairs(inputs, lhs_dilation, low, taps, rhs_dilation, stride)
  return min(outputs * taps, pairs)


def _pairs(n, n_step, start, m, m_step, modulus):
  """Number of (i, j) whose positions differ by a multiple of `modulus`."""
  # Positions repeat, so that a period of each is enough.
  residues = collections.Counter()
  for i in range(min(n, modulus)):
    residues[(i * n_step + start) % modulus] += len(range(i, n, modulus))
  return sum(
    residues[j * m_step % modulus] * len(range(j, m, modulus))
    for j in range(min(m, modulus))
  )


def dot_macs(eqn: core.JaxprEqn) -> int:
  """MACs of an equation of the primitive `dot_general`.

  Example:
    >>> import jax
    >>> from nasjax.count.jaxpr import trace
    >>> a, b = jax.numpy.zeros((2, 3)), jax.numpy.zeros((3, 5))
    >>> dot_macs(trace(jax.lax.dot, a, b).eqns[0])  # 2*5 * 3
    30
  """
  (contract, _), _ = eqn.params['dimension_numbers']
  lhs, out = array(eqn.invars[0]).shape, array(eqn.outvars[0]).shape
  return size(out) * size(lhs[axis] for axis in contract)


def ragged_dot_macs(eqn: core.JaxprEqn) -> int:
  """MACs of a `ragged_dot_general`: every row meets one group.

  Example:
    >>> import jax
    >>> from nasjax.count.jaxpr import trace
    >>> rows, groups = jax.numpy.zeros((4, 3)), jax.numpy.zeros((2, 3, 5))
    >>> sizes = jax.numpy.array([1, 3])
    >>> eqn = trace(jax.lax.ragged_dot, rows, groups, sizes).eqns[-1]
    >>> ragged_dot_macs(eqn)  # 4*5 * 3
    60
  """
  ragged = eqn.params['ragged_dot_dimension_numbers']
  (contract, _), _ = ragged.dot_dimension_numbers
  lhs, _, group_sizes = (array(atom).shape for atom in eqn.invars[:3])
  total = size(array(eqn.outvars[0]).shape) * size(lhs[i] for i in contract)
  if ragged.lhs_ragged_dimensions[0] in contract:
    # Groups part the contracted axis; each has an output of its own.
    return total // int(group_sizes[-1])
  return total


# The MACs of an equation, by the name of its primitive.
LAYERS = {
  primitives.conv_general_dilated_p.name: conv_macs,
  primitives.dot_general_p.name: dot_macs,
  'ragged_dot_general': ragged_dot_macs,
}

_HIDDEN = 'its work is not visible to JAX; count the native form instead'
_NO_CONVENTION = 'it is neither a convolution nor a linear layer'

# Why a primitive cannot be counted.
OPAQUE = {
  name: reason
  for reason, names in {
    _HIDDEN: 'pallas_call core_map mpmd_map ffi_call pure_callback '
    'io_callback buffer_callback call_exported custom_partitioning '
    'scaled_matmul_wrapper',
    _NO_CONVENTION: 'fft cholesky cholesky_update eig eigh hessenberg lu '
    'householder_product ormqr geqrf qr schur svd symmetric_product '
    'triangular_solve tridiagonal tridiagonal_solve',
  }.items()
  for name in names.split()
}

# JAX's own primitives that do no work of a layer: the public ones, and those
# that have no public name.
FREE = frozenset(
  value.name
  for value in vars(primitives).values()
  if isinstance(value, core.Primitive)
) | frozenset(
  'accum_grad_in_ref addupdate all_gather_invariant all_gather_reduced '
  'broadcast_to check copy debug_callback debug_print dim_as_value '
  'dimension_size empty empty_ref free_ref freeze from_edtype inspect_sharding '
  'iota_2x32_shape layout_constraint lu_pivots_to_permutation mulhi name '
  'new_ref optimization_barrier pbroadcast philox2x32 philox4x32 pin '
  'platform_index preduced psum_invariant pvary random_clone random_unwrap '
  'random_wrap reduce_scatter reduced_vary_cast_p reshard scatter-sub '
  'shape_assertion split square stack threefry4x32 tie tile to_edtype unpin '
  'unreduced_psum unreduced_reduce_scatter unstack vary_unreduced_cast_p '
  'with_memory_space_constraint zeros_like'.split()
)

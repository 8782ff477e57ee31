"""What one equation counts, by the convention of `nasjax.count`.

A primitive is a layer, which has a rule here; or its work cannot be seen or has
no convention; or it is free. What is none of these is no primitive of JAX's own
and may multiply.
"""

from jax.extend import core
from jax.extend.core import primitives

from nasjax.program import size


def conv_macs(eqn: core.JaxprEqn) -> int:
  """MACs of an equation of the primitive `conv_general_dilated`."""
  lhs, rhs = (var.aval.shape for var in eqn.invars)
  out = eqn.outvars[0].aval.shape
  numbers = eqn.params['dimension_numbers']
  lhs_spec, rhs_spec = numbers.lhs_spec, numbers.rhs_spec
  taps = [rhs[axis] for axis in rhs_spec[2:]]
  if all(dilation == 1 for dilation in eqn.params['lhs_dilation']):
    return size(out) * size(taps) * int(rhs[rhs_spec[1]])
  if lhs_spec[0] > lhs_spec[1]:
    # Batch and channels are swapped: the gradient of a transposed convolution
    # to its kernel, with the cotangent as 'kernel'. An input meets a tap only
    # where an output is, and here the outputs are the fewer.
    spatial = [out[axis] for axis in numbers.out_spec[2:]]
    taps = [min(pair) for pair in zip(taps, spatial, strict=True)]
  groups = eqn.params['feature_group_count'] * eqn.params['batch_group_count']
  return size(lhs) * size(taps) * (int(rhs[rhs_spec[0]]) // groups)


def dot_macs(eqn: core.JaxprEqn) -> int:
  """MACs of an equation of the primitive `dot_general`."""
  (contract, _), _ = eqn.params['dimension_numbers']
  lhs = eqn.invars[0].aval.shape
  out = eqn.outvars[0].aval.shape
  return size(out) * size(lhs[axis] for axis in contract)


def ragged_dot_macs(eqn: core.JaxprEqn) -> int:
  """MACs of a `ragged_dot_general`: every row meets one group."""
  ragged = eqn.params['ragged_dot_dimension_numbers']
  (contract, _), _ = ragged.dot_dimension_numbers
  lhs, _, group_sizes = (var.aval.shape for var in eqn.invars[:3])
  total = size(eqn.outvars[0].aval.shape) * size(lhs[i] for i in contract)
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

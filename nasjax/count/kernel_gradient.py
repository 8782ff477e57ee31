"""Which convolutions of a program are gradients to a kernel.

Along an axis, an input `i`, a tap `t` and an output `o` of a convolution meet
where `i * lhs_dilation + low == o * stride + t * rhs_dilation`. JAX writes the
gradients of a convolution as convolutions, too, in which these three change
places: in the gradient to the kernel the taps come out, and the outputs stand
where the taps were. Neither shapes nor layouts tell the two apart. Two facts
do, and both are in the program:

* JAX marks what it transposed in the name stack (`transpose(jvp())`). Without
  that mark, a convolution is a layer, and its right operand is the kernel.
* A gradient has the three extents of its layer, in another order. The layer
  runs first, so it says which of the three is the kernel.

A pullback that is counted alone has no layer before it. There, the gradient to
the images is the one whose kernel JAX has flipped, and any other is a gradient
to a kernel.
"""

from collections.abc import Mapping

from jax.extend import core
from jax.extend.core import primitives

from nasjax.count.jaxpr import array, nested

# Size and step along every spatial axis: of images, kernel or outputs.
_Extents = tuple[tuple[int, int], ...]
_CONV = primitives.conv_general_dilated_p.name
# What may stand between a flip and the convolution that takes it.
_REARRANGED = frozenset(
  'reshape transpose squeeze broadcast_in_dim convert_element_type copy'.split()
)


def kernel_gradients(jaxpr: core.Jaxpr) -> frozenset[core.JaxprEqn]:
  """The convolutions whose results are gradients to kernels.

  Args:
    jaxpr: the whole program; nested programs are searched as well.

  Returns:
    The equations, compared by identity.

  Example:
    >>> import jax
    >>> from nasjax.count.jaxpr import trace
    >>> x, w = jax.numpy.ones((1, 1, 8)), jax.numpy.ones((1, 1, 3))
    >>> def loss(w): return jax.lax.conv(x, w, (1,), 'SAME').sum()
    >>> len(kernel_gradients(trace(loss, w)))
    0
    >>> len(kernel_gradients(trace(jax.grad(loss), w)))
    1
  """
  found, kernels = set(), {}
  _search(jaxpr, False, kernels, found)
  return frozenset(found)


def _search(
  jaxpr: core.Jaxpr,
  transposed: bool,
  kernels: dict[tuple[_Extents, ...], _Extents],
  found: set[core.JaxprEqn],
) -> None:
  """Adds to the kernels of layers, and to the gradients that are found."""
  makers = {}
  for eqn in jaxpr.eqns:
    is_transposed = transposed or _is_marked(eqn)
    if is_transposed:
      makers.update(dict.fromkeys(eqn.outvars, eqn))
    if eqn.primitive.name == _CONV:
      images, taps, outputs = _extents(eqn)
      three = tuple(sorted((images, taps, outputs)))
      if three not in kernels:
        is_layer = not is_transposed or _is_flipped(eqn, makers)
        kernels[three] = taps if is_layer else outputs
      if is_transposed and kernels[three] == outputs != taps:
        found.add(eqn)
    for body in nested(eqn):
      _search(body, is_transposed, kernels, found)


def _is_marked(eqn: core.JaxprEqn) -> bool:
  # A scope that a user names 'transpose' is no Transform.
  return any(
    part.name == 'transpose' and type(part).__name__ == 'Transform'
    for part in eqn.source_info.name_stack.stack
  )


def _extents(eqn: core.JaxprEqn) -> tuple[_Extents, _Extents, _Extents]:
  """Of images, kernel and outputs."""
  steps = (eqn.params[f'{name}_dilation'] for name in ('lhs', 'rhs'))
  images, taps, outputs = (
    tuple(zip((shape[axis] for axis in spec[2:]), step, strict=True))
    for shape, spec, step in zip(
      (array(atom).shape for atom in (*eqn.invars, *eqn.outvars)),
      eqn.params['dimension_numbers'],
      (*steps, eqn.params['window_strides']),
      strict=True,
    )
  )
  return images, taps, outputs


def _is_flipped(
  eqn: core.JaxprEqn, makers: Mapping[core.Var, core.JaxprEqn]
) -> bool:
  """Whether the right operand is flipped along all of its spatial axes."""
  atom, maker = eqn.invars[1], None
  while isinstance(atom, core.Var) and atom in makers:
    maker = makers[atom]
    if maker.primitive.name not in _REARRANGED:
      break
    atom = maker.invars[0]
  axes = len(eqn.params['window_strides'])
  return (
    maker is not None
    and maker.primitive.name == 'rev'
    and len(maker.params['dimensions']) == axes
  )

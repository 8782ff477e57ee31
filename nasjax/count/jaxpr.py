"""Traced programs, and how they are walked.

A function becomes a jaxpr: a list of equations, each with a primitive, its
operands and its results (`trace`). Some equations hold programs of their own.
Whoever walks them asks what such an equation runs, and how often: a call runs
its body once, on its own operands (`called`); a scan and a `shard_map` run
theirs several times (`repeated`); of a `cond`, one branch runs (`branches`). A
`while` tells nobody how often; `nested` finds what is in it, or in anything.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsInt

import flax.linen as nn
import jax
from jax.extend import core
from jax.extend.core import primitives

# Calls run their body once, on their own operands: the parameter with the body.
_CALLS = {
  primitives.jit_p.name: 'jaxpr',
  primitives.remat_p.name: 'jaxpr',
  primitives.call_p.name: 'call_jaxpr',
  primitives.closed_call_p.name: 'call_jaxpr',
  primitives.custom_jvp_call_p.name: 'call_jaxpr',
  primitives.custom_vjp_call_p.name: 'call_jaxpr',
  'custom_vmap_call': 'call',
  'composite': 'jaxpr',
  'compute_on': 'jaxpr',
  'eval_jaxpr': 'jaxpr',
  'linear_call': 'callee',
}


def trace(fn: Callable | nn.Module, *args: Any, **kwargs: Any) -> core.Jaxpr:
  """The program of a function, traced on shapes: nothing is computed.

  Args:
    fn: a JAX function, or a Flax module, which stands for its `apply`.
    *args: pytrees of arrays or `jax.ShapeDtypeStruct`s, traced as by `jax.jit`.
    **kwargs: arrays in them are traced, all other leaves (`train=False`,
      `mutable=['batch_stats']`) are passed as they are.

  Returns:
    The jaxpr, on the flattened arrays.

  Raises:
    Exception: whatever `fn` itself raises under tracing.

  Example:
    >>> [eqn.primitive.name for eqn in trace(lambda x: x * 2, 1.0).eqns]
    ['mul']
  """
  function = fn.apply if isinstance(fn, nn.Module) else fn
  bound, arrays = bind(function, kwargs)
  return jax.make_jaxpr(bound)(*args, arrays=arrays).jaxpr


def bind(
  fn: Callable, kwargs: Mapping[str, Any]
) -> tuple[Callable, dict[str, list]]:
  """A function whose keyword arguments are arrays only.

  Args:
    fn: any function.
    kwargs: its keyword arguments: pytrees whose leaves may be arrays.

  Returns:
    A function that takes the positional arguments of `fn`, and `arrays`, and
    calls `fn` with all of them; and these arrays, by keyword.

  Example:
    >>> inputs = {'x': jax.ShapeDtypeStruct((), 'int8'), 'times': 3}
    >>> bound, arrays = bind(lambda n: n['x'] * n['times'], {'n': inputs})
    >>> arrays
    {'n': [ShapeDtypeStruct(shape=(), dtype=int8)]}
    >>> bound(arrays={'n': [2]})
    6
  """
  arrays, trees = {}, {}
  for name, value in kwargs.items():
    leaves, tree = jax.tree.flatten(value)
    if any(map(_is_array, leaves)):
      arrays[name] = list(filter(_is_array, leaves))
      trees[name] = leaves, tree
  # What has no arrays is not rebuilt, but passed as the object that it is.
  static = {name: x for name, x in kwargs.items() if name not in arrays}

  def bound(*args, arrays):
    rebuilt = {}
    for name, (leaves, tree) in trees.items():
      own = iter(arrays[name])
      filled = [next(own) if _is_array(leaf) else leaf for leaf in leaves]
      rebuilt[name] = tree.unflatten(filled)
    return fn(*args, **static, **rebuilt)

  return bound, arrays


def _is_array(leaf: Any) -> bool:
  return hasattr(leaf, 'shape') and hasattr(leaf, 'dtype')


def array(atom: core.Var | core.Literal) -> jax.core.ShapedArray:
  """The shape and dtype of an operand or a result that is an array.

  Raises:
    TypeError: it is a token, a reference or another value without them.

  Example:
    >>> eqn, = trace(lambda x: x * 2, jax.numpy.ones(3)).eqns
    >>> array(eqn.invars[0]).shape
    (3,)
  """
  if not isinstance(atom.aval, jax.core.ShapedArray):
    raise TypeError(f'{atom.aval} is no array')
  return atom.aval


def size(shape: Iterable[SupportsInt]) -> int:
  """The elements of a shape, exact.

  Example:
    >>> size((3, 3, 16))
    144
  """
  return math.prod(int(dim) for dim in shape)


def place(eqn: core.JaxprEqn, outer: str = '') -> str:
  """The named scopes an equation is in, such as 'ResNet/Block_0/Conv_0'.

  Args:
    eqn: the equation.
    outer: the place of the call whose body it is in.

  Returns:
    The path; '' if there is none.
  """
  inner = str(eqn.source_info.name_stack)
  return '/'.join(part for part in (outer, inner) if part)


def open_jaxpr(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> core.Jaxpr:
  """The jaxpr itself, whether its constants are bound to it or not."""
  return jaxpr.jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else jaxpr


def called(eqn: core.JaxprEqn) -> core.Jaxpr | None:
  """What a call (jit, custom_jvp, custom_vjp, remat, ...) runs once.

  Args:
    eqn: any equation.

  Returns:
    The body, whose operands and results are those of the equation, as if it
    were written in place; None if the equation is no call.

  Example:
    >>> eqn, = trace(jax.jit(lambda x: x * 2), 1.0).eqns
    >>> called(eqn).eqns[0].primitive.name
    'mul'
  """
  parameter = _CALLS.get(eqn.primitive.name)
  return None if parameter is None else open_jaxpr(eqn.params[parameter])


def repeated(eqn: core.JaxprEqn) -> tuple[core.Jaxpr, int] | None:
  """What runs a known number of times, and that number.

  A scan runs its body turn by turn, on the constants, the carry and a slice; a
  `shard_map` runs it on all devices side by side, each on its shard.

  Args:
    eqn: any equation.

  Returns:
    The body and how often it runs; None if the equation is none of both.

  Example:
    >>> eqn, = trace(lambda x: jax.lax.fori_loop(0, 3, jax.lax.mul, x), 1).eqns
    >>> repeated(eqn)[1]
    3
  """
  if eqn.primitive.name == primitives.scan_p.name:
    times = int(eqn.params['length'])
  elif eqn.primitive.name == 'shard_map':
    mesh, params = eqn.params['mesh'], eqn.params
    # JAX before 0.10.2 has `manual_axes`, with those of an outer `shard_map`.
    axes = params.get('newly_manual_axes', params.get('manual_axes'))
    times = size(mesh.shape[axis] for axis in set(axes) - set(mesh.manual_axes))
  else:
    return None
  return open_jaxpr(eqn.params['jaxpr']), times


def branches(eqn: core.JaxprEqn) -> tuple[core.Jaxpr, ...]:
  """The branches of a `cond` that may run; of a platform's choice, one.

  `lax.platform_dependent` has a default branch, or else all are returned.

  Args:
    eqn: an equation of the primitive `cond`; `eqn.invars[1:]` are the operands
      of every branch.

  Returns:
    The jaxprs of the branches, in the order of the index.
  """
  every = tuple(open_jaxpr(branch) for branch in eqn.params['branches'])
  platforms = eqn.params.get('branches_platforms') or ()
  if None in platforms:
    return (every[platforms.index(None)],)
  return every


def nested(eqn: core.JaxprEqn) -> list[core.Jaxpr]:
  """All jaxprs among the parameters of an equation."""
  found = []
  for value in eqn.params.values():
    for item in value if isinstance(value, tuple | list) else (value,):
      if isinstance(item, core.Jaxpr | core.ClosedJaxpr):
        found.append(open_jaxpr(item))
  return found

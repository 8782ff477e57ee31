"""Traced programs, and the memory that their activations need.

The peak memory of one inference decides whether a network fits a
microcontroller. It is read from the live ranges of the traced program, in the
order in which it is written, by this rule:

* At each equation, all tensors that are still needed, its operands and its
  results exist at the same time. The peak is the largest such sum of bytes.
* Weights are apart, and so is all that is computed from weights and constants
  alone (folded scales, zeros, `iota`): it is known before the inference.
* An input exists from the start to its last use, a result of the function from
  where it is made to the end, a result that nobody uses at its equation only.
* An element-wise operation writes into an operand that dies there, if shapes
  are equal and the result needs no more bytes. Nothing else works in place.
* A view costs nothing and keeps its operand: reshape, squeeze, broadcast and
  whatever does not change a value. All else is a fresh tensor as written:
  padding, slices, transposition, concatenation.
* Calls (jit, custom_jvp, custom_vjp, remat) are as if written in place. Of a
  `cond`, the branch with the highest peak counts, of a platform's choice the
  default. A loop has one turn's peak, next to what it reads, its carry and its
  stacked results; the carry takes over its initial value if that dies there.
  Under `shard_map` all devices together count.
* What a primitive needs inside of itself is not seen.

An inference is of batch 1 if the inputs have a batch of 1.
"""

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax.extend import core
from jax.extend.core import primitives

# Calls run their body once, on their own operands: the parameter with the body.
CALLS = {
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


def open_jaxpr(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> core.Jaxpr:
  """The jaxpr itself, whether its constants are bound to it or not."""
  return jaxpr.jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else jaxpr


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


def trace(
  fn: Callable | nn.Module, *args: Any, **kwargs: Any
) -> core.ClosedJaxpr:
  """The program of a function, traced on shapes: nothing is computed.

  Args:
    fn: a JAX function, or a Flax module, which stands for its `apply`.
    *args: pytrees of arrays or `jax.ShapeDtypeStruct`s, traced as by `jax.jit`.
    **kwargs: the ones that are pytrees of arrays are traced, all others
      (`train=False`, `mutable=['batch_stats']`) are passed as they are.

  Returns:
    The closed jaxpr, on the flattened arrays.
  """
  function = fn.apply if isinstance(fn, nn.Module) else fn
  traced, static = split_kwargs(kwargs)
  return jax.make_jaxpr(functools.partial(function, **static))(*args, **traced)


def split_kwargs(kwargs: dict[str, Any]) -> tuple[dict, dict]:
  """Keyword arguments that are pytrees of arrays, and all the others."""

  def has_arrays(value):
    leaves = jax.tree.leaves(value)
    return bool(leaves) and all(
      hasattr(leaf, 'shape') and hasattr(leaf, 'dtype') for leaf in leaves
    )

  traced = {name: x for name, x in kwargs.items() if has_arrays(x)}
  static = {name: x for name, x in kwargs.items() if name not in traced}
  return traced, static


def shards(eqn: core.JaxprEqn) -> int:
  """The devices that run the body of a `shard_map` side by side."""
  sizes = dict(eqn.params['mesh'].shape)
  axes = eqn.params['newly_manual_axes']
  return math.prod(int(sizes[axis]) for axis in axes)


class Tensor(NamedTuple):
  """A tensor that exists at the peak.

  Attributes:
    where: named scopes in which it is made, such as 'Net/Block_0/Conv_0'.
    op: the primitive that makes it, or 'input'.
    shape: its shape.
    dtype: name of its dtype.
    bytes: its size; the padding that an allocator may add is not in it.
  """

  where: str
  op: str
  shape: tuple[int, ...]
  dtype: str
  bytes: int


class Peak(NamedTuple):
  """The moment of an inference at which most bytes of activations exist.

  Attributes:
    bytes: their sum.
    where: named scopes of the equation at that moment.
    op: its primitive; 'input' if the inputs alone are the peak.
    tensors: all that exists then, oldest first. The result of an operation
      that works in place is not listed: its operand is.
  """

  bytes: int
  where: str
  op: str
  tensors: tuple[Tensor, ...]

  @property
  def bytes_per_dtype(self) -> dict[str, int]:
    """The bytes at the peak, for each dtype."""
    sums = collections.Counter()
    for tensor in self.tensors:
      sums[tensor.dtype] += tensor.bytes
    return dict(sums)


def peak_memory(
  fn: Callable | nn.Module, variables: Any, *inputs: Any, **kwargs: Any
) -> Peak:
  """Peak memory of the activations of one inference.

  The rule, which the docstring of `nasjax.memory` has in full: batch 1, the
  native form of each operation, weights apart (with all that is computed from
  them alone), operands and results of an equation next to all that is needed
  later, and an element-wise operation writes into an operand that dies there.

  Args:
    fn: a JAX function, or a Flax module, which stands for its `apply`.
    variables: its first argument, the weights: any pytree of arrays or
      `jax.ShapeDtypeStruct`s; `{}` if it has none. It is not in the peak.
    *inputs: its other arguments, with a batch of 1; they are in the peak.
    **kwargs: arrays are traced, as inputs; any other value is static.

  Returns:
    The peak, in bytes, and what it is made of.

  Raises:
    Exception: whatever `fn` itself raises under tracing.

  Example:
    >>> import jax.numpy as jnp
    >>> def fn(w, x):
    ...   return jax.nn.relu(x @ w) @ w.T
    >>> w, x = jnp.zeros((4, 16)), jnp.zeros((1, 4))
    >>> peak = peak_memory(fn, w, x)  # 4 and 16 floats at either product
    >>> peak.bytes, peak.op, peak.bytes_per_dtype
    (80, 'dot_general', {'float32': 80})
  """
  jaxpr = trace(fn, variables, *inputs, **kwargs).jaxpr
  weights = len(jax.tree.leaves(variables))
  values = [
    _tensor(var.aval, '', 'input', constant=i < weights)
    for i, var in enumerate(jaxpr.invars)
  ]
  ops, results = _flatten(jaxpr, values, '', 1)
  live = [value for value in values if not value.constant]
  return _simulate(ops, live, _roots(results))


@dataclasses.dataclass(eq=False, slots=True)
class _Value:
  """A tensor of the program; a view has the root of its operand."""

  tensor: Tensor
  constant: bool
  root: '_Value'


@dataclasses.dataclass(eq=False, slots=True)
class _Op:
  eqn: core.JaxprEqn
  ins: list[_Value]
  outs: list[_Value]
  where: str
  scale: int  # Devices that run it side by side.


def _tensor(aval, where, op, constant=False, root=None, scale=1) -> _Value:
  shape = tuple(int(dim) for dim in getattr(aval, 'shape', ()))
  dtype = getattr(aval, 'dtype', None)  # A token has none, and no bytes.
  size = math.prod(shape) * (0 if dtype is None else dtype.itemsize) * scale
  value = _Value(Tensor(where, op, shape, str(dtype), size), constant, root)
  value.root = value if root is None else root
  return value


def _roots(values: Iterable[_Value]) -> set[_Value]:
  return {value.root for value in values if not value.constant}


def _flatten(
  jaxpr: core.Jaxpr, values: Sequence[_Value], outer: str, scale: int
) -> tuple[list[_Op], list[_Value]]:
  """The operations on activations in order, calls inlined, and the results."""
  env = {
    var: _tensor(var.aval, outer, 'constant', constant=True)
    for var in jaxpr.constvars
  }
  env.update(zip(jaxpr.invars, values, strict=True))

  def read(atom):
    if isinstance(atom, core.Literal):
      return _tensor(atom.aval, outer, 'constant', constant=True)
    return env[atom]

  ops = []
  for eqn in jaxpr.eqns:
    name, where = eqn.primitive.name, place(eqn, outer)
    ins = [read(atom) for atom in eqn.invars]
    body = None
    if name in CALLS:
      body, operands = open_jaxpr(eqn.params[CALLS[name]]), ins
    elif name == 'cond' and len(branches(eqn)) == 1:
      body, operands = branches(eqn)[0], ins[1:]
    if body is not None:
      inner, outs = _flatten(body, operands, where, scale)
      ops.extend(inner)
    else:
      outs = _results(eqn, ins, where, scale)
      if not all(out.constant for out in outs) or not outs:
        ops.append(_Op(eqn, ins, outs, where, scale))
    env.update(zip(eqn.outvars, outs, strict=True))
  return ops, [read(atom) for atom in jaxpr.outvars]


def _results(eqn, ins, where, scale) -> list[_Value]:
  """New values for the results of an equation that is not a call."""
  name = eqn.primitive.name
  constant = [all(value.constant for value in ins)] * len(eqn.outvars)
  if name in _LOOPS and not all(constant):
    constant = _LOOPS[name](eqn, ins, where, scale)
  roots = [None] * len(eqn.outvars)
  if _is_view(eqn):
    # Views have as many results as operands, or (a broadcast) one operand.
    roots = [value.root for value in ins[: len(roots)]]
    constant = [value.constant for value in ins[: len(roots)]]
  return [
    _tensor(var.aval, where, name, is_constant, root, scale)
    for var, is_constant, root in zip(eqn.outvars, constant, roots, strict=True)
  ]


def _is_view(eqn: core.JaxprEqn) -> bool:
  name = eqn.primitive.name
  if name == 'reshape':
    return eqn.params['dimensions'] is None
  if name == 'convert_element_type':
    return eqn.invars[0].aval.dtype == eqn.outvars[0].aval.dtype
  return name in _VIEWS


_VIEWS = frozenset(
  'squeeze broadcast_in_dim stop_gradient optimization_barrier name '
  'sharding_constraint reshard pvary device_put bitcast_convert_type '
  'layout_constraint'.split()
)

_ELEMENTWISE = frozenset(
  'abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp '
  'clz conj convert_element_type copy copy_p cos cosh digamma div eq erf '
  'erf_inv erfc exp exp2 expm1 floor ge gt imag integer_pow is_finite le '
  'lgamma log log1p logistic lt max min mul ne neg nextafter not or '
  'population_count pow real reduce_precision rem round rsqrt select_n '
  'shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt '
  'square sub tan tanh xor'.split()
)


def _in_place(op: _Op, dying: set[_Value]) -> bool:
  """Whether the result of an operation may overwrite one of its operands."""
  if op.eqn.primitive.name not in _ELEMENTWISE:
    return False
  out = op.outs[0].tensor
  return any(
    value.root in dying
    and value.tensor.shape == out.shape
    # A broadcast view is larger than what is stored, a slice is smaller.
    and value.tensor.bytes == value.root.tensor.bytes >= out.bytes
    for value in op.ins
  )


def _snapshot(live: Iterable[_Value], where: str, op: str) -> Peak:
  tensors = tuple(value.tensor for value in live)
  return Peak(sum(tensor.bytes for tensor in tensors), where, op, tensors)


def _largest(*peaks: Peak) -> Peak:
  """The first of the highest peaks."""
  return max(peaks, key=lambda peak: peak.bytes)


def _simulate(
  ops: Sequence[_Op], live: Iterable[_Value], kept: set[_Value]
) -> Peak:
  """The peak of a sequence of operations.

  Args:
    ops: the operations, in order.
    live: roots that exist at the start.
    kept: roots that are needed after the end.

  Returns:
    The peak.
  """
  last = {}
  for i, op in enumerate(ops):
    last.update((root, i) for root in _roots(op.ins))
  last.update((root, len(ops)) for root in kept)
  peak = _snapshot(live, '', 'input')
  alive = [root for root in live if root in last]
  for i, op in enumerate(ops):
    dying = {root for root in _roots(op.ins) if last[root] == i}
    made = [out for out in op.outs if out.root is out and not out.constant]
    name = op.eqn.primitive.name
    if name in _PEAKS:
      now = _PEAKS[name](op, alive, dying)
    else:
      fresh = [] if _in_place(op, dying) else made
      now = _snapshot(alive + fresh, op.where, name)
    alive = [root for root in alive if root not in dying]
    if name in _PEAKS:
      # A branch may hand through an operand: then its result is a copy.
      now = _largest(now, _snapshot(alive + made, op.where, name))
    peak = _largest(peak, now)
    alive += [root for root in made if root in last]
  return peak


def _peak_cond(op: _Op, alive: list[_Value], dying: set[_Value]) -> Peak:
  peaks = []
  for branch in branches(op.eqn):
    ops, outs = _flatten(branch, op.ins[1:], op.where, op.scale)
    peaks.append(_simulate(ops, alive, (set(alive) - dying) | _roots(outs)))
  return _largest(*peaks)


def _peak_shard_map(op: _Op, alive: list[_Value], dying: set[_Value]) -> Peak:
  body = open_jaxpr(op.eqn.params['jaxpr'])
  scale = op.scale * shards(op.eqn)
  values = [
    _tensor(var.aval, op.where, 'shard', value.constant, value.root, scale)
    for var, value in zip(body.invars, op.ins, strict=True)
  ]
  ops, outs = _flatten(body, values, op.where, scale)
  return _simulate(ops, alive, (set(alive) - dying) | _roots(outs))


def _carry(body, consts, init, xs, where, scale):
  """One turn of a loop whose carry is constant only if it always is.

  Args:
    body: the jaxpr, of the constants, the carry and a slice of each of `xs`.
    consts: values that each turn reads.
    init: the initial carry.
    xs: values that are sliced along the first axis.
    where: named scopes of the loop.
    scale: devices that run it side by side.

  Returns:
    The carry, the operations of one turn, and its results.
  """
  constant = [value.constant for value in init]
  avals = [var.aval for var in body.invars]
  while True:
    carry = [
      _tensor(aval, where, 'carry', is_constant, None, scale)
      for aval, is_constant in zip(avals[len(consts) :], constant, strict=False)
    ]
    slices = [
      _tensor(aval, where, 'slice', value.constant, value.root, scale)
      for aval, value in zip(avals[len(consts) + len(init) :], xs, strict=True)
    ]
    ops, outs = _flatten(body, [*consts, *carry, *slices], where, scale)
    after = [
      before and out.constant
      for before, out in zip(constant, outs, strict=False)
    ]
    if after == constant:
      return carry, ops, outs
    constant = after


def _scan_turn(eqn, ins, where, scale):
  consts, carries = eqn.params['num_consts'], eqn.params['num_carry']
  parts = ins[:consts], ins[consts : consts + carries], ins[consts + carries :]
  body = open_jaxpr(eqn.params['jaxpr'])
  return parts, _carry(body, *parts, where, scale)


def _while_turn(eqn, ins, where, scale):
  skip, consts = eqn.params['cond_nconsts'], eqn.params['body_nconsts']
  parts = ins[skip : skip + consts], ins[skip + consts :], []
  body = open_jaxpr(eqn.params['body_jaxpr'])
  return parts, _carry(body, *parts, where, scale)


def _constant_scan(eqn, ins, where, scale) -> list[bool]:
  _, (carry, _, outs) = _scan_turn(eqn, ins, where, scale)
  return [value.constant for value in carry + outs[len(carry) :]]


def _constant_while(eqn, ins, where, scale) -> list[bool]:
  _, (carry, _, _) = _while_turn(eqn, ins, where, scale)
  return [value.constant for value in carry]


def _loop_start(parts, carry, alive, dying):
  """Roots that a loop holds throughout, and those that its carry replaces."""
  consts, init, xs = parts
  taken = (dying & _roots(init)) - _roots([*consts, *xs])
  held = [root for root in alive if root not in taken]
  return held, held + [value for value in carry if not value.constant]


def _peak_scan(op: _Op, alive: list[_Value], dying: set[_Value]) -> Peak:
  parts, (carry, ops, outs) = _scan_turn(op.eqn, op.ins, op.where, op.scale)
  stacked = [out for out in op.outs[len(carry) :] if not out.constant]
  held, start = _loop_start(parts, carry, alive + stacked, dying)
  return _simulate(ops, start, set(held) | _roots(outs))


def _peak_while(op: _Op, alive: list[_Value], dying: set[_Value]) -> Peak:
  parts, (carry, ops, outs) = _while_turn(op.eqn, op.ins, op.where, op.scale)
  held, start = _loop_start(parts, carry, alive, dying)
  body = _simulate(ops, start, set(held) | _roots(outs))
  consts = op.ins[: op.eqn.params['cond_nconsts']]
  condition = open_jaxpr(op.eqn.params['cond_jaxpr'])
  ops, outs = _flatten(condition, consts + carry, op.where, op.scale)
  return _largest(body, _simulate(ops, start, set(start) | _roots(outs)))


# For each loop, which of its results are computed from constants alone.
_LOOPS = {'scan': _constant_scan, 'while': _constant_while}

_PEAKS = {
  'cond': _peak_cond,
  'scan': _peak_scan,
  'while': _peak_while,
  'shard_map': _peak_shard_map,
}

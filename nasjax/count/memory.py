"""The memory that the activations of a traced program need.

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
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from nasjax.count.dataflow import (
  LOOPS,
  Operation,
  Tensor,
  Value,
  flatten,
  new_value,
  one_turn,
  roots,
)
from nasjax.count.jaxpr import branches, open_jaxpr, repeated, trace


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

  The rule, which the docstring of `nasjax.count.memory` has in full: batch 1,
  the native form of each operation, weights apart (with all that is computed
  from them alone), operands and results of an equation next to all that is
  needed later, and an element-wise operation writes into an operand that dies
  there.

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
  jaxpr = trace(fn, variables, *inputs, **kwargs)
  weights = len(jax.tree.leaves(variables))
  values = [
    new_value(var.aval, '', 'input', constant=i < weights)
    for i, var in enumerate(jaxpr.invars)
  ]
  ops, results = flatten(jaxpr, values, '', 1)
  live = [value for value in values if not value.constant]
  return _simulate(ops, live, roots(results))


_ELEMENTWISE = frozenset(
  'abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp '
  'clz conj convert_element_type copy copy_p cos cosh digamma div eq erf '
  'erf_inv erfc exp exp2 expm1 floor ge gt imag integer_pow is_finite le '
  'lgamma log log1p logistic lt max min mul ne neg nextafter not or '
  'population_count pow real reduce_precision rem round rsqrt select_n '
  'shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt '
  'square sub tan tanh xor'.split()
)


def _in_place(op: Operation, dying: set[Value]) -> bool:
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


def _snapshot(live: Iterable[Value], where: str, op: str) -> Peak:
  tensors = tuple(value.tensor for value in live)
  return Peak(sum(tensor.bytes for tensor in tensors), where, op, tensors)


def _largest(*peaks: Peak) -> Peak:
  """The first of the highest peaks."""
  return max(peaks, key=lambda peak: peak.bytes)


def _simulate(
  ops: Sequence[Operation], live: Iterable[Value], kept: set[Value]
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
    last.update((root, i) for root in roots(op.ins))
  last.update((root, len(ops)) for root in kept)
  peak = _snapshot(live, '', 'input')
  alive = [root for root in live if root in last]
  for i, op in enumerate(ops):
    dying = {root for root in roots(op.ins) if last[root] == i}
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


def _peak_cond(op: Operation, alive: list[Value], dying: set[Value]) -> Peak:
  peaks = []
  for branch in branches(op.eqn):
    ops, outs = flatten(branch, op.ins[1:], op.where, op.scale)
    peaks.append(_simulate(ops, alive, (set(alive) - dying) | roots(outs)))
  return _largest(*peaks)


def _peak_shard_map(
  op: Operation, alive: list[Value], dying: set[Value]
) -> Peak:
  several = repeated(op.eqn)
  if several is None:
    raise ValueError(f'{op.eqn.primitive.name} runs on no mesh.')
  body, devices = several
  scale = op.scale * devices
  values = [
    new_value(var.aval, op.where, 'shard', value.constant, value.root, scale)
    for var, value in zip(body.invars, op.ins, strict=True)
  ]
  ops, outs = flatten(body, values, op.where, scale)
  return _simulate(ops, alive, (set(alive) - dying) | roots(outs))


def _peak_loop(op: Operation, alive: list[Value], dying: set[Value]) -> Peak:
  turn = one_turn(op.eqn, op.ins, op.where, op.scale)
  stacked = [out for out in op.outs[len(turn.carry) :] if not out.constant]
  # The carry takes over its initial value where that dies: nothing else of the
  # loop, a condition among it, reads it in later turns.
  needed = [*turn.consts, *turn.xs]
  if op.eqn.primitive.name == 'while':
    needed += op.ins[: op.eqn.params['cond_nconsts']]
  taken = (dying & roots(turn.init)) - roots(needed)
  held = [root for root in alive + stacked if root not in taken]
  start = held + [value for value in turn.carry if not value.constant]
  peak = _simulate(turn.ops, start, set(held) | roots(turn.outs))
  if op.eqn.primitive.name == 'while':
    condition = open_jaxpr(op.eqn.params['cond_jaxpr'])
    consts = op.ins[: op.eqn.params['cond_nconsts']]
    ops, outs = flatten(condition, consts + turn.carry, op.where, op.scale)
    peak = _largest(peak, _simulate(ops, start, set(start) | roots(outs)))
  return peak


# What holds a program of its own, which is simulated within.
_PEAKS = {
  'cond': _peak_cond,
  'shard_map': _peak_shard_map,
  **dict.fromkeys(LOOPS, _peak_loop),
}

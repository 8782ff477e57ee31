"""The operations of a traced program on its activations.

This is what `nasjax.count.memory` reads live ranges from: calls are inlined,
views have the root of their operand, and what is computed from weights and
constants alone is told apart.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jax.extend import core

from nasjax.count.jaxpr import array, branches, called, open_jaxpr, place, size


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


@dataclasses.dataclass(eq=False, slots=True)
class Value:
  """A value of the program.

  Attributes:
    tensor: what it is.
    constant: whether weights and constants alone give it.
    root: the value that is stored: of a view that of its operand, else itself.
  """

  tensor: Tensor
  constant: bool
  root: 'Value' = dataclasses.field(init=False)

  def __post_init__(self):
    self.root = self


@dataclasses.dataclass(eq=False, slots=True)
class Operation:
  """An equation that computes on activations.

  Attributes:
    eqn: the equation.
    ins: its operands.
    outs: its results.
    where: the named scopes it is in.
    scale: devices that run it side by side.
  """

  eqn: core.JaxprEqn
  ins: list[Value]
  outs: list[Value]
  where: str
  scale: int


class Turn(NamedTuple):
  """One turn of a loop.

  Attributes:
    consts: values that each turn reads.
    init: the initial carry.
    xs: values of which each turn reads a slice.
    carry: the carry of the turn; constant only if it is so in every turn.
    ops: the operations.
    outs: the next carry, and what is stacked.
  """

  consts: list[Value]
  init: list[Value]
  xs: list[Value]
  carry: list[Value]
  ops: list[Operation]
  outs: list[Value]


def new_value(
  aval: Any,
  where: str,
  op: str,
  constant: bool = False,
  root: Value | None = None,
  scale: int = 1,
) -> Value:
  """A value as its aval describes it, its own root if it is no view."""
  shape = tuple(int(dim) for dim in getattr(aval, 'shape', ()))
  dtype = getattr(aval, 'dtype', None)  # A token has none, and no bytes.
  itemsize = 0 if dtype is None else dtype.itemsize
  tensor = Tensor(where, op, shape, str(dtype), size(shape) * itemsize * scale)
  value = Value(tensor, constant)
  if root is not None:
    value.root = root
  return value


def roots(values: Iterable[Value]) -> set[Value]:
  """What is stored of some values; constants are not."""
  return {value.root for value in values if not value.constant}


def flatten(
  jaxpr: core.Jaxpr, values: Sequence[Value], outer: str, scale: int
) -> tuple[list[Operation], list[Value]]:
  """The operations on activations in order, calls inlined, and the results.

  Args:
    jaxpr: the program.
    values: its arguments.
    outer: the named scopes it is in.
    scale: devices that run it side by side.

  Returns:
    The operations whose results are not constant, and the results of all.
  """
  env = {
    var: new_value(var.aval, outer, 'constant', constant=True)
    for var in jaxpr.constvars
  }
  env.update(zip(jaxpr.invars, values, strict=True))

  def read(atom):
    if isinstance(atom, core.Literal):
      return new_value(atom.aval, outer, 'constant', constant=True)
    return env[atom]

  ops = []
  for eqn in jaxpr.eqns:
    where = place(eqn, outer)
    ins = [read(atom) for atom in eqn.invars]
    body, operands = called(eqn), ins
    if eqn.primitive.name == 'cond' and len(branches(eqn)) == 1:
      body, operands = branches(eqn)[0], ins[1:]
    if body is not None:
      inner, outs = flatten(body, operands, where, scale)
      ops.extend(inner)
    else:
      outs = _results(eqn, ins, where, scale)
      if not all(out.constant for out in outs) or not outs:
        ops.append(Operation(eqn, ins, outs, where, scale))
    env.update(zip(eqn.outvars, outs, strict=True))
  return ops, [read(atom) for atom in jaxpr.outvars]


def _results(eqn, ins, where, scale) -> list[Value]:
  """New values for the results of an equation that is not a call."""
  name, count = eqn.primitive.name, len(eqn.outvars)
  constant, stored = (
    [all(value.constant for value in ins)] * count,
    [None] * count,
  )
  if name in LOOPS and not all(constant):
    turn = one_turn(eqn, ins, where, scale)
    results = turn.carry + turn.outs[len(turn.carry) :]
    constant = [value.constant for value in results]
  if _is_view(eqn):
    # Views have as many results as operands, or (a broadcast) one operand.
    constant = [value.constant for value in ins[:count]]
    stored = [value.root for value in ins[:count]]
  return [
    new_value(var.aval, where, name, is_constant, root, scale)
    for var, is_constant, root in zip(
      eqn.outvars, constant, stored, strict=True
    )
  ]


def _is_view(eqn: core.JaxprEqn) -> bool:
  name = eqn.primitive.name
  if name == 'reshape':
    return eqn.params['dimensions'] is None
  if name == 'convert_element_type':
    return array(eqn.invars[0]).dtype == array(eqn.outvars[0]).dtype
  return name in _VIEWS


_VIEWS = frozenset(
  'squeeze broadcast_in_dim stop_gradient optimization_barrier name '
  'sharding_constraint reshard pvary device_put bitcast_convert_type '
  'layout_constraint'.split()
)


LOOPS = frozenset(['scan', 'while'])


def one_turn(
  eqn: core.JaxprEqn, ins: list[Value], where: str, scale: int
) -> Turn:
  """One turn of a scan or a while loop, without the condition of the latter.

  Args:
    eqn: the equation of the loop.
    ins: its operands.
    where: the named scopes it is in.
    scale: devices that run it side by side.

  Returns:
    The turn.
  """
  if eqn.primitive.name == 'scan':
    body = open_jaxpr(eqn.params['jaxpr'])
    first = eqn.params['num_consts']
    last = first + eqn.params['num_carry']
  else:
    body = open_jaxpr(eqn.params['body_jaxpr'])
    ins = ins[eqn.params['cond_nconsts'] :]
    first, last = eqn.params['body_nconsts'], len(ins)
  consts, init, xs = ins[:first], ins[first:last], ins[last:]
  avals = [var.aval for var in body.invars]
  slices = [
    new_value(aval, where, 'slice', value.constant, value.root, scale)
    for aval, value in zip(avals[last:], xs, strict=True)
  ]
  constant = [value.constant for value in init]
  while True:
    carry = [
      new_value(aval, where, 'carry', is_constant, None, scale)
      for aval, is_constant in zip(avals[first:last], constant, strict=True)
    ]
    ops, outs = flatten(body, [*consts, *carry, *slices], where, scale)
    # A carry that is a constant at first may depend on inputs later.
    after = [
      before and out.constant
      for before, out in zip(constant, outs, strict=False)
    ]
    if after == constant:
      return Turn(consts, init, xs, carry, ops, outs)
    constant = after

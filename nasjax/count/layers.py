"""The layers of a network as a table, from its traced program.

Which weights a layer has is not read from names but from where its operands
come from: values are followed from the leaves of the variables through all that
is computed from them (folded scales, transposed kernels) to where they are
used. Names serve for what stands next to a kernel, such as its 'bias'.
"""

import csv
import io
import json
from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple

from jax.extend import core
from jax.extend.core import primitives

from nasjax.count import jaxpr as jaxpr_lib
from nasjax.count import parameters
from nasjax.count.kernel_gradient import kernel_gradients
from nasjax.count.parameters import Leaf
from nasjax.count.rules import LAYERS, layer_macs
from nasjax.printable import printable


class Row(NamedTuple):
  """A layer of a network.

  Attributes:
    name: path of its module, or, where it has no weights of its own, the named
      scopes it is in.
    op: 'conv', 'transposed conv', 'linear', or 'other' for parameters of
      something that has no MACs, such as a normalisation.
    input: shape of its input; of 'other' `()`, as is all that follows.
    output: shape of its output.
    kernel: taps of its kernel, along the spatial axes.
    stride: its stride along the spatial axes.
    groups: groups of channels; 0 for what is no convolution.
    macs: its MACs; all turns, if it is in a `scan`.
    params: its parameters; weights that are shared count where they are used
      first.
    share: its part of all MACs, from 0 to 1.
  """

  name: str
  op: str
  input: tuple[int, ...]
  output: tuple[int, ...]
  kernel: tuple[int, ...]
  stride: tuple[int, ...]
  groups: int
  macs: int
  params: int
  share: float


class Table(NamedTuple):
  """The layers of a network in the order in which they run.

  Attributes:
    rows: the layers; their MACs and parameters add up to the totals.
    macs: MACs of the network.
    params: parameters of the network.
  """

  rows: tuple[Row, ...]
  macs: int
  params: int

  def to_text(self) -> str:
    """Aligned columns, a line per layer, with a header and the total."""
    total = ('total', '', '', '', '', '', '', self.macs, self.params, '')
    lines = [Row._fields, *map(_cells, self.rows), total]
    lines = [[printable(str(cell)) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for line in lines:
      cells = [
        # Numbers, from the column of groups on, are aligned to the right.
        cell.rjust(width) if i > 5 else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
      ]
      text.append('  '.join(cells).rstrip())
    return '\n'.join(text)

  def to_json(self) -> str:
    """One object with `macs`, `params` and the list `rows` of objects."""
    rows = [row._asdict() for row in self.rows]
    return json.dumps({**self._asdict(), 'rows': rows}, indent=2)

  def to_csv(self) -> str:
    """A header and a line per layer; a shape is written as 1x8x8x3."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(Row._fields)
    for row in self.rows:
      writer.writerow(_cells(row)[:-1] + [repr(row.share)])
    return text.getvalue()


def _cells(row: Row) -> list[Any]:
  return [
    'x'.join(map(str, value)) if isinstance(value, tuple) else value
    for value in row[:-1]
  ] + [f'{row.share:.2%}']


def layers(
  jaxpr: core.Jaxpr, variables: Any, total_macs: int
) -> tuple[Row, ...]:
  """The rows of `nasjax.count.table`, in the order in which they run.

  Args:
    jaxpr: the program, whose first arguments are the leaves of `variables`; it
      can be counted, and its branches have equally many MACs.
    variables: pytree of arrays or `jax.ShapeDtypeStruct`s.
    total_macs: MACs of the whole program, of which each row is a share.

  Returns:
    The layers, and the modules with parameters that no layer has.
  """
  leaves = parameters.leaves(variables)
  # Where a value comes from: leaves of the variables, or None if from inputs.
  origins = [
    frozenset([i]) if leaf.path else _NOTHING for i, leaf in enumerate(leaves)
  ]
  origins += [None] * (len(jaxpr.invars) - len(origins))
  steps = list(_walk(jaxpr, origins, '', 1))
  owned = _owned(steps, leaves)
  gradients = kernel_gradients(jaxpr)
  rows = []
  for i, own in owned.items():
    macs = layer_macs(steps[i].eqn, gradients) * steps[i].times
    rows.append((i, _layer_row(steps[i], leaves, own, macs, total_macs)))
  rows += _other_rows(steps, leaves, set().union(*owned.values()))
  return tuple(row for _, row in sorted(rows, key=lambda item: item[0]))


_Origin = frozenset[int] | None
_NOTHING: frozenset[int] = frozenset()


class _Step(NamedTuple):
  """An equation that runs, and where its operands come from."""

  eqn: core.JaxprEqn
  where: str
  times: int
  origins: Sequence[_Origin]

  @property
  def used(self) -> frozenset[int]:
    return _union(self.origins)


def _union(origins: Iterable[_Origin]) -> frozenset[int]:
  return _NOTHING.union(*filter(None, origins))


def _walk(
  jaxpr: core.Jaxpr, origins: Sequence[_Origin], outer: str, times: int
) -> Generator[_Step, None, list[_Origin]]:
  """Yields a step per equation that runs; returns the origins of results."""
  env: dict[core.Var, _Origin] = dict.fromkeys(jaxpr.constvars, _NOTHING)
  env.update(zip(jaxpr.invars, origins, strict=True))

  def read(atom):
    return _NOTHING if isinstance(atom, core.Literal) else env[atom]

  for eqn in jaxpr.eqns:
    ins = [read(atom) for atom in eqn.invars]
    where = jaxpr_lib.place(eqn, outer)
    if eqn.primitive.name == 'cond':
      body, turns, ins = jaxpr_lib.branches(eqn)[0], 1, ins[1:]
    elif several := jaxpr_lib.repeated(eqn):
      body, turns = several
    else:
      body, turns = jaxpr_lib.called(eqn), 1
    if eqn.primitive.name == 'scan':
      # A carry may be a constant at first, and depend on inputs later.
      first, carries = eqn.params['num_consts'], eqn.params['num_carry']
      ins[first : first + carries] = [None] * carries
    if body is None:
      yield _Step(eqn, where, times, ins)
      outs = [None if None in ins else _union(ins)] * len(eqn.outvars)
    else:
      outs = yield from _walk(body, ins, where, times * turns)
    env.update(zip(eqn.outvars, outs, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _owned(
  steps: Sequence[_Step], leaves: Sequence[Leaf]
) -> dict[int, set[int]]:
  """For each step that is a layer, the leaves that it is the first to use."""
  owned, taken = {}, set()
  for i, step in enumerate(steps):
    if step.eqn.primitive.name in LAYERS:
      biases = {(*leaves[j].path[:-1], 'bias') for j in step.used}
      next_to = {j for j, leaf in enumerate(leaves) if leaf.path in biases}
      owned[i] = {leaves[j].first for j in step.used | next_to} - taken
      taken |= owned[i]
  return owned


def _layer_row(
  step: _Step,
  leaves: Sequence[Leaf],
  own: Iterable[int],
  macs: int,
  total_macs: int,
) -> Row:
  """The row of a convolution or a linear layer, with the leaves it owns."""
  eqn = step.eqn
  modules = {leaves[i].module for i in step.used}
  name = modules.pop() if len(modules) == 1 else step.where
  if eqn.primitive.name == primitives.conv_general_dilated_p.name:
    operand = 0
    op, stride = 'conv', eqn.params['window_strides']
    if any(dilation != 1 for dilation in eqn.params['lhs_dilation']):
      op, stride = 'transposed conv', eqn.params['lhs_dilation']
    rhs_spec = eqn.params['dimension_numbers'].rhs_spec
    rhs = jaxpr_lib.array(eqn.invars[1]).shape
    kernel = [rhs[axis] for axis in rhs_spec[2:]]
    groups = eqn.params['feature_group_count']
  else:
    # The first one that is computed from the inputs.
    operand = step.origins.index(None) if None in step.origins else 0
    op, kernel, stride, groups = 'linear', (), (), 0
  return Row(
    name=name or eqn.primitive.name,
    op=op,
    input=_ints(jaxpr_lib.array(eqn.invars[operand]).shape),
    output=_ints(jaxpr_lib.array(eqn.outvars[0]).shape),
    kernel=_ints(kernel),
    stride=_ints(stride),
    groups=int(groups),
    macs=macs,
    params=sum(leaves[i].size for i in own),
    share=macs / total_macs if total_macs else 0.0,
  )


def _ints(shape: Iterable[int]) -> tuple[int, ...]:
  return tuple(map(int, shape))


def _other_rows(
  steps: Sequence[_Step], leaves: Sequence[Leaf], taken: set[int]
) -> list[tuple[int, Row]]:
  """Rows of the modules that no layer takes, each with its first step."""
  first_use = {}
  for i, step in enumerate(steps):
    for leaf in step.used:
      first_use.setdefault(leaves[leaf].first, i)
  modules = {}
  for i, leaf in enumerate(leaves):
    if leaf.first == i and i not in taken:
      modules.setdefault(leaf.module, []).append(i)
  rows = []
  for name, own in modules.items():
    # What is used nowhere comes last.
    position = min(first_use.get(i, len(steps)) for i in own)
    params = sum(leaves[i].size for i in own)
    rows.append(
      (position, Row(name, 'other', (), (), (), (), 0, 0, params, 0.0))
    )
  return rows

"""Counts of any JAX function or Flax module, from its traced program.

Nothing is compiled and no weights are allocated: a program is traced on
shapes (`jax.make_jaxpr`), and its equations are counted one by one.

One MAC is one multiply-accumulate (where papers write FLOPs of a network, they
mostly mean MACs; a MAC is two FLOPs). Counted are convolutions and linear
layers (`dot_general`), padding taps included: output elements x kernel taps x
input channels per group. Bias, normalisation, activations, pooling and all
that is element-wise are excluded. Therefore a layer must be in its *native*
form: a convolution that is written as a sum of products counts 0. Every dot
product counts, whoever wrote it (`jax.image.resize` multiplies matrices).

* A transposed convolution (dilated input) counts input elements x kernel taps
  x output channels per group: the zeros between the inputs are no work. With
  stride 1 it is an ordinary convolution of a padded input, and counted so.
* A network is counted as it runs: an equation whose result nobody uses counts,
  `vmap` of a `cond` runs both branches, `remat` in a gradient runs twice, and
  under `shard_map` all devices together count, replicated work included.
* Batch is no special axis: give inputs with a batch of 1 to count an inference.

Parameters are the trainable ones. The rule for the peak memory of activations
is in `peak_memory`, and in full in `nasjax.memory`.
"""

import csv
import functools
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from jax.extend import core
from jax.extend.core import primitives

from nasjax import memory
from nasjax.memory import Peak, Tensor, peak_memory

__all__ = [
  'Branch',
  'Peak',
  'Range',
  'Row',
  'Table',
  'Tensor',
  'conv_macs',
  'dot_macs',
  'macs',
  'macs_range',
  'module_shapes',
  'params',
  'peak_memory',
  'ragged_dot_macs',
  'table',
]


class Branch(NamedTuple):
  """A choice between branches that differ in MACs.

  Attributes:
    where: named scopes of the `cond`, such as 'Net/Block_0'.
    largest: index of the branch with the most MACs. A `lax.cond` has its
      false function at 0 and its true function at 1.
    macs: the most MACs of each branch.
  """

  where: str
  largest: int
  macs: tuple[int, ...]


class Range(NamedTuple):
  """MACs of a program whose branches may differ.

  Attributes:
    low: MACs if the cheapest branch is taken everywhere.
    high: MACs if the largest branch is taken everywhere.
    which: the choices that make the difference; empty if `low == high`.
  """

  low: int
  high: int
  which: tuple[Branch, ...] = ()


def macs(fn: Callable | nn.Module, *args: Any, **kwargs: Any) -> int:
  """Multiply-accumulates of one call, by the convention of this module.

  Args:
    fn: a JAX function, or a Flax module, which stands for its `apply`.
    *args: its arguments: pytrees of arrays or `jax.ShapeDtypeStruct`s; Python
      scalars are traced, as `jax.jit` does.
    **kwargs: arrays are traced; any other value (`train=False`) is static.

  Returns:
    The count, exact.

  Raises:
    ValueError: if the branches of a `cond` differ (see `macs_range`), or if
      something cannot be counted: a while loop of unknown length with MACs in
      it, or a primitive whose work is not visible or has no convention. What
      `fn` itself raises under tracing is passed on as it is.

  Example:
    >>> import jax.numpy as jnp
    >>> images = jnp.zeros((1, 8, 8, 3))
    >>> module = nn.Conv(16, (3, 3), strides=2)
    >>> macs(module, module_shapes(module, images), images)  # 4*4*16 * 9 * 3
    6912
  """
  return _exact(macs_range(fn, *args, **kwargs))


def _exact(counted: Range) -> int:
  low, high, which = counted
  if low != high:
    counts = '; '.join(
      f'{branch.macs} in {branch.where!r} (largest: {branch.largest})'
      for branch in which
    )
    raise ValueError(
      f'MACs are between {low} and {high}, because branches differ: {counts}; '
      'use macs_range, or make the choice outside of the function'
    )
  return high


def macs_range(fn: Callable | nn.Module, *args: Any, **kwargs: Any) -> Range:
  """Fewest and most multiply-accumulates of one call, over all branches.

  Args:
    fn: as for `macs`.
    *args: as for `macs`.
    **kwargs: as for `macs`.

  Returns:
    The range, and the branches that make it one.

  Raises:
    ValueError: if something cannot be counted; see `macs`.

  Example:
    >>> import jax.numpy as jnp
    >>> x = jnp.zeros((4, 4))
    >>> macs_range(lambda x: jax.lax.cond(x[0, 0] > 0, lambda: x @ x,
    ...                                   lambda: x), x)
    Range(low=0, high=64, which=(Branch(where='', largest=1, macs=(0, 64)),))
  """
  return _count(memory.trace(fn, *args, **kwargs).jaxpr, '')


def params(tree: Any) -> int:
  """Trainable parameters: the elements of a pytree.

  Args:
    tree: pytree of arrays or `jax.ShapeDtypeStruct`s. Of the variables of a
      Flax module only the collection 'params' counts; running statistics are
      not trained.

  Returns:
    The count, exact.

  Example:
    >>> import jax.numpy as jnp
    >>> params(module_shapes(nn.Dense(10), jnp.zeros((1, 4))))
    50
  """
  if _has_collections(tree):
    tree = tree.get('params', {})
  return sum(_size(jax.numpy.shape(leaf)) for leaf in jax.tree.leaves(tree))


def module_shapes(module: nn.Module, *inputs: Any, **kwargs: Any) -> Any:
  """The variables of a Flax module as shapes; none of them is allocated.

  Args:
    module: the module.
    *inputs: arguments of its `__call__`: pytrees of arrays or shapes.
    **kwargs: arrays are traced; any other value (`train=False`) is static.

  Returns:
    Variables as `init` returns them, of `jax.ShapeDtypeStruct`s.

  Example:
    >>> import jax.numpy as jnp
    >>> shapes = module_shapes(nn.Dense(10), jnp.zeros((1, 4)))
    >>> shapes['params']['kernel'].shape
    (4, 10)
  """
  traced, static = memory.split_kwargs(kwargs)
  key = jax.eval_shape(lambda: jax.random.key(0))
  init = functools.partial(module.init, **static)
  return jax.eval_shape(init, key, *inputs, **traced)


def _has_collections(tree: Any) -> bool:
  """Whether a pytree holds the collections of a Flax module."""
  return isinstance(tree, Mapping) and (
    'params' in tree or 'batch_stats' in tree
  )


def _size(shape: Iterable[int]) -> int:
  return math.prod(int(dim) for dim in shape)


def _sum(ranges: Iterable[Range]) -> Range:
  low, high, which = 0, 0, ()
  for item in ranges:
    low, high, which = low + item.low, high + item.high, which + item.which
  return Range(low, high, which)


def _times(item: Range, times: int) -> Range:
  # An empty loop has no choices.
  return Range(item.low * times, item.high * times, item.which if times else ())


def _count(jaxpr: core.Jaxpr, outer: str) -> Range:
  return _sum(_count_eqn(eqn, outer) for eqn in jaxpr.eqns)


def _count_eqn(eqn: core.JaxprEqn, outer: str) -> Range:
  name = eqn.primitive.name
  if name in LAYERS:
    exact = LAYERS[name](eqn)
    return Range(exact, exact)
  where = memory.place(eqn, outer)
  if name in _NESTED:
    return _NESTED[name](eqn, where)
  if name in memory.CALLS:
    body = memory.open_jaxpr(eqn.params[memory.CALLS[name]])
    return _count(body, where)
  if name in _OPAQUE:
    raise ValueError(f'cannot count {name!r} in {where!r}: {_OPAQUE[name]}')
  bodies = memory.nested(eqn)
  inside = _sum(_count(body, where) for body in bodies)
  if inside.high:
    raise ValueError(
      f'cannot count {name!r} in {where!r}: it has {inside.high} MACs inside, '
      'and how often they run is not known; count its parts one by one'
    )
  if not bodies and name not in _FREE:
    raise ValueError(
      f'cannot count {name!r} in {where!r}: an unknown primitive may '
      'multiply; use lax convolutions and dot products (the native form)'
    )
  return Range(0, 0)


def conv_macs(eqn: core.JaxprEqn) -> int:
  """MACs of an equation of the primitive `conv_general_dilated`."""
  lhs, rhs = (var.aval.shape for var in eqn.invars)
  out = eqn.outvars[0].aval.shape
  numbers = eqn.params['dimension_numbers']
  lhs_spec, rhs_spec = numbers.lhs_spec, numbers.rhs_spec
  taps = [rhs[axis] for axis in rhs_spec[2:]]
  if all(dilation == 1 for dilation in eqn.params['lhs_dilation']):
    return _size(out) * _size(taps) * int(rhs[rhs_spec[1]])
  if lhs_spec[0] > lhs_spec[1]:
    # Batch and channels are swapped: the gradient of a transposed convolution
    # to its kernel, with the cotangent as 'kernel'. An input meets a tap only
    # where an output is, and here the outputs are the fewer.
    spatial = [out[axis] for axis in numbers.out_spec[2:]]
    taps = [min(pair) for pair in zip(taps, spatial, strict=True)]
  groups = eqn.params['feature_group_count'] * eqn.params['batch_group_count']
  return _size(lhs) * _size(taps) * (int(rhs[rhs_spec[0]]) // groups)


def dot_macs(eqn: core.JaxprEqn) -> int:
  """MACs of an equation of the primitive `dot_general`."""
  (contract, _), _ = eqn.params['dimension_numbers']
  lhs = eqn.invars[0].aval.shape
  out = eqn.outvars[0].aval.shape
  return _size(out) * _size(lhs[axis] for axis in contract)


def ragged_dot_macs(eqn: core.JaxprEqn) -> int:
  """MACs of a `ragged_dot_general`: every row meets one group."""
  ragged = eqn.params['ragged_dot_dimension_numbers']
  (contract, _), _ = ragged.dot_dimension_numbers
  lhs, _, group_sizes = (var.aval.shape for var in eqn.invars[:3])
  total = _size(eqn.outvars[0].aval.shape) * _size(lhs[i] for i in contract)
  if ragged.lhs_ragged_dimensions[0] in contract:
    # Groups part the contracted axis; each has an output of its own.
    return total // int(group_sizes[-1])
  return total


LAYERS = {
  primitives.conv_general_dilated_p.name: conv_macs,
  primitives.dot_general_p.name: dot_macs,
  'ragged_dot_general': ragged_dot_macs,
}


def _scan(eqn: core.JaxprEqn, where: str) -> Range:
  body = memory.open_jaxpr(eqn.params['jaxpr'])
  return _times(_count(body, where), int(eqn.params['length']))


def _cond(eqn: core.JaxprEqn, where: str) -> Range:
  ranges = [_count(branch, where) for branch in memory.branches(eqn)]
  highs = tuple(item.high for item in ranges)
  largest = highs.index(max(highs))
  which = ranges[largest].which
  if len(set(highs)) > 1:
    which = (Branch(where, largest, highs),) + which
  low = min(item.low for item in ranges)
  return Range(low, highs[largest], which if low != highs[largest] else ())


def _while(eqn: core.JaxprEqn, where: str) -> Range:
  inside = _sum(_count(body, where) for body in memory.nested(eqn))
  if inside.high:
    raise ValueError(
      f'cannot count a while loop of unknown length in {where!r}, with '
      f'{inside.high} MACs in each turn; use lax.scan, or a lax.fori_loop '
      'whose bounds are Python ints'
    )
  return Range(0, 0)


def _shard_map(eqn: core.JaxprEqn, where: str) -> Range:
  body = memory.open_jaxpr(eqn.params['jaxpr'])
  return _times(_count(body, where), memory.shards(eqn))


_NESTED = {
  primitives.scan_p.name: _scan,
  primitives.cond_p.name: _cond,
  primitives.while_p.name: _while,
  'shard_map': _shard_map,
}

_HIDDEN = 'its work is not visible to JAX; count the native form instead'
_NO_CONVENTION = 'it is neither a convolution nor a linear layer'

_OPAQUE = {
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
_FREE = frozenset(
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
    lines = [[str(cell) for cell in line] for line in lines]
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


def table(
  fn: Callable | nn.Module, variables: Any, *inputs: Any, **kwargs: Any
) -> Table:
  """The layers of a network, each with its shapes, MACs and parameters.

  A layer has the weights that its kernel is computed from, and, as Flax names
  it, a 'bias' next to them. All other parameters have rows of their own, one
  for each module. Of branches with equally many MACs the first one is shown.

  Args:
    fn: a JAX function, or a Flax module, which stands for its `apply`.
    variables: its first argument, the weights: any pytree of arrays or
      `jax.ShapeDtypeStruct`s. Parameters are counted as by `params`.
    *inputs: its other arguments.
    **kwargs: arrays are traced; any other value is static.

  Returns:
    The table. Its totals equal `macs` and `params`.

  Raises:
    ValueError: if something cannot be counted, or branches differ; see `macs`.

  Example:
    >>> import jax.numpy as jnp
    >>> images = jnp.zeros((1, 8, 8, 3))
    >>> module = nn.Conv(16, (3, 3), strides=2)
    >>> row = table(module, module_shapes(module, images), images).rows[0]
    >>> row.op, row.kernel, row.macs, row.params, row.share
    ('conv', (3, 3), 6912, 448, 1.0)
  """
  jaxpr = memory.trace(fn, variables, *inputs, **kwargs).jaxpr
  total = _exact(_count(jaxpr, ''))
  paths, sizes = _leaves(variables)
  # Where a value comes from: leaves of the variables, or None if from inputs.
  origins = [
    frozenset([i]) if path else _NOTHING for i, path in enumerate(paths)
  ]
  origins += [None] * (len(jaxpr.invars) - len(origins))
  steps = list(_walk(jaxpr, origins, '', 1))
  owned = _owned(steps, paths)
  rows = [
    (i, _row(steps[i], paths, sum(sizes[leaf] for leaf in leaves), total))
    for i, leaves in owned.items()
  ]
  rows += _other_rows(steps, paths, sizes, set().union(*owned.values()))
  rows = tuple(row for _, row in sorted(rows, key=lambda item: item[0]))
  return Table(rows, total, params(variables))


def _owned(
  steps: Sequence['_Step'], paths: Sequence[tuple[str, ...]]
) -> dict[int, set[int]]:
  """For each step that is a layer, the leaves that it is the first to use."""
  owned, taken = {}, set()
  for i, step in enumerate(steps):
    if step.eqn.primitive.name in LAYERS:
      used = _union(step.origins)
      modules = {paths[leaf][:-1] for leaf in used}
      biases = {
        leaf
        for leaf, path in enumerate(paths)
        if path[-1:] == ('bias',) and path[:-1] in modules
      }
      owned[i] = (used | biases) - taken
      taken |= owned[i]
  return owned


def _other_rows(
  steps: Sequence['_Step'],
  paths: Sequence[tuple[str, ...]],
  sizes: Sequence[int],
  taken: set[int],
) -> list[tuple[int, Row]]:
  """Rows of the modules that no layer takes, each with its first step."""
  first_use = {}
  for i, step in enumerate(steps):
    for leaf in _union(step.origins):
      first_use.setdefault(leaf, i)
  modules = {}
  for leaf, path in enumerate(paths):
    if path and leaf not in taken:
      modules.setdefault(_module_name(path), []).append(leaf)
  rows = []
  for name, leaves in modules.items():
    size = sum(sizes[leaf] for leaf in leaves)
    # What is used nowhere comes last.
    position = min(first_use.get(leaf, len(steps)) for leaf in leaves)
    rows.append((position, Row(name, 'other', (), (), (), (), 0, 0, size, 0.0)))
  return rows


_NOTHING = frozenset()


class _Step(NamedTuple):
  """An equation that runs, and where its operands come from."""

  eqn: core.JaxprEqn
  where: str
  times: int
  origins: Sequence[frozenset[int] | None]


def _union(origins: Iterable[frozenset[int] | None]) -> frozenset[int]:
  return _NOTHING.union(*(origin for origin in origins if origin))


def _leaves(variables: Any) -> tuple[list[tuple[str, ...]], list[int]]:
  """Path and size of each leaf; what is not trained has the path `()`."""
  collections = _has_collections(variables)
  paths, sizes = [], []
  for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
    names = tuple(jax.tree_util.keystr((key,), simple=True) for key in path)
    if collections:
      names = names[1:] if names[0] == 'params' else ()
    else:
      names = names or ('variables',)
    paths.append(names)
    sizes.append(_size(jax.numpy.shape(leaf)))
  return paths, sizes


def _module_name(path: tuple[str, ...]) -> str:
  return '/'.join(path[:-1] or path)


def _walk(jaxpr, origins, outer, times):
  """Yields a step per equation that runs; returns the origins of results."""
  env = dict.fromkeys(jaxpr.constvars, _NOTHING)
  env.update(zip(jaxpr.invars, origins, strict=True))

  def read(atom):
    return _NOTHING if isinstance(atom, core.Literal) else env[atom]

  for eqn in jaxpr.eqns:
    name = eqn.primitive.name
    ins, turns = [read(atom) for atom in eqn.invars], 1
    where, body = memory.place(eqn, outer), None
    if name in memory.CALLS:
      body = memory.open_jaxpr(eqn.params[memory.CALLS[name]])
    elif name == 'cond':
      body, ins = memory.branches(eqn)[0], ins[1:]
    elif name == 'shard_map':
      body, turns = memory.open_jaxpr(eqn.params['jaxpr']), memory.shards(eqn)
    elif name == 'scan':
      body, turns = memory.open_jaxpr(eqn.params['jaxpr']), eqn.params['length']
      # A carry may be a constant at first, and depend on inputs later.
      start = eqn.params['num_consts']
      ins[start : start + eqn.params['num_carry']] = [None] * eqn.params[
        'num_carry'
      ]
    if body is None:
      yield _Step(eqn, where, times, ins)
      outs = [None if None in ins else _union(ins)] * len(eqn.outvars)
    else:
      outs = yield from _walk(body, ins, where, times * turns)
    env.update(zip(eqn.outvars, outs, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _row(
  step: _Step, paths: Sequence[tuple[str, ...]], size: int, total: int
) -> Row:
  """The row of a convolution or a linear layer."""
  eqn = step.eqn
  count = LAYERS[eqn.primitive.name](eqn) * step.times
  modules = {_module_name(paths[leaf]) for leaf in _union(step.origins)}
  name = modules.pop() if len(modules) == 1 else step.where
  operand = step.origins.index(None) if None in step.origins else 0
  op, kernel, stride, groups = 'linear', (), (), 0
  if eqn.primitive.name == primitives.conv_general_dilated_p.name:
    rhs = eqn.invars[1].aval.shape
    op, operand = 'conv', 0
    spec = eqn.params['dimension_numbers'].rhs_spec
    kernel = tuple(int(rhs[axis]) for axis in spec[2:])
    stride = tuple(map(int, eqn.params['window_strides']))
    if any(dilation != 1 for dilation in eqn.params['lhs_dilation']):
      op, stride = (
        'transposed conv',
        tuple(map(int, eqn.params['lhs_dilation'])),
      )
    groups = int(eqn.params['feature_group_count'])
  return Row(
    name or eqn.primitive.name,
    op,
    tuple(map(int, eqn.invars[operand].aval.shape)),
    tuple(map(int, eqn.outvars[0].aval.shape)),
    kernel,
    stride,
    groups,
    count,
    size,
    count / total if total else 0.0,
  )

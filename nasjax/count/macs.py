"""MACs of any traced program; the convention is in `nasjax.count`."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import flax.linen as nn
from jax.extend import core

from nasjax.count import jaxpr as jaxpr_lib
from nasjax.count import parameters
from nasjax.count.kernel_gradient import kernel_gradients
from nasjax.count.layers import Table, layers
from nasjax.count.rules import (
  FREE,
  LAYERS,
  OPAQUE,
  layer_macs,
)


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
    **kwargs: arrays are traced, also those in a pytree with other leaves; any
      other value (`train=False`) is static.

  Returns:
    The count, exact.

  Raises:
    ValueError: if the branches of a `cond` differ (see `macs_range`), or if
      something cannot be counted: a while loop of unknown length with MACs in
      it, or a primitive whose work is not visible or has no convention. What
      `fn` itself raises under tracing is passed on as it is.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax.count import module_shapes
    >>> images = jnp.zeros((1, 8, 8, 3))
    >>> module = nn.Conv(16, (3, 3), strides=2)
    >>> macs(module, module_shapes(module, images), images)  # 4*4*16 * 9 * 3
    6912
  """
  return _exact(macs_range(fn, *args, **kwargs))


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
    >>> import jax
    >>> x = jax.numpy.zeros((4, 4))
    >>> macs_range(lambda x: jax.lax.cond(x[0, 0] > 0, lambda: x @ x,
    ...                                   lambda: x), x)
    Range(low=0, high=64, which=(Branch(where='', largest=1, macs=(0, 64)),))
  """
  return _range(jaxpr_lib.trace(fn, *args, **kwargs))


def params(tree: Any) -> int:
  """Trainable parameters: their elements, each array counted once.

  Only an `nnx.Param`, and what a Linen collection `params` holds, is trained:
  not the statistics of a normalisation, the key of a dropout or the moments of
  an optimizer. The collection may be anywhere in the tree, as `params` of a
  train state or of one module among several. A tree that has none of this is
  taken for parameters as a whole.

  An array, or an `nnx.Param`, that is the same object in several places is
  shared and counts once. A `jax.ShapeDtypeStruct` is a shape, no array: each
  counts. A complex element is one parameter.

  Args:
    tree: pytree of arrays or `jax.ShapeDtypeStruct`s: the variables of a Flax
      module, an `nnx.Module` or its state, or bare parameters.

  Returns:
    The count, exact.

  Raises:
    TypeError: a parameter is no number and no array of numbers.
    ValueError: a leaf is next to no collection `params`, where others are.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax.count import module_shapes
    >>> params(module_shapes(nn.Dense(10), jnp.zeros((1, 4))))
    50
    >>> shared = jnp.zeros((4, 4))
    >>> params({'encoder': shared, 'decoder': shared})
    16
  """
  return parameters.total(parameters.leaves(tree))


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
    >>> from nasjax.count import module_shapes
    >>> images = jnp.zeros((1, 8, 8, 3))
    >>> module = nn.Conv(16, (3, 3), strides=2)
    >>> row = table(module, module_shapes(module, images), images).rows[0]
    >>> row.op, row.kernel, row.macs, row.params, row.share
    ('conv', (3, 3), 6912, 448, 1.0)
  """
  jaxpr = jaxpr_lib.trace(fn, variables, *inputs, **kwargs)
  total = _exact(_range(jaxpr))
  if isinstance(fn, nn.Module):
    variables = parameters.with_params(variables)
  return Table(layers(jaxpr, variables, total), total, params(variables))


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


def _sum(ranges: Iterable[Range]) -> Range:
  low, high, which = 0, 0, ()
  for item in ranges:
    low, high, which = low + item.low, high + item.high, which + item.which
  return Range(low, high, which)


_Gradients = frozenset[core.JaxprEqn]


def _range(jaxpr: core.Jaxpr) -> Range:
  return _count(jaxpr, '', kernel_gradients(jaxpr))


def _count(jaxpr: core.Jaxpr, outer: str, gradients: _Gradients) -> Range:
  return _sum(_count_eqn(eqn, outer, gradients) for eqn in jaxpr.eqns)


def _count_eqn(eqn: core.JaxprEqn, outer: str, gradients: _Gradients) -> Range:
  name, where = eqn.primitive.name, jaxpr_lib.place(eqn, outer)
  if name in LAYERS:
    exact = layer_macs(eqn, gradients)
    return Range(exact, exact)
  if name == 'cond':
    return _cond(eqn, where, gradients)
  if (body := jaxpr_lib.called(eqn)) is not None:
    return _count(body, where, gradients)
  if several := jaxpr_lib.repeated(eqn):
    body, times = several
    low, high, which = _count(body, where, gradients)
    # An empty loop has no choices.
    return Range(low * times, high * times, which if times else ())
  if name in OPAQUE:
    raise ValueError(f'cannot count {name!r} in {where!r}: {OPAQUE[name]}')
  bodies = jaxpr_lib.nested(eqn)
  inside = _sum(_count(body, where, gradients) for body in bodies)
  if inside.high and name == 'while':
    raise ValueError(
      f'cannot count a while loop of unknown length in {where!r}, with '
      f'{inside.high} MACs in each turn; use lax.scan, or a lax.fori_loop '
      'whose bounds are Python ints'
    )
  if inside.high:
    raise ValueError(
      f'cannot count {name!r} in {where!r}: it has {inside.high} MACs inside, '
      'and how often they run is not known; count its parts one by one'
    )
  if not bodies and name not in FREE:
    raise ValueError(
      f'cannot count {name!r} in {where!r}: an unknown primitive may '
      'multiply; use lax convolutions and dot products (the native form)'
    )
  return Range(0, 0)


def _cond(eqn: core.JaxprEqn, where: str, gradients: _Gradients) -> Range:
  bodies = jaxpr_lib.branches(eqn)
  ranges = [_count(body, where, gradients) for body in bodies]
  highs = tuple(item.high for item in ranges)
  largest = highs.index(max(highs))
  which = ranges[largest].which
  if len(set(highs)) > 1:
    which = (Branch(where, largest, highs),) + which
  low = min(item.low for item in ranges)
  return Range(low, highs[largest], which if low != highs[largest] else ())

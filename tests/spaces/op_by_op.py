"""Runs a traced program one operation at a time, in NumPy wherever it can.

To compile the step of a whole supernet takes minutes, and to compile each of
its distinct operations still takes half a minute. NumPy runs them as they are.
What has no line below is left to JAX.
"""

import itertools

import jax
import numpy as np
from jax.extend import core

from nasjax.count import jaxpr as program


def call(fn, *args):
  """`fn(*args)`, of pytrees of arrays."""
  closed, shapes = jax.make_jaxpr(fn, return_shape=True)(*args)
  with np.errstate(all='ignore'):  # As in XLA.
    found = _run(closed, jax.tree.leaves(args))
  return jax.tree.unflatten(jax.tree.structure(shapes), found)


def _run(jaxpr, args):
  consts = getattr(jaxpr, 'consts', ())
  jaxpr = program.open_jaxpr(jaxpr)
  env = dict(zip(jaxpr.constvars, consts, strict=True))
  env.update(zip(jaxpr.invars, args, strict=True))

  def read(atom):
    return atom.val if isinstance(atom, core.Literal) else env[atom]

  for eqn in jaxpr.eqns:
    found = _one(eqn, [read(atom) for atom in eqn.invars])
    env.update(zip(eqn.outvars, found, strict=True))
  return [read(atom) for atom in jaxpr.outvars]


def _one(eqn, ins):
  name, params = eqn.primitive.name, eqn.params
  if name == 'cond':
    return _run(params['branches'][int(ins[0])], ins[1:])
  if program.called(eqn) is not None:
    # With its constants.
    return _run(params.get('jaxpr', params.get('call_jaxpr')), ins)
  if name == 'split':
    return np.split(ins[0], np.cumsum(params['sizes'])[:-1], params['axis'])
  if name in _NUMPY and not _has_keys(eqn):
    found = _NUMPY[name](*ins, **params)
    return [np.asarray(found, eqn.outvars[0].aval.dtype)]
  found = eqn.primitive.bind(*ins, **params)
  found = found if eqn.primitive.multiple_results else [found]
  return found if _has_keys(eqn) else [np.asarray(x) for x in found]


def _has_keys(eqn):
  dtypes = (v.aval.dtype for v in (*eqn.invars, *eqn.outvars))
  return any(jax.dtypes.issubdtype(d, jax.dtypes.prng_key) for d in dtypes)


def _broadcast_in_dim(x, *, shape, broadcast_dimensions, **_):
  full = [1] * len(shape)
  for axis, size in zip(broadcast_dimensions, np.shape(x), strict=True):
    full[axis] = size
  return np.broadcast_to(np.reshape(x, full), shape)


def _depthwise(a, b, *, part, geometry, **_):
  """One of three: the output, or a gradient, of images or kernel."""
  image, taps, stride, dilation = geometry
  low, outputs = geometry.low, geometry.outputs
  kernel = np.zeros((taps, taps, 1, a.shape[-1])) if part == 'kernel' else b
  reach = np.maximum(geometry.padded, low + image)
  padded = np.zeros((len(a), *reach, a.shape[-1]))
  inner = tuple(slice(i, i + n) for i, n in zip(low, image, strict=True))
  if part != 'input':
    padded[:, *inner] = a
  total = 0
  for i, j in itertools.product(range(taps), repeat=2):
    starts = i * dilation, j * dilation
    seen = tuple(
      slice(start, start + (n - 1) * stride + 1, stride)
      for start, n in zip(starts, outputs, strict=True)
    )
    if part == 'output':
      total = total + padded[:, *seen] * kernel[i, j]
    elif part == 'input':
      padded[:, *seen] += a * kernel[i, j]
    else:
      kernel[i, j] = (padded[:, *seen] * b).sum((0, 1, 2))
  return {'output': total, 'input': padded[:, *inner], 'kernel': kernel}[part]


def _slice(x, *, start_indices, limit_indices, strides, **_):
  strides = strides or (1,) * np.ndim(x)
  return x[tuple(map(slice, start_indices, limit_indices, strides))]


def _dot_general(x, y, *, dimension_numbers, **_):
  contract, batch = dimension_numbers
  if not any(batch):
    return np.tensordot(x, y, contract)
  xs, ys = list(range(x.ndim)), list(range(x.ndim, x.ndim + y.ndim))
  for pair in (contract, batch):
    for i, j in zip(*pair, strict=True):
      ys[j] = xs[i]
  both = [xs[i] for i in batch[0]]
  gone = {xs[i] for i in contract[0]}.union(both)
  free = [axis for axis in (*xs, *ys) if axis not in gone]
  return np.einsum(x, xs, y, ys, both + free, optimize=True)


_ELEMENT_WISE = {
  'add': np.add,
  'add_any': np.add,
  'and': np.logical_and,
  'div': np.divide,
  'eq': np.equal,
  'exp': np.exp,
  'gt': np.greater,
  'lt': np.less,
  'max': np.maximum,
  'min': np.minimum,
  'mul': np.multiply,
  'neg': np.negative,
  'rsqrt': lambda x: 1 / np.sqrt(x),
  'select_n': lambda which, no, yes: np.where(which, yes, no),
  'square': np.square,
  'stop_gradient': np.asarray,
  'sub': np.subtract,
}
_NUMPY = {
  name: lambda *ins, function=function, **_: function(*ins)
  for name, function in _ELEMENT_WISE.items()
} | {
  'broadcast_in_dim': _broadcast_in_dim,
  'concatenate': lambda *xs, dimension: np.concatenate(xs, dimension),
  'depthwise': _depthwise,
  'dot_general': _dot_general,
  'integer_pow': lambda x, *, y: x**y,
  'reduce_sum': lambda x, *, axes, **_: np.sum(x, axes),
  'reshape': lambda x, *, new_sizes, **_: np.reshape(x, new_sizes),
  'rev': lambda x, *, dimensions: np.flip(x, dimensions),
  'slice': _slice,
  'squeeze': lambda x, *, dimensions: np.squeeze(x, dimensions),
  'transpose': lambda x, *, permutation: np.transpose(x, permutation),
}

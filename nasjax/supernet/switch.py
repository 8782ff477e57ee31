"""Runs one op of a slot by `lax.switch`, with rematerialisation.

Without gathering, the gradient of a step would have an array for the weights of
every candidate, all zeros but those of the op that ran. So the weights of this
op are gathered first from the stacked weights (`nasjax.supernet.stacked`).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

from nasjax.ops import Numerics
from nasjax.space import Slot
from nasjax.supernet import stacked


def one_of(slot: Slot, numerics: Numerics, train: bool) -> Callable[..., Any]:
  """Runs one op of a slot; the time does not depend on how many there are.

  Differentiating `lax.switch` saves the residuals of all branches, whichever
  ran. So the backward pass recomputes the chosen op in a second switch
  (rematerialisation).

  Args:
    slot: its ops are the branches.
    numerics: how they are computed.
    train: as in `nasjax.supernet.Supernet`.

  Returns:
    `(params, x, i, stats, key) -> (y, stats)`, with the gathered parameters and
    statistics of the op (`nasjax.supernet.stacked`), the input, its place
    `i32[]`, and a PRNG key or None. It has gradients in `params` and `x`, in
    reverse mode only.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax import ops
    >>> slot = Slot('a', (ops.Skip(), ops.MBConv(3, 1)), 2)
    >>> x, key = jnp.ones((1, 4, 4, 2)), jax.random.key(0)
    >>> module = slot.ops[1].module(2, 1, Numerics())
    >>> variables = module.init(key, x, False)
    >>> rows = {k: stacked.stack_ops([{}, v]) for k, v in variables.items()}
    >>> own = [stacked.at(rows[k], 0) for k in ('params', 'batch_stats')]
    >>> run = one_of(slot, Numerics(), train=False)
    >>> y, _ = run(own[0], x, jnp.int32(0), own[1], None)
    >>> bool((y == x).all())
    True
  """
  features = max(slot.widths)

  def branch(op):
    module = op.module(features, slot.stride, numerics)

    def run(params, x, stats, key):
      shapes = _shapes(op, features, slot.stride, numerics, x.shape, x.dtype)
      own = {
        name: stacked.cut(taken, shapes.get(name, {}))
        for name, taken in (('params', params), ('batch_stats', stats))
      }
      y, new = module.apply(
        own,
        x,
        train,
        mutable=['batch_stats'] if train else [],
        rngs=None if key is None else {'dropout': key},
      )
      return y, stacked.fill(stats, new.get('batch_stats', {}))

    return run

  branches = [branch(op) for op in slot.ops]

  @jax.custom_vjp
  def call(params, x, i, stats, key):
    return jax.lax.switch(i, branches, params, x, stats, key)

  def forward(*args):
    return call(*args), args

  def backward(args, gradient):
    params, x, i, stats, key = args

    def pull(run):
      def back(params, x, stats, key, g):
        _, vjp = jax.vjp(lambda p, x: run(p, x, stats, key)[0], params, x)
        return vjp(g)

      return back

    pulls = [pull(run) for run in branches]
    g_params, g_x = jax.lax.switch(i, pulls, params, x, stats, key, gradient[0])
    return g_params, g_x, None, None, None

  call.defvjp(forward, backward)
  return call


@functools.lru_cache(maxsize=4096)
def _shapes(op, features, stride, numerics, shape, dtype):
  """Of the variables of an op."""
  module = op.module(features, stride, numerics)
  x = jax.ShapeDtypeStruct(shape, dtype)
  return jax.eval_shape(
    lambda key, x: module.init(key, x, False), jax.random.key(0), x
  )

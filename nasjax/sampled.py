"""Steps in which one op of a slot runs, and only what ran moves.

A supernet that runs one op of a slot has weights of all. A gradient of all of
them is zeros but for one op, and costs more the more candidates there are; and
for an optimizer a gradient of 0 is one like any other: momentum moves the op
on, weight decay shrinks it, and moments fall. Here neither happens: what was
drawn is taken out of stacked weights (`nasjax.stacked`), moved and put back.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from nasjax import stacked
from nasjax.ops import Numerics
from nasjax.space import Slot, Space
from nasjax.stacked import Index, Tree


def one_of(slot: Slot, numerics: Numerics, train: bool) -> Callable[..., Any]:
  """Runs one op of a slot; the time does not depend on how many there are.

  A conditional whose branches keep what their gradients need hands out,
  whichever ran, what all of them keep. So the gradient computes the one op
  again, from its input, in a conditional of its own.

  Args:
    slot: its ops are the branches.
    numerics: how they are computed.
    train: as in `nasjax.supernet.Supernet`.

  Returns:
    `(params, x, i, stats, key) -> (y, stats)`: taken parameters and statistics
    (`nasjax.stacked`), the input, `i32[]`, and a key or None. It has gradients
    in `params` and `x`, by reverse mode alone.

  Example:
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


def init(
  tx: optax.GradientTransformation, space: Space, params: Tree
) -> optax.OptState:
  """An optimizer's state of stacked parameters.

  What it keeps of each parameter is stacked as they are; what it keeps of all
  of them together, as the number of steps, is there once.

  Args:
    tx: the optimizer. It sees taken parameters, whose ranks are those of the
      ops' own.
    space: what the supernet holds.
    params: its parameters, stacked.

  Example:
    >>> from nasjax import spaces
    >>> slot = spaces.tiny().slots[1]
    >>> rows = {slot.name: {'1d': {'x': jnp.ones((2, 3))}}}
    >>> state = init(optax.sgd(1.0, momentum=0.9), spaces.tiny(), rows)
    >>> state[0].trace[slot.name]['1d']['x'].shape
    (2, 3)
  """
  slots = stacked.several(space)
  most = max((len(slot.ops) for slot in slots.values()), default=1)
  each = []
  for i in range(most):
    index = {n: jnp.array([i % len(s.ops)]) for n, s in slots.items()}
    each.append(tx.init(stacked.take(space, params, index)))

  def joined(*nodes):
    if not _is_like(nodes[0], params):
      return nodes[0]
    return {
      name: jax.tree.map(
        lambda *rows: jnp.stack(rows),
        *(
          n[name][stacked.DRAWN.format(0)]
          for n in nodes[: len(slots[name].ops)]
        ),
      )
      if name in slots
      else part
      for name, part in nodes[0].items()
    }

  like = functools.partial(_is_like, params=params)
  return jax.tree.map(joined, *each, is_leaf=like)


def update(
  tx: optax.GradientTransformation,
  space: Space,
  gradient: Tree,
  opt_state: optax.OptState,
  params: Tree,
  index: Index,
) -> tuple[Tree, optax.OptState]:
  """One step of an optimizer, for the ops that ran alone.

  What the optimizer keeps of the others (momentum, moments) stays, too. What it
  keeps of no single parameter, as the number of steps, goes on: so a schedule
  and Adam's correction of its start count steps of the search, not of an op.

  Args:
    tx: the optimizer.
    space: what the supernet holds.
    gradient: of the loss, in what was taken of `params`.
    opt_state: before the step, as `init` has it.
    params: before the step, stacked.
    index: slot to `i32[m]`, the ops that ran.

  Returns:
    Parameters and optimizer state after the step; of ops that did not run both
    are the same to the bit.

  Example:
    >>> from nasjax import spaces
    >>> tiny = spaces.tiny()
    >>> slot = tiny.slots[1]
    >>> tree = {slot.name: {op.name: {'x': jnp.ones(1)} for op in slot.ops}}
    >>> params = stacked.stack(tiny, tree)
    >>> index = {slot.name: jnp.array([1])}
    >>> tx = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(1.0))
    >>> own, state = stacked.take(tiny, params, index), init(tx, tiny, params)
    >>> zero = jax.tree.map(jnp.zeros_like, own)
    >>> after, _ = update(tx, tiny, zero, state, params, index)
    >>> after[slot.name]['1d']['x'].tolist()
    [[1.0], [0.5]]
  """
  own = stacked.take(space, params, index)
  like = functools.partial(_is_like, params=params)
  own_state = jax.tree.map(
    lambda node: stacked.take(space, node, index) if like(node) else node,
    opt_state,
    is_leaf=like,
  )
  # A wall. The compiler would read old weights again where it writes momentum,
  # and old momentum where it writes weights, and so keep copies of all of them.
  # That an index is not negative is nothing it knows.
  moved, own_state = jax.lax.cond(
    jax.tree.leaves(index)[0][0] >= 0,
    functools.partial(_moved, tx),
    lambda gradient, own_state, own: (own, own_state),
    gradient,
    own_state,
    own,
  )
  after = jax.tree.map(
    lambda node, new: (
      stacked.put(space, node, new, index) if like(node) else new
    ),
    opt_state,
    own_state,
    is_leaf=like,
  )
  return stacked.put(space, params, moved, index), after


@functools.lru_cache(maxsize=4096)
def _shapes(op, features, stride, numerics, shape, dtype):
  """Of the variables of an op."""
  module = op.module(features, stride, numerics)
  x = jax.ShapeDtypeStruct(shape, dtype)
  return jax.eval_shape(
    lambda key, x: module.init(key, x, False), jax.random.key(0), x
  )


def _moved(tx, gradient, opt_state, params):
  updates, opt_state = tx.update(gradient, opt_state, params)
  return optax.apply_updates(params, updates), opt_state


def _is_like(node: Any, params: Tree) -> bool:
  """Whether an optimizer keeps this of every slot."""
  return isinstance(node, Mapping) and set(node) == set(params)

"""The form in which a search keeps the weights of its network.

A form is four pure functions, chosen when the search is made, so that no step
branches on it. `whole` keeps the variables as the network made them. `sampled`
keeps the weights of ops stacked along an op axis (`nasjax.supernet.stacked`),
so that a weight step gathers, updates and scatters the ops that ran.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from nasjax.relax import Sampled
from nasjax.search import sparse_update
from nasjax.space import Choice, axes, init_alphas, label, rows
from nasjax.supernet import stacked

Tree = Any
# `params -> (value, aux)`.
Objective = Callable[[Tree], tuple[jax.Array, Any]]


class Form(NamedTuple):
  """Pure functions of one form.

  Attributes:
    init: `(variables) -> (params, batch_stats, opt_state)`, from what the
      network's `init` returned.
    apply: `(params, batch_stats, images, sampled, key) -> (logits,
      batch_stats)`, in training mode. `params` are those of `init`, or those
      that `update` gives to its objective. `sampled` is a
      `nasjax.relax.Sampled`; the key is consumed.
    update: `(objective, params, opt_state, index) -> ((value, aux), params,
      opt_state)`, one optimizer step. The objective maps params to `(value,
      aux)`; `index` is that of the `Sampled` which it runs.
    params: `(params, images) -> params` as the network made them; only the
      shape of the images is used, `[..., H, W, C]`.
  """

  init: Callable[[Tree], tuple[Tree, Tree, optax.OptState]]
  apply: Callable[..., tuple[jax.Array, Tree]]
  update: Callable[..., tuple[tuple[jax.Array, Any], Tree, optax.OptState]]
  params: Callable[[Tree, Any], Tree]


# `(net, choices, weight_tx) -> Form`.
MakeForm = Callable[
  [nn.Module, Mapping[str, Choice], optax.GradientTransformation], Form
]


def whole(
  net: nn.Module,
  choices: Mapping[str, Choice],
  tx: optax.GradientTransformation,
) -> Form:
  """Variables as the network made them; every step updates all weights.

  Args:
    net: the network, `(images, probs, *, train, index=None) -> logits`.
    choices: not used; all forms are made by the same arguments.
    tx: optimizer of the weights.

  Returns:
    The four functions; `params` have the form of the network's `init`.
  """
  del choices

  def init(variables):
    params = variables['params']
    return params, variables.get('batch_stats', {}), tx.init(params)

  def update(objective, params, opt_state, index):
    del index
    value, g = jax.value_and_grad(objective, has_aux=True)(params)
    updates, opt_state = tx.update(g, opt_state, params)
    return value, optax.apply_updates(params, updates), opt_state

  def params(params, images):
    del images
    return params

  return Form(init, _apply(net), update, params)


def sampled(
  net: nn.Module,
  choices: Mapping[str, Choice],
  tx: optax.GradientTransformation,
) -> Form:
  """Weights of ops stacked; a step updates the ops that it sampled.

  Ops that were not sampled keep their weights, momentum and statistics to the
  bit. The weights of an op have to be at `params[choice][option]`, and the
  network has to accept them stacked or gathered, as
  `nasjax.supernet.Mixed` does. A choice that is no key of `params`, such as a
  width, has no weights of its own.

  Where a name holds several choices, `choice` is the label of a single one,
  such as `edges[2]`, see `nasjax.space.label`. The network then has an
  attribute `samples_each = True`, as `nasjax.supernet.CellNetwork` has.

  A network with drawn choices may keep statistics per option: every leaf of
  `batch_stats` then has one leading axis for each drawn choice.

  Args:
    net: the network, `(images, probs, *, train, index=None) -> logits`.
    choices: name to choice.
    tx: optimizer of the weights.

  Returns:
    The four functions; `params`, `batch_stats` and `opt_state` are stacked, and
    the objective of `update` takes gathered params.

  Raises:
    ValueError: one name holds several choices, which the network does not
      sample; or, raised by `init`, the weights of options are not at
      `params[choice][option]`.
  """
  for name, choice in choices.items():
    if choice.shape and not samples_each(net):
      raise ValueError(
        f'a relaxation that samples ops requires one choice per name, and '
        f'choices[{name!r}] has shape {choice.shape}; use a relaxation that '
        'runs all ops, or give each of its choices a name.'
      )
  run, drawn = _apply(net), _drawn_axes(choices)
  options = {label(axis): names for axis, names in axes(choices).items()}

  def single(index):
    return {label(axis): row for axis, row in _single(choices, index).items()}

  def init(variables):
    _check_places(options, variables['params'])
    params = stacked.stack(options, variables['params'])
    stats = _stack_stats(options, drawn, variables.get('batch_stats', {}))
    return params, stats, sparse_update.init(tx, options, params)

  def shapes_of(images):
    one = jnp.zeros((1, *images.shape[-3:]))
    probs = init_alphas(choices)
    return jax.eval_shape(
      lambda: net.init(jax.random.key(0), one, probs, train=False)
    )

  def apply(params, stats, images, sampled, key):
    with_weights = options.keys() & params.keys()
    if sampled.index is not None:
      if with_weights <= single(sampled.index).keys():
        return run(params, stats, images, sampled, key)
    # All ops run, as in the mixture whose curvature is measured.
    shapes = shapes_of(images)
    params = stacked.unstack(options, params, shapes['params'])
    of_stats = shapes.get('batch_stats', {})
    own = _unstack_stats(options, drawn, stats, of_stats)
    logits, own = run(params, own, images, sampled, key)
    return logits, _stack_stats(options, drawn, own)

  def update(objective, params, opt_state, index):
    rows_of = single(index)
    # Gather first: ops that do not run need no gradient.
    gathered = stacked.take(options, params, rows_of)
    value, g = jax.value_and_grad(objective, has_aux=True)(gathered)
    params, opt_state = sparse_update.update(
      tx, options, g, opt_state, params, rows_of
    )
    return value, params, opt_state

  def params(params, images):
    shapes = shapes_of(images)['params']
    return stacked.unstack(options, params, shapes)

  return Form(init, apply, update, params)


def _apply(net: nn.Module):
  """Runs a network in training mode: logits, and the new statistics."""

  def apply(params, stats, images, sampled: Sampled, key):
    logits, updated = net.apply(
      {'params': params, 'batch_stats': stats},
      images,
      sampled.probs,
      train=True,
      index=sampled.index,
      mutable=['batch_stats'],
      rngs={'dropout': key},
    )
    new = updated.get('batch_stats', {})
    return logits, jax.tree.map(lambda s, x: x.astype(s.dtype), stats, new)

  return apply


def samples_each(net: nn.Module) -> bool:
  """Whether a network runs sampled ops where one name holds several choices.

  Example:
    >>> from nasjax import spaces
    >>> networks = spaces.nasbench201().network(), spaces.tiny().network()
    >>> [samples_each(net) for net in networks]
    [True, False]
  """
  return getattr(net, 'samples_each', False)


def _single(choices: Mapping[str, Choice], index: Mapping[str, Any]):
  """`i32[m]` for every single choice, of `i32[*shape, m]` for every name."""
  several = {
    n: i for n, i in index.items() if n in choices and choices[n].shape
  }
  return {n: i for n, i in index.items() if n not in several} | rows(several)


def _check_places(options: stacked.Options, params: Tree) -> None:
  """Refuses weights of options that are not at `params[choice][option]`."""
  keys = {
    entry.key
    for path, _ in jax.tree_util.tree_leaves_with_path(params)
    for entry in path
  }
  for name, names in options.items():
    elsewhere = [option for option in names if option in keys]
    if name not in params and elsewhere:
      raise ValueError(
        'a relaxation that samples ops requires the weights of an op at '
        f'params[choice][option]; the network has params named '
        f'{", ".join(map(repr, elsewhere))}, but no params[{name!r}]; use a '
        'relaxation that runs all ops, such as softmax.'
      )


def _drawn_axes(choices: Mapping[str, Choice]) -> tuple[int, ...]:
  """The numbers of options of drawn choices."""
  return tuple(len(c) for c in choices.values() if c.drawn)


def _per_option(drawn: tuple[int, ...], stats: Tree) -> int:
  """How many leading axes of statistics are options of drawn choices."""
  leaves = jax.tree.leaves(stats)
  per_option = all(x.shape[: len(drawn)] == drawn for x in leaves)
  return len(drawn) if leaves and per_option else 0


def _stack_stats(options: stacked.Options, drawn: tuple[int, ...], stats: Tree):
  stack = functools.partial(stacked.stack, options)
  for _ in range(_per_option(drawn, stats)):
    stack = jax.vmap(stack)
  return stack(stats)


def _unstack_stats(
  options: stacked.Options, drawn: tuple[int, ...], stats: Tree, shapes: Tree
) -> Tree:
  leading = _per_option(drawn, shapes)
  own = jax.tree.map(
    lambda s: jax.ShapeDtypeStruct(s.shape[leading:], s.dtype), shapes
  )
  unstack = functools.partial(stacked.unstack, options, shapes=own)
  for _ in range(leading):
    unstack = jax.vmap(unstack)
  return unstack(stats)

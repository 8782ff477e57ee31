"""Puts a search together."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import optax

from nasjax import data, relax
from nasjax.constraint import Constraint, Projection, chain
from nasjax.cost import Cost
from nasjax.guard import Guards, finite
from nasjax.ops import Numerics
from nasjax.search import hypergradient
from nasjax.search import step as steps
from nasjax.search.state import Loss, Metrics, Setting, State
from nasjax.space import Space
from nasjax.supernet import downsampling
from nasjax.train import cross_entropy


class Search(NamedTuple):
  """Pure functions of one search.

  Attributes:
    init: `(key, train, valid) -> state`; the key is consumed, of the arrays
      only the sizes are used.
    weight_step: `(state, train) -> (state, metrics)`. Here and below `train`
      and `valid` are whole halves or, where batches are not resident, the next
      batch of each.
    alpha_step: `(state, train, valid) -> (state, metrics)`; first order does
      not look at `train`, of which it is given what the next weight step will
      be given.
    step: both, weights first: `(state, train, valid) -> (state, metrics)`. Of
      whole halves: where batches are given, orders that look at `train` would
      be shown one that the weights have had.
    eigenvalue: `(state, valid) -> f32[]`, the largest one of the Hessian of
      the task's loss in the alphas, on the batch of the next alpha step. It
      uses up nothing: whether a search is measured does not change it.
    params: `(state) -> params` of the supernet, `slot / op / ...`, whatever
      form the state has them in.
  """

  init: Callable[[jax.Array, data.Arrays, data.Arrays], State]
  weight_step: Callable[[State, data.Arrays], tuple[State, Metrics]]
  alpha_step: Callable[[State, data.Arrays, data.Arrays], tuple[State, Metrics]]
  step: Callable[[State, data.Arrays, data.Arrays], tuple[State, Metrics]]
  eigenvalue: Callable[[State, data.Arrays], jax.Array]
  params: Callable[[State], dict]


def make(
  space: Space,
  batches: data.Batches,
  constraints: Sequence[tuple[Cost, Constraint]],
  *,
  weight_tx: optax.GradientTransformation,
  alpha_tx: optax.GradientTransformation,
  order: str = 'first',
  neumann_terms: int = 3,
  neumann_rate: float = 0.01,
  regulariser: Callable[[dict], jax.Array] | None = None,
  projection: Projection | None = None,
  relaxation: relax.Relaxed = relax.SOFTMAX,
  temperature: Callable[[jax.Array], jax.Array] = lambda step: 1.0,
  loss: Loss = cross_entropy,
  guards: Guards = Guards(),  # noqa: B008 (frozen)
  supernet: str = 'mixed',
  numerics: Numerics = Numerics(),  # noqa: B008 (frozen)
  skip_nonfinite: bool = False,
) -> Search:
  """Puts a search together.

  Args:
    space: what is searched.
    batches: how a batch is drawn and prepared.
    constraints: costs of `space`, each with what keeps it; applied in order.
    weight_tx: optimizer of the weights.
    alpha_tx: optimizer of the alphas.
    order: what alphas know of how weights answer: nothing (`'first'`), the next
      weight step (`'second'`), or where weights settle (`'implicit'`), see
      `nasjax.search.hypergradient`. The step that `'second'` looks ahead to is
      exactly the one that follows: its batch, noise and momentum. Of a pattern,
      which is drawn, it knows no more than the draw. Adam's update has no
      derivative in weights that no gradient has reached yet: give it `eps_root`
      > 0.
    neumann_terms: of `'implicit'`.
    neumann_rate: of `'implicit'`.
    regulariser: of the weights, `f32[]`: the loss whose gradient `weight_tx`
      adds by itself, as its decay. `'implicit'` has to know of it, and takes
      the curvature of both losses; no other order looks at it.
    projection: what is done to the alphas after each of their steps.
    relaxation: from alphas to probs. Where it gives an index only those ops
      run, and a weight step leaves the others as they are: no momentum, no
      decay, no new statistics.
    temperature: a schedule, of the number of weight steps done.
    loss: the task's, of logits and labels.
    guards: against collapse.
    supernet: `'mixed'`, every op with weights of its own
      (`nasjax.supernet.Supernet`), or `'entangled'`, ops as parts of the
      largest (`nasjax.supernet.entangled.Entangled`).
    numerics: how the supernet is computed.
    skip_nonfinite: whether a step of weights or alphas that would not stay
      finite is left out; see `nasjax.guard.finite.skipping`.

  Returns:
    Functions that nothing has jitted.

  Raises:
    ValueError: there is no such order, or an argument has nothing to act on.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax import constraint, cost, spaces
    >>> tiny, images = spaces.tiny(), jnp.zeros((20, 8, 8, 1), jnp.uint8)
    >>> arrays = data.Arrays(images, jnp.arange(20) % 10)
    >>> macs = cost.macs(tiny)
    >>> search = make(
    ...   tiny, data.Batches(10, (0.5,), (0.3,)),
    ...   [(macs, constraint.lagrangian(limit=8000, rate=0.1))],
    ...   weight_tx=optax.sgd(0.1), alpha_tx=optax.adam(0.01))
    >>> state = search.init(jax.random.key(0), arrays, arrays)
    >>> state, metrics = jax.jit(search.step)(state, arrays, arrays)
    >>> sorted(metrics)[:4]
    ['macs', 'macs_multiplier', 'macs_strict', 'skips']
  """
  sampled = relax.is_sampled(relaxation, space.choices)
  guards.check(space, relaxation)
  if sampled and order != 'first':
    raise ValueError(
      f'order {order!r} requires a relaxation that runs all ops: how weights '
      'answer to alphas is not known from a few of them.'
    )
  if sampled and supernet == 'entangled':
    raise ValueError(
      "supernet='entangled' requires a relaxation that runs all ops: a block "
      'that is all of them is not run in part.'
    )
  if guards.fairness is not None and order != 'first':
    raise ValueError(
      f"fairness requires order='first', got {order!r}: weights that are "
      'trained alike whatever the alphas are do not answer to them.'
    )
  setting = Setting(
    space=space,
    batches=batches,
    costs=tuple(cost for cost, _ in constraints),
    constraint=chain(*(constraint for _, constraint in constraints)),
    projection=projection,
    weight_tx=weight_tx,
    alpha_tx=alpha_tx,
    hypergradient=_hypergradient(
      order, weight_tx, neumann_terms, neumann_rate, regulariser
    ),
    relaxation=relaxation,
    temperature=temperature,
    loss=loss,
    guards=guards,
    nets=tuple(downsampling.networks(space, numerics, supernet)),
  )
  weight_step = functools.partial(steps.weight_step, setting)
  alpha_step = functools.partial(steps.alpha_step, setting)
  if skip_nonfinite:
    weight_step = finite.skipping(weight_step, 'weights')
    alpha_step = finite.skipping(alpha_step, 'alphas')

  def step(state: State, train: data.Arrays, valid: data.Arrays):
    state, weight_metrics = weight_step(state, train)
    state, alpha_metrics = alpha_step(state, train, valid)
    return state, weight_metrics | alpha_metrics

  init = functools.partial(steps.init, setting)
  eigenvalue = functools.partial(steps.eigenvalue, setting)
  params = functools.partial(steps.params, setting)
  return Search(init, weight_step, alpha_step, step, eigenvalue, params)


def _hypergradient(order, tx, terms, rate, regulariser):
  """`(train_loss, valid_loss) -> estimator`."""
  if order not in hypergradient.ORDERS:
    raise ValueError(
      f'order must be one of {", ".join(hypergradient.ORDERS)}, got {order!r}.'
    )
  if order == 'implicit':
    hypergradient.check_series(terms, rate)
    implicit = functools.partial(hypergradient.implicit, terms=terms, rate=rate)
    if regulariser is None:
      return implicit
    return lambda train, valid: implicit(_held(train, regulariser), valid)
  if order == 'second':
    return functools.partial(hypergradient.second, tx=tx)
  return hypergradient.first


def _held(train_loss, regulariser):
  """The loss with what holds the weights down besides."""

  def held(alphas, params, picked):
    value, aux = train_loss(alphas, params, picked)
    return value + regulariser(params), aux

  return held


def adam(
  learning_rate: optax.ScalarOrSchedule, *, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """Adam for alphas, with a rate and a weight decay of their own.

  Decay draws every choice back to where all options are as probable as each
  other (Liu et al. 2019, DARTS, section 3.1, take 3e-4 and 1e-3).

  Args:
    learning_rate: positive, or a schedule of the alphas' steps.
    weight_decay: coupled, as in PyTorch's Adam: added to the gradient.

  Raises:
    ValueError: a negative decay.
  """
  if not weight_decay >= 0:
    raise ValueError(f'adam requires weight_decay >= 0, got {weight_decay}.')
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
  )

"""The search: weights on one half of the images, alphas on the other.

First order and alternating (Liu et al. 2019, DARTS, section 2.3 with xi = 0):
a weight step lowers the task's loss on `train`, an alpha step lowers the
constrained loss on `valid`. Both are pure and meant to be jitted apart, so
that the warm-up, in which only weights learn, compiles nothing of its own.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nasjax import batch, data, pattern, relax, sampled
from nasjax.constraint import Constraint, Projection, chain
from nasjax.cost import Cost
from nasjax.ops import Numerics
from nasjax.space import Alphas, Space, init_alphas
from nasjax.supernet import Supernet
from nasjax.train import accuracy, cross_entropy

Loss = Callable[[jax.Array, jax.Array], jax.Array]
Metrics = dict[str, jax.Array]


class State(NamedTuple):
  """All that the next step depends on. A pytree of arrays.

  Attributes:
    step: `i32[]`, weight steps done.
    key: PRNG key of the next step.
    params: the supernet's weights.
    batch_stats: its running statistics, with a leading axis of patterns.
    opt_state: of the weights' optimizer.
    alphas: slot to `f32[ops]`.
    alpha_opt_state: of the alphas' optimizer.
    constraints: one constraint state per cost.
    projection: of the projection; () without one.
    baseline: mean of the losses that patterns were drawn for.
    train: position in the images of the weights.
    valid: position in the images of the alphas.
  """

  step: jax.Array
  key: jax.Array
  params: dict
  batch_stats: dict
  opt_state: optax.OptState
  alphas: Alphas
  alpha_opt_state: optax.OptState
  constraints: tuple
  projection: tuple
  baseline: pattern.Baseline
  train: batch.Sampler
  valid: batch.Sampler


class Search(NamedTuple):
  """Pure functions of one search.

  Attributes:
    init: `(key, train, valid) -> state`; the key is consumed, of the arrays
      only the sizes are used.
    weight_step: `(state, train) -> (state, metrics)`.
    alpha_step: `(state, valid) -> (state, metrics)`.
    step: both, weights first: `(state, train, valid) -> (state, metrics)`.
  """

  init: Callable[[jax.Array, data.Arrays, data.Arrays], State]
  weight_step: Callable[[State, data.Arrays], tuple[State, Metrics]]
  alpha_step: Callable[[State, data.Arrays], tuple[State, Metrics]]
  step: Callable[[State, data.Arrays, data.Arrays], tuple[State, Metrics]]


@dataclasses.dataclass(frozen=True)
class Setting:
  """What a search is put together from; the arguments of `make`."""

  space: Space
  batches: batch.Batches
  costs: tuple[Cost, ...]
  constraint: Constraint
  projection: Projection | None
  weight_tx: optax.GradientTransformation
  alpha_tx: optax.GradientTransformation
  relaxation: relax.Relaxed
  temperature: Callable[[jax.Array], jax.Array]
  loss: Loss
  nets: tuple[Supernet, ...]

  def law(self, state: State, alphas: Alphas) -> Alphas:
    """The probabilities that costs take."""
    return self.relaxation.law(alphas, self.temperature(state.step), None)


def make(
  space: Space,
  batches: batch.Batches,
  constraints: Sequence[tuple[Cost, Constraint]],
  *,
  weight_tx: optax.GradientTransformation,
  alpha_tx: optax.GradientTransformation,
  projection: Projection | None = None,
  relaxation: relax.Relaxed = relax.SOFTMAX,
  temperature: Callable[[jax.Array], jax.Array] = lambda step: 1.0,
  loss: Loss = cross_entropy,
  numerics: Numerics = Numerics(),  # noqa: B008 (frozen)
) -> Search:
  """Puts a search together.

  Args:
    space: what is searched.
    batches: how a batch is drawn and prepared.
    constraints: costs of `space`, each with what keeps it; applied in order.
    weight_tx: optimizer of the weights.
    alpha_tx: optimizer of the alphas.
    projection: what is done to the alphas after each of their steps.
    relaxation: from alphas to probs. Where it gives an index only those ops
      run, and a weight step leaves the others as they are: no momentum, no
      decay, no new statistics.
    temperature: a schedule, of the number of weight steps done.
    loss: the task's, of logits and labels.
    numerics: how the supernet is computed.

  Returns:
    Functions that nothing has jitted.

  Example:
    >>> from nasjax import constraint, cost, spaces
    >>> tiny, images = spaces.tiny(), jnp.zeros((20, 8, 8, 1), jnp.uint8)
    >>> arrays = data.Arrays(images, jnp.arange(20) % 10)
    >>> macs = cost.macs(tiny)
    >>> search = make(
    ...   tiny, batch.Batches(10, (0.5,), (0.3,)),
    ...   [(macs, constraint.lagrangian(limit=8000, rate=0.1))],
    ...   weight_tx=optax.sgd(0.1), alpha_tx=optax.adam(0.01))
    >>> state = search.init(jax.random.key(0), arrays, arrays)
    >>> state, metrics = jax.jit(search.step)(state, arrays, arrays)
    >>> sorted(metrics)[:3]
    ['macs', 'macs_multiplier', 'macs_strict']
  """
  setting = Setting(
    space=space,
    batches=batches,
    costs=tuple(cost for cost, _ in constraints),
    constraint=chain(*(constraint for _, constraint in constraints)),
    projection=projection,
    weight_tx=weight_tx,
    alpha_tx=alpha_tx,
    relaxation=relaxation,
    temperature=temperature,
    loss=loss,
    nets=tuple(pattern.networks(space, numerics)),
  )
  weight_step = functools.partial(_weight_step, setting)
  alpha_step = functools.partial(_alpha_step, setting)

  def step(state: State, train: data.Arrays, valid: data.Arrays):
    state, weight_metrics = weight_step(state, train)
    state, alpha_metrics = alpha_step(state, valid)
    return state, weight_metrics | alpha_metrics

  init = functools.partial(_init, setting)
  return Search(init, weight_step, alpha_step, step)


def _init(
  setting: Setting, key: jax.Array, train: data.Arrays, valid: data.Arrays
) -> State:
  key, for_net, for_alphas, for_train, for_valid = jax.random.split(key, 5)
  space, nets, projection = setting.space, setting.nets, setting.projection
  alphas = init_alphas(space, for_alphas)
  shape = (1, space.image_size, space.image_size, space.channels)
  variables = nets[0].init(
    for_net, jnp.zeros(shape), relax.softmax(alphas), train=False
  )
  stats = pattern.spread(variables.get('batch_stats', {}), len(nets))
  return State(
    step=jnp.int32(0),
    key=key,
    params=variables['params'],
    batch_stats=stats,
    opt_state=setting.weight_tx.init(variables['params']),
    alphas=alphas,
    alpha_opt_state=setting.alpha_tx.init(alphas),
    constraints=setting.constraint.init(),
    projection=() if projection is None else projection.init(),
    baseline=pattern.baseline_init(),
    train=batch.sampler_init(for_train, len(train.labels)),
    valid=batch.sampler_init(for_valid, len(valid.labels)),
  )


class _Forward(NamedTuple):
  """What a batch was made into, and by which draws."""

  logits: jax.Array
  batch_stats: dict
  pattern: jax.Array
  index: Mapping[str, jax.Array] | None


def _forward(setting, state, relaxation, params, alphas, images, key):
  """Runs the supernet, or what a relaxation draws of it."""
  for_relax, for_dropout, for_pattern = jax.random.split(key, 3)
  heat = setting.temperature(state.step)
  probs, index = relax.draw(relaxation, alphas, heat, for_relax)
  drawn = pattern.draw(for_pattern, setting.law(state, alphas))

  def run(net, stats):
    logits, updated = net.apply(
      {'params': params, 'batch_stats': stats},
      images,
      probs,
      train=True,
      index=index,
      mutable=['batch_stats'],
      rngs={'dropout': for_dropout},
    )
    return logits, updated.get('batch_stats', {})

  each = [functools.partial(run, net) for net in setting.nets]
  logits, updated = pattern.call(each, drawn, state.batch_stats)
  return _Forward(logits, updated, drawn, index)


def _weight_step(
  setting: Setting, state: State, train: data.Arrays
) -> tuple[State, Metrics]:
  key, for_batch, for_net = jax.random.split(state.key, 3)
  images, labels, sampler = setting.batches(state.train, train, for_batch)

  relaxation = setting.relaxation.weight_probs or setting.relaxation.probs

  def objective(params):
    found = _forward(
      setting, state, relaxation, params, state.alphas, images, for_net
    )
    return setting.loss(found.logits, labels), found

  grad = jax.value_and_grad(objective, has_aux=True)
  (value, found), g = grad(state.params)
  params, opt_state = _moved(setting, state, g, found.index)
  metrics = {
    'train_loss': value,
    'train_accuracy': accuracy(found.logits, labels),
    'temperature': jnp.asarray(setting.temperature(state.step)),
  }
  state = state._replace(
    step=state.step + 1,
    key=key,
    params=params,
    batch_stats=found.batch_stats,
    opt_state=opt_state,
    train=sampler,
  )
  return state, metrics


def _moved(setting, state, gradient, index):
  """Weights and their optimizer's state, after a step of what ran."""
  tx, params = setting.weight_tx, state.params
  if index is None:
    updates, opt_state = tx.update(gradient, state.opt_state, params)
    return optax.apply_updates(params, updates), opt_state
  mask = sampled.ran(setting.space, params, index)
  return sampled.update(tx, gradient, state.opt_state, params, mask)


def _alpha_step(
  setting: Setting, state: State, valid: data.Arrays
) -> tuple[State, Metrics]:
  key, for_batch, for_net = jax.random.split(state.key, 3)
  images, labels, sampler = setting.batches(state.valid, valid, for_batch)

  def objective(alphas):
    # Running statistics are the weights' business: not updated here.
    logits, _, drawn, _ = _forward(
      setting,
      state,
      setting.relaxation.probs,
      state.params,
      alphas,
      images,
      for_net,
    )
    task = setting.loss(logits, labels)
    metrics = {'valid_loss': task, 'valid_accuracy': accuracy(logits, labels)}
    if setting.space.patterns:
      metrics['pattern'] = drawn
    law = setting.law(state, alphas)
    total, baseline = pattern.score(task, law, drawn, state.baseline)
    total, kept, more = _constrained(setting, total, law, state.constraints)
    metrics |= {**more, 'total_loss': total}
    return total, (kept, baseline, metrics)

  grad = jax.grad(objective, has_aux=True)
  g, (kept, baseline, metrics) = grad(state.alphas)
  updates, opt_state = setting.alpha_tx.update(
    g, state.alpha_opt_state, state.alphas
  )
  alphas, projection = _projected(
    setting, state, optax.apply_updates(state.alphas, updates)
  )
  state = state._replace(
    key=key,
    alphas=alphas,
    alpha_opt_state=opt_state,
    constraints=kept,
    projection=projection,
    baseline=baseline,
    valid=sampler,
  )
  return state, metrics


def _constrained(setting, loss, law, before):
  """The constrained loss, the constraints' states, and what they looked at."""
  expected = tuple(cost(law) for cost in setting.costs)
  hard = harden(law)
  strict = tuple(cost(hard) for cost in setting.costs)
  loss, kept = setting.constraint.update(loss, expected, strict, before)
  metrics = {}
  for cost, e, s, k in zip(setting.costs, expected, strict, kept, strict=True):
    metrics |= {cost.name: e, f'{cost.name}_strict': s}
    if hasattr(k, 'multiplier'):
      metrics[f'{cost.name}_multiplier'] = k.multiplier
  return loss, kept, metrics


def _projected(setting, state, alphas):
  if setting.projection is None:
    return alphas, state.projection
  law = functools.partial(setting.law, state)
  return setting.projection.update(alphas, law, state.projection)


def harden(probs: Alphas) -> Alphas:
  """One-hot at the most probable op of every choice, without a gradient."""
  return {
    name: jax.nn.one_hot(p.argmax(-1), p.shape[-1], dtype=p.dtype)
    for name, p in probs.items()
  }

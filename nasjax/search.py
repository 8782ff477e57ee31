"""The search: weights on one half of the images, alphas on the other.

First order and alternating (Liu et al. 2019, DARTS, section 2.3 with xi = 0):
a weight step lowers the task's loss on `train`, an alpha step lowers the
constrained loss on `valid`. Both are pure and meant to be jitted apart, so
that the warm-up, in which only weights learn, compiles nothing of its own.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from nasjax import batch, data, pattern, relax
from nasjax.constraint import Constraint
from nasjax.cost import Cost
from nasjax.ops import Numerics
from nasjax.space import Alphas, Space, init_alphas
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


def make(
  space: Space,
  batches: batch.Batches,
  constraints: Sequence[tuple[Cost, Constraint]],
  *,
  weight_tx: optax.GradientTransformation,
  alpha_tx: optax.GradientTransformation,
  relaxation: relax.Relaxed = relax.SOFTMAX,
  temperature: Callable[[jax.Array], jax.Array] = lambda step: 1.0,
  loss: Loss = cross_entropy,
  numerics: Numerics = Numerics(),  # noqa: B008 (frozen)
) -> Search:
  """Puts a search together.

  Args:
    space: what is searched.
    batches: how a batch is drawn and prepared.
    constraints: costs of `space`, each with what keeps it.
    weight_tx: optimizer of the weights.
    alpha_tx: optimizer of the alphas.
    relaxation: from alphas to probs.
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
    ['macs', 'macs_strict', 'temperature']
  """
  nets = pattern.networks(space, numerics)

  def init(key, train, valid) -> State:
    key, for_net, for_alphas, for_train, for_valid = jax.random.split(key, 5)
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
      opt_state=weight_tx.init(variables['params']),
      alphas=alphas,
      alpha_opt_state=alpha_tx.init(alphas),
      constraints=tuple(c.init() for _, c in constraints),
      baseline=pattern.baseline_init(),
      train=batch.sampler_init(for_train, len(train.labels)),
      valid=batch.sampler_init(for_valid, len(valid.labels)),
    )

  def forward(state, params, alphas, images, key):
    """Logits, new statistics, and which pattern was drawn for them."""
    for_relax, for_dropout, for_pattern = jax.random.split(key, 3)
    heat = temperature(state.step)
    probs = relaxation.probs(alphas, heat, for_relax)
    drawn = pattern.draw(for_pattern, relaxation.law(alphas, heat, None))

    def run(net, stats):
      logits, updated = net.apply(
        {'params': params, 'batch_stats': stats},
        images,
        probs,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': for_dropout},
      )
      return logits, updated.get('batch_stats', {})

    each = [functools.partial(run, net) for net in nets]
    return *pattern.call(each, drawn, state.batch_stats), drawn

  def weight_step(state: State, train: data.Arrays):
    key, for_batch, for_net = jax.random.split(state.key, 3)
    images, labels, sampler = batches(state.train, train, for_batch)

    def objective(params):
      logits, updated, _ = forward(state, params, state.alphas, images, for_net)
      return loss(logits, labels), (logits, updated)

    grad = jax.value_and_grad(objective, has_aux=True)
    (value, (logits, updated)), g = grad(state.params)
    updates, opt_state = weight_tx.update(g, state.opt_state, state.params)
    metrics = {
      'train_loss': value,
      'train_accuracy': accuracy(logits, labels),
      'temperature': jnp.asarray(temperature(state.step)),
    }
    state = state._replace(
      step=state.step + 1,
      key=key,
      params=optax.apply_updates(state.params, updates),
      batch_stats=updated,
      opt_state=opt_state,
      train=sampler,
    )
    return state, metrics

  def alpha_step(state: State, valid: data.Arrays):
    key, for_batch, for_net = jax.random.split(state.key, 3)
    images, labels, sampler = batches(state.valid, valid, for_batch)

    def objective(alphas):
      # Running statistics are the weights' business: not updated here.
      logits, _, drawn = forward(state, state.params, alphas, images, for_net)
      task = loss(logits, labels)
      metrics = {'valid_loss': task, 'valid_accuracy': accuracy(logits, labels)}
      law = relaxation.law(alphas, temperature(state.step), None)
      hard = harden(law)
      total, baseline = pattern.score(task, law, drawn, state.baseline)
      if space.patterns:
        metrics['pattern'] = drawn
      kept = []
      pairs = zip(constraints, state.constraints, strict=True)
      for (cost, constraint), before in pairs:
        expected, strict = cost(law), cost(hard)
        total, after = constraint.update(total, expected, strict, before)
        kept.append(after)
        metrics |= {cost.name: expected, f'{cost.name}_strict': strict}
      return total, (tuple(kept), baseline, metrics | {'total_loss': total})

    grad = jax.grad(objective, has_aux=True)
    g, (kept, baseline, metrics) = grad(state.alphas)
    updates, opt_state = alpha_tx.update(g, state.alpha_opt_state, state.alphas)
    state = state._replace(
      key=key,
      alphas=optax.apply_updates(state.alphas, updates),
      alpha_opt_state=opt_state,
      constraints=kept,
      baseline=baseline,
      valid=sampler,
    )
    return state, metrics

  def step(state: State, train: data.Arrays, valid: data.Arrays):
    state, weight_metrics = weight_step(state, train)
    state, alpha_metrics = alpha_step(state, valid)
    return state, weight_metrics | alpha_metrics

  return Search(init, weight_step, alpha_step, step)


def harden(probs: Alphas) -> Alphas:
  """One-hot at the most probable op of every choice, without a gradient."""
  return {
    name: jax.nn.one_hot(p.argmax(-1), p.shape[-1], dtype=p.dtype)
    for name, p in probs.items()
  }

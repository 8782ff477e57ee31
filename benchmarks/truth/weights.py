"""Weight steps that a search does not have: several networks, or weighed ones.

Both keep the weights in the form of a search that samples ops, and replace
`nasjax.search.Search.weight_step`.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from nasjax import cost, data, relax, search
from nasjax.search import form as forms
from nasjax.search.state import Metrics
from nasjax.space import SearchSpace
from nasjax.supernet import stacked
from nasjax.train import cross_entropy, distill

WeightStep = Callable[[search.State, data.Arrays], tuple[search.State, Metrics]]
NETWORKS = 4  # Of a sandwich: the largest, the smallest, and drawn ones.


def sandwich(
  space: SearchSpace,
  batches: data.Batches,
  tx: optax.GradientTransformation,
) -> WeightStep:
  """The largest network learns labels; the smallest and drawn ones learn it.

  Yu and Huang 2019 (Universally Slimmable Networks, sections 3.2 and 3.3): in
  each step the largest, the smallest and two random networks, all but the
  largest by distillation from the largest.

  Args:
    space: whose last options are the largest, and first ones the smallest.
    batches: how images are drawn.
    tx: of the weights.
  """
  form = forms.sampled(space.search_network(), space.choices, tx)
  sizes = {name: len(choice) for name, choice in space.choices.items()}

  def drawn(key):
    rows = [
      {name: jnp.int32(n - 1) for name, n in sizes.items()},
      dict.fromkeys(sizes, jnp.int32(0)),
    ]
    for i in range(NETWORKS - len(rows)):
      rows.append(_uniform(jax.random.fold_in(key, i), sizes))
    return rows

  def step(state, train):
    key, for_batch, for_options, for_net = jax.random.split(state.key, 4)
    images, labels, position = batches(state.train, train, for_batch)

    def loss(params):
      taught, *others = (
        _logits(form, space, params, state, images, options, for_net)
        for options in drawn(for_options)
      )
      losses = [cross_entropy(taught, labels)]
      losses += [distill.loss(logits, taught) for logits in others]
      return jnp.stack(losses).mean(), losses[0]

    (_, first), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    state = state._replace(
      step=state.step + 1,
      key=key,
      params=optax.apply_updates(state.params, updates),
      opt_state=opt_state,
      train=position,
    )
    return state, {'train_loss': first}

  return step


def weighed_by_cost(
  space: SearchSpace,
  batches: data.Batches,
  tx: optax.GradientTransformation,
) -> WeightStep:
  """One network a step, drawn uniformly; costly ones learn faster.

  The gradient is multiplied by the MACs of the network, divided by the mean of
  all networks. With SGD without weight decay that is a learning rate by cost.

  Args:
    space: of the networks; MACs are those of its full size.
    batches: how images are drawn.
    tx: of the weights.
  """
  form = forms.sampled(space.search_network(), space.choices, tx)
  sizes = {name: len(choice) for name, choice in space.choices.items()}
  macs = cost.macs(space)
  mean = float(macs({n: jnp.full(size, 1 / size) for n, size in sizes.items()}))

  def step(state, train):
    key, for_batch, for_options, for_net = jax.random.split(state.key, 4)
    images, labels, position = batches(state.train, train, for_batch)
    options = _uniform(for_options, sizes)
    probs = _one_hot(options, sizes)
    index = {name: option[None] for name, option in options.items()}
    weight = macs(probs) / mean

    def objective(params):
      logits, stats = form.apply(
        params,
        state.batch_stats,
        images,
        relax.Sampled(probs, index),
        for_net,
      )
      own = cross_entropy(logits, labels)
      return weight * own, (own, stats)

    (_, (own, stats)), params, opt_state = form.update(
      objective, state.params, state.opt_state, index
    )
    state = state._replace(
      step=state.step + 1,
      key=key,
      params=params,
      batch_stats=stats,
      opt_state=opt_state,
      train=position,
    )
    return state, {'train_loss': own}

  return step


def _uniform(key: jax.Array, sizes: Mapping[str, int]) -> dict[str, jax.Array]:
  """One option of each choice, `i32[]`."""
  return {
    name: jax.random.randint(jax.random.fold_in(key, i), (), 0, size)
    for i, (name, size) in enumerate(sizes.items())
  }


def _one_hot(options, sizes):
  return {n: jax.nn.one_hot(options[n], size) for n, size in sizes.items()}


def _logits(form, space, params, state, images, options, key):
  sizes = {name: len(choice) for name, choice in space.choices.items()}
  index = {name: option[None] for name, option in options.items()}
  logits, _ = form.apply(
    stacked.take(space.choices, params, index),
    state.batch_stats,
    images,
    relax.Sampled(_one_hot(options, sizes), index),
    key,
  )
  return logits

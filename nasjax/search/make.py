"""Makes the functions of a search; `step` alternates weights and alphas."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import optax
from jax.typing import ArrayLike

from nasjax import data, relax
from nasjax.constraint import Constraint, Projection, chain
from nasjax.cost import Cost
from nasjax.guard import Guards, finite
from nasjax.search import form as forms
from nasjax.search import judge
from nasjax.search import step as steps
from nasjax.search.contributions import Sampling
from nasjax.search.hypergradient import Hypergradient, first
from nasjax.search.state import Loss, Metrics, Setting, State
from nasjax.space import Choice
from nasjax.train import cross_entropy


class Search(NamedTuple):
  """Pure functions of one search.

  Attributes:
    init: `(key, train, valid) -> state`. The key is consumed; only the shapes
      of the arrays are used.
    weight_step: `(state, train) -> (state, metrics)`. Here and below `train`
      and `valid` are whole halves or, where batches are not resident, the next
      batch of each.
    alpha_step: `(state, train, valid) -> (state, metrics)`. The first-order
      hypergradient does not use `train`. The others take the batch of the next
      weight step from it.
    step: a weight step, then an alpha step:
      `(state, train, valid) -> (state, metrics)`. Use it with whole halves:
      where batches are given, a hypergradient that uses `train` would see the
      batch that the weights have just learned from.
    eigenvalue: `(state, valid) -> f32[]`, the largest eigenvalue of the Hessian
      of the task's loss in the alphas, on the batch of the next alpha step.
      Measuring it does not change the search.
    params: `(state, images) -> params` as the network made them, whatever form
      the state keeps them in; only the shape of the images is used,
      `[..., H, W, C]`.
    losses: `(state, valid, options) -> f32[number]`, the losses of networks
      with the weights of the state, each network alone; `options` maps the name
      of a choice to `i32[number, *shape]`. Only of a search with `sampling`,
      which says on which images.
  """

  init: Callable[[jax.Array, data.Arrays, data.Arrays], State]
  weight_step: Callable[[State, data.Arrays], tuple[State, Metrics]]
  alpha_step: Callable[[State, data.Arrays, data.Arrays], tuple[State, Metrics]]
  step: Callable[[State, data.Arrays, data.Arrays], tuple[State, Metrics]]
  eigenvalue: Callable[[State, data.Arrays], jax.Array]
  params: Callable[[State, Any], dict]
  losses: Callable[[State, data.Arrays, dict[str, jax.Array]], jax.Array]


def make(
  net: nn.Module,
  choices: Mapping[str, Choice],
  batches: data.Batches,
  constraints: Sequence[tuple[Cost, Constraint]],
  *,
  weight_tx: optax.GradientTransformation,
  alpha_tx: optax.GradientTransformation,
  hypergradient: Hypergradient = first,
  projection: Projection | None = None,
  relaxation: relax.Relaxed = relax.SOFTMAX,
  temperature: Callable[[jax.Array], ArrayLike] = lambda step: 1.0,
  loss: Loss = cross_entropy,
  guards: Guards = Guards(),  # noqa: B008 (frozen)
  form: forms.MakeForm | None = None,
  sampling: Sampling | None = None,
  skip_nonfinite: bool = False,
) -> Search:
  """Puts a search together.

  The network is any Linen module that is called as
  `net(images, probs, *, train, index=None) -> logits`, where `images` are
  `f32[N, H, W, C]` and `probs` has `f32[*shape, options]` for every name in
  `choices`. `index` is None, or names the options that run:

  - of a choice with `drawn`, `i32[*shape]`, the one option that runs;
  - where the relaxation samples ops, `i32[*shape, m]` for every other choice.

  Of a choice that `index` lacks, all options run, mixed by `probs`. The weights
  of an option are at `params[choice][option]` where the relaxation samples ops;
  otherwise they may be anywhere. A module whose options share weights says so
  by an attribute `shares_weights = True`; one that samples ops where a name
  holds several choices, by `samples_each = True`, see
  `nasjax.search.form.sampled`.

  Args:
    net: the network that holds all candidates.
    choices: name to choice; the alphas have an array for each.
    batches: how a batch is drawn and prepared.
    constraints: pairs of a cost of `probs` and the constraint that keeps it;
      applied in order.
    weight_tx: optimizer of the weights.
    alpha_tx: optimizer of the alphas.
    hypergradient: how the gradient of the alphas sees the weights:
      `hypergradient.first`, the weights are constant;
      `functools.partial(hypergradient.second, tx=weight_tx)`, through the
      weight step that follows, with its batch, noise and momentum; or
      `hypergradient.implicit_with(...)`, at convergence. See
      `nasjax.search.hypergradient`. For `second`, give Adam `eps_root` > 0: its
      update has no derivative in weights that never had a gradient.
    projection: moves the alphas after each of their steps.
    relaxation: from alphas to probs. Where it samples ops, only those run, and
      a weight step leaves all other ops as they are: no momentum, no decay, no
      new statistics.
    temperature: a schedule of the number of weight steps done.
    loss: of the task, from logits and labels.
    guards: against collapse.
    form: how the weights are kept, `nasjax.search.form.whole` or `sampled`;
      None is `sampled` where the weight step samples ops, else `whole`.
    sampling: None: an alpha step learns from one batch and the probs of the
      relaxation. Otherwise it judges networks that it draws, each alone and all
      on the same first images of `valid`, and learns from a regression of their
      losses, see `nasjax.search.contributions`. Weights train as the relaxation
      says; with `relax.PATHS` one network a step.
    skip_nonfinite: whether to skip steps whose result is not finite; see
      `nasjax.guard.finite.skipping`.

  Returns:
    Functions that are not jitted.

  Raises:
    ValueError: two arguments do not go together.

  Example:
    >>> import jax.numpy as jnp
    >>> from nasjax import constraint, cost, spaces
    >>> from nasjax.supernet import Supernet
    >>> tiny, images = spaces.tiny(), jnp.zeros((20, 8, 8, 1), jnp.uint8)
    >>> arrays = data.Arrays(images, jnp.arange(20) % 10)
    >>> macs = cost.macs(tiny)
    >>> search = make(
    ...   Supernet(tiny), tiny.choices, data.Batches(10, (0.5,), (0.3,)),
    ...   [(macs, constraint.lagrangian(limit=8000, rate=0.1))],
    ...   weight_tx=optax.sgd(0.1), alpha_tx=optax.adam(0.01))
    >>> state = search.init(jax.random.key(0), arrays, arrays)
    >>> state, metrics = jax.jit(search.step)(state, arrays, arrays)
    >>> sorted(metrics)[:4]
    ['macs', 'macs_multiplier', 'macs_strict', 'skips']
  """
  guards.check(choices, relaxation)
  _check(net, choices, hypergradient, relaxation, guards)
  _check_sampling(choices, hypergradient, sampling)
  if form is None:
    samples = _weights_are_sampled(relaxation, choices)
    form = forms.sampled if samples else forms.whole
  setting = Setting(
    net=net,
    choices=choices,
    batches=batches,
    costs=_costs(constraints, projection),
    constraint=chain(*(constraint for _, constraint in constraints)),
    projection=projection,
    alpha_tx=alpha_tx,
    hypergradient=hypergradient,
    relaxation=relaxation,
    temperature=temperature,
    loss=loss,
    guards=guards,
    form=form(net, choices, weight_tx),
    sampling=sampling,
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
  losses = functools.partial(judge.losses, setting)
  params = functools.partial(steps.params, setting)
  return Search(init, weight_step, alpha_step, step, eigenvalue, params, losses)


def _weights_are_sampled(relaxation, choices) -> bool:
  """Whether a weight step runs only the ops that it sampled."""
  probs = relaxation.weight_probs or relaxation.probs
  return relax.is_sampled(relaxation._replace(probs=probs), choices)


def _check(net, choices, hypergradient, relaxation, guards) -> None:
  """Refuses arguments of `make` that do not go together."""
  samples = relax.is_sampled(relaxation, choices)
  if samples and hypergradient is not first:
    raise ValueError(
      f'hypergradient is {_name(hypergradient)}, which requires a relaxation '
      'that runs all ops; with one that samples ops it must be '
      'hypergradient.first.'
    )
  samples |= _weights_are_sampled(relaxation, choices)
  if samples and getattr(net, 'shares_weights', False):
    raise ValueError(
      f'net is {type(net).__name__}, whose ops share weights; it requires a '
      'relaxation that runs all ops, such as relax.SOFTMAX.'
    )
  if guards.fairness is not None and hypergradient is not first:
    raise ValueError(
      'guards.fairness requires hypergradient.first, got '
      f'{_name(hypergradient)}: fair weight steps do not depend on the alphas.'
    )


def _check_sampling(choices, hypergradient, sampling) -> None:
  if sampling is None:
    return
  if hypergradient is not first:
    raise ValueError(
      f'hypergradient is {_name(hypergradient)}; with sampling it must be '
      'hypergradient.first: the regression sees weights that are constant.'
    )
  options = sum(math.prod(c.shape) * (len(c) - 1) for c in choices.values())
  if not 1 <= sampling.per_step <= sampling.memory:
    raise ValueError(
      f'sampling.per_step is {sampling.per_step}; it must be 1 to '
      f'sampling.memory, {sampling.memory}.'
    )
  if sampling.memory <= options:
    raise ValueError(
      f'sampling.memory is {sampling.memory}; the choices have {options} free '
      'options, and a regression on them requires more networks than that.'
    )
  if sampling.images < 1 or not sampling.ridge > 0:
    raise ValueError(
      'sampling requires images >= 1 and ridge > 0, got '
      f'{sampling.images} and {sampling.ridge}.'
    )
  if not 0 < sampling.floor < 1:
    raise ValueError(
      f'sampling.floor is {sampling.floor}; it must be above 0 and below 1, so '
      'that every option is drawn.'
    )


def _name(function: Callable) -> str:
  function = getattr(function, 'func', function)
  name = getattr(function, '__qualname__', repr(function))
  return name.partition('.')[0]


def adam(
  learning_rate: optax.ScalarOrSchedule, *, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """Adam for alphas, with weight decay.

  Decay moves every choice towards equal probabilities (Liu et al. 2019, DARTS,
  section 3.1, use rate 3e-4 and decay 1e-3).

  Args:
    learning_rate: positive, or a schedule of the alphas' steps.
    weight_decay: coupled, as in PyTorch's Adam: added to the gradient.

  Raises:
    ValueError: a negative decay.

  Example:
    >>> import jax.numpy as jnp
    >>> tx, alphas = adam(0.1), {'slot': jnp.zeros(2)}
    >>> gradient = {'slot': jnp.array([3.0, -0.01])}
    >>> updates, _ = tx.update(gradient, tx.init(alphas), alphas)
    >>> updates['slot'].round(3).tolist()  # Adam's first step: sign times rate.
    [-0.10000000149011612, 0.10000000149011612]
  """
  if not weight_decay >= 0:
    raise ValueError(f'adam requires weight_decay >= 0, got {weight_decay}.')
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
  )


def _costs(constraints, projection) -> tuple[Cost, ...]:
  """All costs that are logged: first those of the constraints."""
  costs = [cost for cost, _ in constraints]
  projected = () if projection is None else projection.costs
  return tuple(dict.fromkeys([*costs, *projected]))

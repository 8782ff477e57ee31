"""The step of a training from scratch, and its state."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from nasjax import data
from nasjax.guard import finite
from nasjax.train import ema
from nasjax.train.distill import Teacher
from nasjax.train.losses import accuracy, cross_entropy


class State(NamedTuple):
  """All that the next step depends on. A pytree of arrays.

  Attributes:
    step: `i32[]`, steps done.
    key: PRNG key of the next step.
    params: weights.
    batch_stats: running statistics.
    opt_state: of the optimizer.
    ema: EMA of `params` and `batch_stats`; () without one.
    train: position in the training images; () where batches are given.
    skipped: `{'weights': i32[]}`, consecutive steps that were skipped because
      they were not finite.
  """

  step: jax.Array
  key: jax.Array
  params: Mapping
  batch_stats: Mapping
  opt_state: optax.OptState
  ema: dict | tuple[()]
  train: data.Sampler | tuple[()]
  skipped: dict[str, jax.Array]


class Train(NamedTuple):
  """Pure functions of one training.

  Attributes:
    init: `(key, train) -> state`; it consumes the key, and uses only the shapes
      of the arrays.
    step: `(state, train, teacher) -> (state, metrics)`; `train` is all
      training images or, where `batches` are not resident, the next batch;
      `teacher` is the teacher's variables, left out without a teacher.
  """

  init: Callable[[jax.Array, data.Arrays], State]
  step: Callable[..., tuple[State, dict[str, jax.Array]]]


class Weights(NamedTuple):
  """The variables of a trained network.

  Attributes:
    params: weights.
    batch_stats: running statistics.
  """

  params: Mapping
  batch_stats: Mapping


def weights(state: State) -> Weights:
  """The weights to evaluate: the EMA where there is one.

  Example:
    >>> state = State(0, None, {'w': 1.0}, {}, (), (), (), {})
    >>> weights(state)
    Weights(params={'w': 1.0}, batch_stats={})
    >>> average = {'params': {'w': 0.9}, 'batch_stats': {}}
    >>> weights(state._replace(ema=average)).params
    {'w': 0.9}
  """
  if state.ema:
    return Weights(**state.ema)
  return Weights(state.params, state.batch_stats)


def make(
  net: nn.Module,
  batches: data.Batches,
  *,
  tx: optax.GradientTransformation,
  smoothing: float = 0.1,
  decay: float = 0.0,
  teacher: Teacher | None = None,
  skip_nonfinite: bool = False,
) -> Train:
  """Makes the pure functions of a training.

  Args:
    net: any Linen module that is called `net(images, {}, train=...) -> logits`,
      such as `space.network(numerics)` of a space without choices. (The empty
      dict stands for the probabilities of its choices.) Dropout and drop-path
      are fields of the ops of a space, see `nasjax.train.drop_path`.
    batches: how a batch is drawn and prepared.
    tx: optimizer of the weights.
    smoothing: label smoothing, in [0, 1).
    decay: decay of the EMA, in [0, 1), see `nasjax.train.ema`; 0 is no EMA.
    teacher: a larger network to learn from, besides the labels.
    skip_nonfinite: whether to skip steps whose result is not finite; see
      `nasjax.guard.finite.skipping`.

  Returns:
    Functions that are not jitted.

  Raises:
    ValueError: `decay` is out of its range; by `init`, the network of a space
      has choices left.

  Example:
    >>> from nasjax import ops, space, spaces
    >>> tiny = spaces.tiny(image_size=8)
    >>> network = tiny.fix(space.Architecture.from_indices(tiny, (0, 0, 0)))
    >>> training = make(
    ...   network.network(ops.Numerics()),
    ...   data.Batches(4, (0.5,), (0.5,)),
    ...   tx=optax.sgd(0.1))
    >>> arrays = data.Arrays(
    ...   jax.ShapeDtypeStruct((8, 8, 8, 1), 'uint8'),
    ...   jax.ShapeDtypeStruct((8,), 'int32'))
    >>> state = jax.eval_shape(training.init, jax.random.key(0), arrays)
    >>> state, metrics = jax.eval_shape(training.step, state, arrays)
    >>> sorted(metrics), metrics['train_loss'].shape
    (['train_accuracy', 'train_loss'], ())
  """
  if not 0 <= decay < 1:
    raise ValueError(f'training requires a decay in [0, 1), got {decay}.')

  def init(key, train) -> State:
    key, for_net, for_train = jax.random.split(key, 3)
    shape = (1, *train.images.shape[1:])
    variables = net.init(for_net, jnp.zeros(shape), {}, train=False)
    stats = variables['batch_stats'] if 'batch_stats' in variables else {}
    start = Weights(variables['params'], stats)
    return State(
      step=jnp.int32(0),
      key=key,
      params=start.params,
      batch_stats=start.batch_stats,
      opt_state=tx.init(start.params),
      ema=start._asdict() if decay else (),
      train=batches.begin(for_train, train),
      skipped={'weights': jnp.int32(0)},
    )

  def losses(params, state, images, labels, taught, for_dropout):
    logits, updated = net.apply(
      {'params': params, 'batch_stats': state.batch_stats},
      images,
      {},
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': for_dropout},
    )
    value = cross_entropy(logits, labels, smoothing)
    if teacher is not None:
      value = teacher.combined(value, logits, taught)
    return value, (accuracy(logits, labels), updated.get('batch_stats', {}))

  def step(state: State, train: data.Arrays, teacher_weights: Any = ()):
    key, for_batch, for_dropout = jax.random.split(state.key, 3)
    images, labels, sampler = batches(state.train, train, for_batch)
    taught = None
    if teacher is not None:
      normal = batches.mean, batches.std
      taught = teacher.logits(teacher_weights, images, *normal)
    grad = jax.value_and_grad(losses, has_aux=True)
    (value, (right, stats)), g = grad(
      state.params, state, images, labels, taught, for_dropout
    )
    updates, opt_state = tx.update(g, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    now = Weights(params, stats)  # pyrefly: ignore[bad-argument-type] # optax: any tree
    averaged = ()
    if decay:
      new = now._asdict()
      averaged = ema.update(state.ema, new, state.step, decay)
    state = State(
      step=state.step + 1,
      key=key,
      params=now.params,
      batch_stats=stats,
      opt_state=opt_state,
      ema=averaged,
      train=sampler,
      skipped=state.skipped,
    )
    return state, {'train_loss': value, 'train_accuracy': right}

  return Train(
    init, finite.skipping(step, 'weights') if skip_nonfinite else step
  )

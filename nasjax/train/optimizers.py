"""Optimizers and schedules with which mobile networks are trained.

An optimizer is an optax chain: clip the gradient's norm, add the weight decay,
apply the rule. Only kernels decay; biases and batch norm's parameters do not
(He et al. 2019, Bag of Tricks, section 3.1).

Example:
  >>> tx = sgd(cosine(0.1, steps=100), clip_norm=1.0)
  >>> opt_state = tx.init({'kernel': jnp.ones((3, 3)), 'bias': jnp.ones(3)})
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from optax import GradientTransformation, ScalarOrSchedule, Schedule


def kernels(params: Any) -> Any:
  """Which parameters decay: those with more than one axis.

  Args:
    params: any tree of arrays.

  Returns:
    The same tree, of bools.

  Example:
    >>> kernels({'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)})
    {'bias': False, 'kernel': True}
  """
  return jax.tree.map(lambda p: p.ndim > 1, params)


def decay(params: Any, weight_decay: float) -> jax.Array:
  """The loss whose gradient is the coupled decay of `sgd` and `rmsprop`.

  Args:
    params: any tree of arrays.
    weight_decay: as theirs.

  Returns:
    `weight_decay / 2` times the sum of squares of the kernels, `f32[]`.

  Example:
    >>> params = {'kernel': jnp.full((1, 2), 3.0), 'bias': jnp.full(2, 3.0)}
    >>> round(float(decay(params, 0.1)), 6)  # 0.1 / 2 of 9 + 9
    0.9
  """
  leaves = [p for p in jax.tree.leaves(params) if p.ndim > 1]
  return jnp.asarray(weight_decay / 2 * sum((p**2).sum() for p in leaves))


# --- Schedules ---------------------------------------------------------------


def cosine(
  learning_rate: float, steps: int, *, warmup_steps: int | None = None
) -> Schedule:
  """Rises on a line (Goyal et al. 2017, section 2.2), falls on half a cosine.

  The fall is that of Loshchilov and Hutter 2017, eq. 5, without restarts, and
  ends at 0.

  Args:
    learning_rate: peak, positive.
    steps: number of steps of the whole training.
    warmup_steps: first steps, in which it rises from 0; None is a twentieth.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> rate = cosine(0.4, 100, warmup_steps=4)
    >>> [round(float(rate(step)), 6) for step in (0, 2, 4, 52, 100)]
    [0.0, 0.2, 0.4, 0.2, 0.0]
  """
  warmup_steps = steps // 20 if warmup_steps is None else warmup_steps
  if not learning_rate > 0 or steps < 1 or not 0 <= warmup_steps < steps:
    raise ValueError(
      'cosine requires learning_rate > 0, steps >= 1, 0 <= warmup_steps < '
      f'steps, got {learning_rate=}, {steps=}, {warmup_steps=}.'
    )
  return optax.warmup_cosine_decay_schedule(
    0.0, learning_rate, warmup_steps=warmup_steps, decay_steps=steps
  )


def staircase(
  learning_rate: float, stair: int, factor: float, *, warmup_steps: int = 0
) -> Schedule:
  """Constant for some steps, then smaller by a factor, and so on.

  Args:
    learning_rate: on the first stair, positive.
    stair: number of steps between two drops.
    factor: factor of the rate at each drop, in (0, 1].
    warmup_steps: first steps, in which it rises on a line from 0; stairs are
      counted from step 0 all the same.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> rate = staircase(0.4, 10, 0.5, warmup_steps=2)
    >>> [round(float(rate(step)), 6) for step in (0, 1, 2, 9, 10, 20)]
    [0.0, 0.2, 0.4, 0.4, 0.2, 0.1]
  """
  if (
    not learning_rate > 0
    or stair < 1
    or not 0 < factor <= 1
    or warmup_steps < 0
  ):
    raise ValueError(
      'staircase requires learning_rate > 0, stair >= 1, factor in (0, 1], '
      f'warmup_steps >= 0, got {learning_rate=}, {stair=}, {factor=}, '
      f'{warmup_steps=}.'
    )

  def rate(step):
    risen = jnp.minimum(1.0, step / max(1, warmup_steps))
    risen = risen if warmup_steps else 1.0
    return learning_rate * risen * factor ** (step // stair)

  return rate


# --- Optimizers --------------------------------------------------------------


def sgd(
  learning_rate: ScalarOrSchedule,
  *,
  weight_decay: float = 1e-4,
  momentum: float = 0.9,
  nesterov: bool = True,
  clip_norm: float | None = None,
) -> GradientTransformation:
  """SGD with momentum (Sutskever et al. 2013, for Nesterov's form).

  Args:
    learning_rate: a number or a schedule.
    weight_decay: coupled, as in PyTorch: added to the gradient of kernels.
    momentum: in [0, 1).
    nesterov: whether the step looks ahead.
    clip_norm: largest norm of the whole gradient, before the decay; None clips
      nothing.

  Raises:
    ValueError: an argument out of its range.

  Example:
    >>> tx = sgd(0.1, weight_decay=0.0, momentum=0.0, clip_norm=1.0)
    >>> params = jnp.zeros(2)
    >>> updates, _ = tx.update(jnp.array([3.0, 4.0]), tx.init(params), params)
    >>> updates.round(4).tolist()
    [-0.05999999865889549, -0.07999999821186066]
  """
  _check('sgd', weight_decay, clip_norm, momentum=momentum)
  return optax.chain(
    *_clipped(clip_norm),
    optax.add_decayed_weights(weight_decay, mask=kernels),
    optax.sgd(learning_rate, momentum=momentum, nesterov=nesterov),
  )


def rmsprop(
  learning_rate: ScalarOrSchedule,
  *,
  weight_decay: float = 1e-5,
  decay: float = 0.9,
  momentum: float = 0.9,
  epsilon: float = 1e-3,
  clip_norm: float | None = None,
) -> GradientTransformation:
  """RMSProp with momentum, as in TensorFlow.

  The MobileNet papers train with it. With gradient g,

    s = decay * s + (1 - decay) * g^2, from s = 1
    m = momentum * m + learning_rate * g / sqrt(s + epsilon)

  and m is subtracted. So epsilon is under the root, and each step in the
  momentum keeps the learning rate of its time. PyTorch differs in both, and
  starts from s = 0.

  Args:
    learning_rate: a number or a schedule.
    weight_decay: coupled: added to the gradient of kernels.
    decay: of the mean square, in [0, 1).
    momentum: in [0, 1).
    epsilon: positive. It sets the scale: with 1, as some papers have it, steps
      are about as large as those of SGD.
    clip_norm: largest norm of the whole gradient, before the decay; None clips
      nothing.

  Raises:
    ValueError: an argument out of its range.
  """
  _check('rmsprop', weight_decay, clip_norm, decay=decay, momentum=momentum)
  if not epsilon > 0:
    raise ValueError(f'rmsprop requires epsilon > 0, got {epsilon=}.')
  return optax.chain(
    *_clipped(clip_norm),
    optax.add_decayed_weights(weight_decay, mask=kernels),
    optax.rmsprop(
      learning_rate,
      decay=decay,
      eps=epsilon,
      initial_scale=1.0,
      eps_in_sqrt=True,
      momentum=momentum,
    ),
  )


def adamw(
  learning_rate: ScalarOrSchedule,
  *,
  weight_decay: float = 1e-2,
  b1: float = 0.9,
  b2: float = 0.999,
  epsilon: float = 1e-8,
  clip_norm: float | None = None,
) -> GradientTransformation:
  """Adam with decoupled weight decay (Loshchilov and Hutter 2019, alg. 2).

  Args:
    learning_rate: a number or a schedule.
    weight_decay: decoupled: kernels shrink by its product with the rate.
    b1: of the mean, in [0, 1).
    b2: of the mean square, in [0, 1).
    epsilon: added to the root, positive. Its square is added under the root, so
      that an update has a derivative where no gradient has been yet: what looks
      ahead to it (`nasjax.search.hypergradient.second`) needs one.
    clip_norm: largest norm of the whole gradient; None clips nothing.

  Raises:
    ValueError: an argument out of its range.
  """
  _check('adamw', weight_decay, clip_norm, b1=b1, b2=b2)
  if not epsilon > 0:
    raise ValueError(f'adamw requires epsilon > 0, got {epsilon=}.')
  return optax.chain(
    *_clipped(clip_norm),
    optax.adamw(
      learning_rate,
      b1=b1,
      b2=b2,
      eps=epsilon,
      eps_root=epsilon**2,
      weight_decay=weight_decay,
      mask=kernels,
    ),
  )


def _clipped(norm: float | None) -> list[GradientTransformation]:
  return [] if norm is None else [optax.clip_by_global_norm(norm)]


def _check(
  name: str, weight_decay: float, clip_norm: float | None, **shares: float
) -> None:
  """Raises ValueError for numbers out of range; shares lie in [0, 1)."""
  if not weight_decay >= 0:
    raise ValueError(f'{name} requires weight_decay >= 0, got {weight_decay=}.')
  if clip_norm is not None and not clip_norm > 0:
    raise ValueError(f'{name} requires clip_norm > 0, got {clip_norm=}.')
  for share, value in shares.items():
    if not 0 <= value < 1:
      raise ValueError(f'{name} requires {share} in [0, 1), got {value}.')

"""Distillation: a small network learns from the outputs of a larger one."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from nasjax.ops import Numerics
from nasjax.space import CellSpace, Space


def loss(
  logits: jax.Array, taught: jax.Array, temperature: float = 1.0
) -> jax.Array:
  """Mean divergence of a network's softened outputs from its teacher's.

  `T^2 KL(softmax(taught / T) || softmax(logits / T))`, `f32[]` (Hinton et al.
  2015, section 2). The factor keeps gradients about as large as those of the
  labels, whatever T is; they are
  `T (softmax(logits / T) - softmax(taught / T)) / N`.

  Args:
    logits: logits of the student, `f32[N, classes]`.
    taught: logits of the teacher, `f32[N, classes]`; no gradient flows into
      them.
    temperature: T, positive; the higher, the more small probabilities count.

  Raises:
    AssertionError: the two differ in shape.

  Example:
    >>> logits = jnp.array([[1.0, 2.0, 3.0]])
    >>> float(loss(logits, logits + 5, 4.0))
    0.0
  """
  chex.assert_equal_shape([logits, taught])
  divergence = optax.losses.kl_divergence_with_log_targets(
    jax.nn.log_softmax(logits / temperature),
    jax.nn.log_softmax(jax.lax.stop_gradient(taught) / temperature),
  )
  return temperature**2 * divergence.mean()


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A trained network that a student learns from; static and hashable.

  The teacher's weights are an argument of a training's step, not a field.

  Attributes:
    network: one op in every slot.
    mean: mean of each channel, with which its images were normalised.
    std: standard deviation of each channel, with which its images were
      normalised.
    weight: weight of its loss, in [0, 1]; the labels' loss has the rest.
    temperature: temperature at which both outputs are compared, positive.
    numerics: how the teacher is computed.

  Raises:
    ValueError: a number out of its range.

  Example:
    >>> from nasjax import zoo
    >>> teacher = Teacher(zoo.resnet18(), (0.5,) * 3, (0.5,) * 3, weight=0.25)
    >>> logits = jnp.array([[1.0, 2.0]])
    >>> float(teacher.combined(jnp.float32(1.0), logits, logits))  # 0.75 * 1
    0.75
  """

  network: Space | CellSpace
  mean: tuple[float, ...]
  std: tuple[float, ...]
  weight: float = 0.5
  temperature: float = 4.0
  numerics: Numerics = Numerics()  # noqa: RUF009 (frozen)

  def __post_init__(self):
    if not 0 <= self.weight <= 1 or not self.temperature > 0:
      raise ValueError(
        'Teacher requires a weight in [0, 1] and temperature > 0, got '
        f'{self.weight} and {self.temperature}.'
      )

  def logits(
    self,
    variables: Any,
    images: jax.Array,
    mean: tuple[float, ...],
    std: tuple[float, ...],
  ) -> jax.Array:
    """Logits of the teacher on images normalised for another network.

    Args:
      variables: `params` and `batch_stats` of the teacher.
      images: `f32[N, H, W, C]`.
      mean: mean of each channel, with which `images` were normalised.
      std: standard deviation of each channel, with which `images` were
        normalised.

    Returns:
      `f32[N, classes]`, computed with the running statistics.
    """
    if (mean, std) != (self.mean, self.std):
      axes = (1, 1, 1, -1)
      there, here = (
        [jnp.asarray(x, images.dtype).reshape(axes) for x in pair]
        for pair in ((self.mean, self.std), (mean, std))
      )
      images = (images * here[1] + here[0] - there[0]) / there[1]
    net = self.network.network(self.numerics)
    logits = net.apply(variables, images, {}, train=False)
    return logits  # pyrefly: ignore[bad-return] # flax: no tuple

  def combined(
    self, task: jax.Array, logits: jax.Array, taught: jax.Array
  ) -> jax.Array:
    """The student's loss: weighted mean of the task's and the teacher's."""
    own = loss(logits, taught, self.temperature)
    return (1 - self.weight) * task + self.weight * own

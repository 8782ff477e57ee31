"""The loss of a classifier, and its accuracy."""

import chex
import jax
import optax


def cross_entropy(
  logits: jax.Array, labels: jax.Array, smoothing: float = 0.0
) -> jax.Array:
  """Mean cross-entropy, `f32[]`, of `f32[N, classes]` with its labels.

  Args:
    logits: before the softmax.
    labels: class indices, `i32[N]`, or shares of the classes, as mixing gives
      them, `f32[N, classes]`.
    smoothing: weight of the uniform distribution in the targets (Szegedy et
      al. 2016, section 7).

  Raises:
    AssertionError: logits or labels have another shape.

  Example:
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[0.0, 1.0], [2.0, 0.0]])
    >>> hard = cross_entropy(logits, jnp.array([1, 0]), 0.1)
    >>> bool(hard == cross_entropy(logits, jnp.eye(2)[::-1], 0.1))
    True
  """
  _check_shapes(logits, labels)
  targets = labels
  if labels.ndim < logits.ndim:
    targets = jax.nn.one_hot(labels, logits.shape[-1])
  targets = optax.smooth_labels(targets, smoothing)
  return optax.softmax_cross_entropy(logits, targets).mean()


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Share of the images whose largest logit is that of their label, `f32[]`.

  Args:
    logits: before the softmax, `f32[N, classes]`.
    labels: class indices, `i32[N]`, or shares of the classes,
      `f32[N, classes]`, of which the largest counts.

  Raises:
    AssertionError: logits or labels have another shape.

  Example:
    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[0.0, 1.0], [2.0, 0.0]])
    >>> float(accuracy(logits, jnp.array([1, 1])))
    0.5
  """
  _check_shapes(logits, labels)
  if labels.ndim == logits.ndim:
    labels = labels.argmax(-1)
  return (logits.argmax(-1) == labels).mean()


def _check_shapes(logits: jax.Array, labels: jax.Array) -> None:
  # `[N, 1]` would broadcast to `[N, classes]`, or to `[N, N]`.
  chex.assert_rank([logits, labels], [2, {1, 2}])
  chex.assert_shape(labels, logits.shape[: labels.ndim])

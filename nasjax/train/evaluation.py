"""Predictions of a trained network, and their accuracy."""

from collections.abc import Callable, Iterable, Mapping

import chex
import flax.linen as nn
import jax
import numpy as np

from nasjax import data

Labels = Callable[[Mapping, Mapping, jax.Array | np.ndarray], jax.Array]


def logits(net: nn.Module, batches: data.Batches) -> Labels:
  """A function `(params, batch_stats, images) -> logits`.

  It uses the running statistics of batch norm.

  Args:
    net: as in `nasjax.train.make`.
    batches: only its normalisation is used; nothing is augmented.

  Example:
    >>> class Brightness(nn.Module):
    ...   def __call__(self, images, probs, *, train):
    ...     return images.mean((1, 2))
    >>> run = logits(Brightness(), data.Batches(1, (0.5,), (0.5,)))
    >>> run({}, {}, np.full((1, 1, 1, 1), 255, np.uint8)).tolist()
    [[1.0]]
  """

  def run(params, batch_stats, images):
    """`uint8[N, H, W, C]` to `f32[N, classes]`."""
    variables = {'params': params, 'batch_stats': batch_stats}
    x = data.normalise(images, batches.mean, batches.std)
    return net.apply(variables, x, {}, train=False)

  return run  # pyrefly: ignore[bad-return] # flax: no tuple


def predict(net: nn.Module, batches: data.Batches) -> Labels:
  """A function `(params, batch_stats, images) -> labels`.

  It uses the running statistics of batch norm.

  Args:
    net: as in `nasjax.train.make`.
    batches: only its normalisation is used; nothing is augmented.

  Example:
    >>> import jax.numpy as jnp
    >>> class Brightness(nn.Module):
    ...   def __call__(self, images, probs, *, train):
    ...     mean = images.mean((1, 2, 3))
    ...     return jnp.stack([-mean, mean], axis=-1)
    >>> labels = predict(Brightness(), data.Batches(1, (0.5,), (0.5,)))
    >>> images = np.array([10, 250], np.uint8).reshape(2, 1, 1, 1)
    >>> labels({}, {}, images).tolist()
    [0, 1]
  """

  run = logits(net, batches)

  def labels(params, batch_stats, images):
    """`uint8[N, H, W, C]` to `i32[N]`."""
    return run(params, batch_stats, images).argmax(-1)

  return labels


def evaluate(
  labels: Labels,
  params: Mapping,
  batch_stats: Mapping,
  arrays: data.Arrays,
  size: int = 500,
) -> float:
  """Accuracy on all images, from 0 to 1.

  Args:
    labels: a (jitted) function of `predict`.
    params: weights.
    batch_stats: running statistics.
    arrays: images and labels; any number of them.
    size: images at a time; the last, smaller batch is padded with copies of its
      first image, which are not counted.

  Raises:
    AssertionError: there are not as many labels as images.

  Example:
    >>> bright = lambda params, stats, images: images.mean((1, 2, 3)) > 127
    >>> images = np.array([10, 250, 240], np.uint8).reshape(3, 1, 1, 1)
    >>> arrays = data.Arrays(images, np.array([0, 1, 0]))
    >>> round(evaluate(bright, {}, {}, arrays, size=2), 3)
    0.667
  """
  chex.assert_equal_shape_prefix(list(arrays), 1)
  starts = range(0, len(arrays.labels), size)
  parts = (data.Arrays(*(a[s : s + size] for a in arrays)) for s in starts)
  return score(labels, params, batch_stats, parts, size)


def score(
  labels: Labels,
  params: Mapping,
  batch_stats: Mapping,
  batches: Iterable[data.Arrays],
  size: int,
) -> float:
  """Accuracy on the images of some batches, from 0 to 1.

  Args:
    labels: a (jitted) function of `predict`.
    params: weights.
    batch_stats: running statistics.
    batches: images and labels, at most `size` at a time.
    size: smaller batches are padded to it with copies of their first image,
      which are not counted.

  Example:
    >>> bright = lambda params, stats, images: images.mean((1, 2, 3)) > 127
    >>> images = np.array([10, 250], np.uint8).reshape(2, 1, 1, 1)
    >>> batches = [data.Arrays(images, [0, 1]), data.Arrays(images[:1], [1])]
    >>> round(score(bright, {}, {}, batches, size=2), 3)
    0.667
  """
  right = total = 0
  for images, wanted in batches:
    images, wanted = np.asarray(images), np.asarray(wanted)
    filled = np.concatenate([images, images[:1].repeat(size - len(images), 0)])
    found = np.asarray(labels(params, batch_stats, filled))[: len(wanted)]
    right += int((found == wanted).sum())
    total += len(wanted)
  return right / total

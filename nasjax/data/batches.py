"""Batches: sampling, augmentation, normalisation.

A step draws rows (`sampler_next`, `take`), augments them and calls `normalise`;
`Batches` does all three. Everything is pure and meant to run inside the step's
`jit`, on arrays that are on the device already.

Example:
  >>> from nasjax import data
  >>> arrays = jax.device_put(data.load().train)
  >>> mean, std = statistics(arrays.images)
  >>> batches = Batches(32, mean, std, Augment(pad=1, flip=True))
  >>> sampler = sampler_init(jax.random.key(0), len(arrays.labels))
  >>> images, labels, sampler = batches(sampler, arrays, jax.random.key(1))
  >>> images.shape
  (32, 28, 28, 1)
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nasjax.data.augment import Augment, augment, mix
from nasjax.data.dataset import Arrays
from nasjax.errors import InputError
from nasjax.ops import per_channel


class Sampler(NamedTuple):
  """Position in an epoch: a pytree, part of the training state.

  Attributes:
    key: the PRNG key that the next epochs are drawn from.
    order: `int32[n]`, this epoch's permutation.
    position: `int32[]`, number of examples of `order` that were used.
  """

  key: jax.Array
  order: jax.Array
  position: jax.Array


def _begin_epoch(key: jax.Array, n: int) -> Sampler:
  key, used = jax.random.split(key)
  order = jax.random.permutation(used, jnp.arange(n, dtype=jnp.int32))
  return Sampler(key, order, jnp.zeros((), jnp.int32))


def sampler_init(key: jax.Array, n: int) -> Sampler:
  """Begins the first epoch over `n` examples.

  Args:
    key: the PRNG key; it is consumed.
    n: number of examples, at least 1.

  Raises:
    InputError: `n` is below 1.

  Example:
    >>> sampler_init(jax.random.key(0), 4).order.shape
    (4,)
  """
  if n < 1:
    raise InputError(f'cannot sample from {n} examples; at least 1 is needed')
  return _begin_epoch(key, n)


def check_size(batch_size: int, examples: int) -> None:
  """Raises InputError for a batch larger than the number of examples.

  Example:
    >>> check_size(100, examples=100)
    >>> check_size(200, examples=100)
    Traceback (most recent call last):
    ...
    nasjax.errors.InputError: batch_size is 200; with 100 examples it must ...
  """
  if not 1 <= batch_size <= examples:
    raise InputError(
      f'batch_size is {batch_size}; with {examples} examples it must be 1 to '
      f'{examples}'
    )


def sampler_next(
  sampler: Sampler, batch_size: int
) -> tuple[jax.Array, Sampler]:
  """Draws the next batch; within an epoch no example comes twice.

  When fewer than `batch_size` examples are left, they are dropped and the next
  epoch begins with a fresh permutation: a batch always has the same shape. Only
  then is anything sorted (under `vmap`, where both branches run, always).

  Args:
    sampler: the state; use the one returned from now on.
    batch_size: examples per batch, static, at most the number of examples.

  Returns:
    `(indices, sampler)`, indices `int32[batch_size]`.

  Raises:
    InputError: `batch_size` is below 1 or above the number of examples.

  Example:
    >>> sampler = sampler_init(jax.random.key(0), 4)
    >>> a, sampler = sampler_next(sampler, 2)
    >>> b, sampler = sampler_next(sampler, 2)
    >>> sorted(a.tolist() + b.tolist())
    [0, 1, 2, 3]
  """
  n = sampler.order.shape[0]
  check_size(batch_size, n)
  sampler = jax.lax.cond(
    sampler.position + batch_size > n,
    lambda s: _begin_epoch(s.key, n),
    lambda s: s,
    sampler,
  )
  indices = jax.lax.dynamic_slice(
    sampler.order, (sampler.position,), (batch_size,)
  )
  return indices, sampler._replace(position=sampler.position + batch_size)


def take(arrays: Arrays, indices: ArrayLike) -> tuple[jax.Array, jax.Array]:
  """Picks rows.

  Args:
    arrays: put it on the device first; NumPy arrays are copied there each time.
    indices: `int[batch]`, from 0; beyond the end, the last row is taken.

  Returns:
    `(images, labels)`: `uint8[batch, height, width, channels]`, `int32[batch]`.

  Raises:
    AssertionError: there are not as many labels as images.

  Example:
    >>> from nasjax import data
    >>> images, labels = take(data.load().test, np.arange(3))
    >>> labels.tolist()
    [9, 2, 1]
  """
  images, labels = arrays
  chex.assert_equal_shape_prefix([images, labels], 1)
  images = jnp.take(jnp.asarray(images), indices, axis=0, mode='clip')
  labels = jnp.take(jnp.asarray(labels), indices, axis=0, mode='clip')
  return images, labels


def statistics(
  images: jax.Array | np.ndarray, *, chunk: int = 4096
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and standard deviation of each channel; give it training images only.

  Args:
    images: `uint8[n, height, width, channels]`.
    chunk: images that are widened at a time, which bounds the memory.

  Returns:
    `(mean, std)` for pixels scaled to 0 to 1, a float per channel: exact sums,
    divided in float64. A channel that never varies gets 1 as `std`, so that
    `normalise` makes it 0.

  Raises:
    AssertionError: images have no axis of channels.

  Example:
    >>> statistics(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
    ((0.5,), (0.5,))
  """
  chex.assert_rank(images, 4)
  channels = images.shape[-1]
  counts = np.zeros((channels, 256), np.int64)
  for start in range(0, len(images), chunk):
    part = np.asarray(images[start : start + chunk])
    for c in range(channels):
      counts[c] += np.bincount(part[..., c].ravel(), minlength=256)
  value = np.arange(256) / 255
  share = counts / counts.sum(axis=1, keepdims=True)
  mean = share @ value
  std = np.sqrt((share * (value - mean[:, None]) ** 2).sum(axis=1))
  std = np.where((counts > 0).sum(axis=1) > 1, std, 1.0)
  return tuple(mean.tolist()), tuple(std.tolist())


def normalise(
  images: jax.Array, mean: Sequence[float], std: Sequence[float]
) -> jax.Array:
  """Scales pixels to mean 0 and standard deviation 1.

  Args:
    images: `uint8[..., channels]`.
    mean: mean of each channel, for pixels scaled to 0 to 1.
    std: standard deviation of each channel, for pixels scaled to 0 to 1.

  Returns:
    `float32[..., channels]`.

  Raises:
    AssertionError: `mean` or `std` is of another number of channels.

  Example:
    >>> normalise(jnp.array([[0], [255]], jnp.uint8), (0.5,), (0.5,)).tolist()
    [[-1.0], [1.0]]
  """
  chex.assert_axis_dimension(images, -1, len(mean))
  chex.assert_axis_dimension(images, -1, len(std))
  centre = per_channel(jnp.asarray(mean, jnp.float32), images)
  scale = per_channel(jnp.asarray(std, jnp.float32), images)
  return (images.astype(jnp.float32) / 255 - centre) / scale


@dataclasses.dataclass(frozen=True)
class Batches:
  """How a batch is drawn and prepared; static and hashable.

  Attributes:
    size: images per batch.
    mean: mean of each channel, see `statistics`.
    std: standard deviation of each channel, see `statistics`.
    policy: augmentation.
    num_classes: number of classes; only `mixup` needs it.
    resident: True if a step gets whole sets and draws a batch from them; False
      if it gets batches, such as those of `nasjax.data.stream`.
    sharding: devices over which a batch is split, along its first axis; None
      leaves it to the compiler. Batch norm's statistics and gradients are those
      of the whole batch.

  Raises:
    InputError: the policy has `mixup`, and `num_classes` is not given.

  Example:
    >>> batches = Batches(32, mean=(0.5,), std=(0.5,))
    >>> arrays = Arrays(np.zeros((100, 8, 8, 1), np.uint8), np.arange(100))
    >>> key = jax.random.key(0)
    >>> sampler = jax.eval_shape(batches.begin, key, arrays)
    >>> images, _, _ = jax.eval_shape(batches, sampler, arrays, key)
    >>> images.shape, images.dtype.name
    ((32, 8, 8, 1), 'float32')
  """

  size: int
  mean: tuple[float, ...]
  std: tuple[float, ...]
  policy: Augment = Augment()  # noqa: RUF009 (frozen)
  num_classes: int = 0
  resident: bool = True
  sharding: jax.sharding.NamedSharding | None = None

  def __post_init__(self):
    if self.policy.mixup and self.num_classes < 1:
      raise InputError(
        f'num_classes is {self.num_classes}; to mix labels it must be known'
      )

  def begin(self, key: jax.Array, arrays: Arrays) -> Sampler | tuple[()]:
    """The position before the first batch; () where batches are given.

    Args:
      key: PRNG key of the order, consumed.
      arrays: as in a call; only their number is used.
    """
    return sampler_init(key, len(arrays.labels)) if self.resident else ()

  def __call__(
    self, sampler: Sampler | tuple[()], arrays: Arrays, key: jax.Array
  ) -> tuple[jax.Array, jax.Array, Sampler | tuple[()]]:
    """The next batch, ready for the network.

    Args:
      sampler: position in `arrays`, from `begin` on.
      arrays: resident on the device, or a batch.
      key: PRNG key of the augmentation, consumed.

    Returns:
      `(images, labels, sampler)`: `f32[size, height, width, channels]`,
      `i32[size]`, and the position behind them. Where images are mixed labels
      are shares of the classes, `f32[size, num_classes]`.
    """
    if self.resident:
      if not isinstance(sampler, Sampler):
        raise TypeError(f'sampler is {sampler!r}; it must come from begin')
      indices, sampler = sampler_next(sampler, self.size)
      arrays = Arrays(*take(arrays, indices))
    images, labels = self.prepared(arrays, key)
    return images, labels, sampler

  def prepared(
    self, arrays: Arrays, key: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Augments and normalises drawn rows.

    Args:
      arrays: a batch, `uint8[n, height, width, channels]` and `i32[n]`.
      key: PRNG key of the augmentation, consumed.

    Returns:
      `(images, labels)`, as a call does.
    """
    if self.sharding is not None:
      arrays = jax.lax.with_sharding_constraint(arrays, self.sharding)
    images, labels = map(jnp.asarray, arrays)
    mix_key = None
    if self.policy.mixup:
      key, mix_key = jax.random.split(key)
    images = augment(key, images, self.policy)
    images = normalise(images, self.mean, self.std)
    if mix_key is None:
      return images, labels
    shares = jax.nn.one_hot(labels, self.num_classes, dtype=images.dtype)
    return mix(mix_key, images, shares, self.policy.mixup)

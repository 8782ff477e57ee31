"""What happens to a batch on its way to the network.

A step picks its rows (`sampler_next`, `take`), then calls `augment` and
`normalise`; `Batches` does all of it. Everything is pure and meant to run
inside the step's `jit`, on arrays that were put on the device before it.

Example:
  >>> arrays = jax.device_put(data.load().train)
  >>> mean, std = statistics(arrays.images)
  >>> batches = Batches(32, mean, std, augment_for('fashion_mnist_5k', 28))
  >>> sampler = sampler_init(jax.random.key(0), len(arrays.labels))
  >>> images, labels, sampler = batches(sampler, arrays, jax.random.key(1))
  >>> images.shape
  (32, 28, 28, 1)
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nasjax import data
from nasjax.errors import InputError

# A mirrored digit, letter or sign is another one, or none. Parts of TFDS names:
# set or configuration.
_NO_FLIP = frozenset(
  'mnist mnist_corrupted binarized_mnist emnist kmnist omniglot svhn'
  ' svhn_cropped binary_alpha_digits cmaterdb gtsrb'.split()
)


class Sampler(NamedTuple):
  """Where a pass over the data stands: a pytree, part of the training state.

  Attributes:
    key: the PRNG key that the next epochs are drawn from.
    order: `int32[n]`, this epoch's permutation.
    position: `int32[]`, how much of `order` is used up.
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
  """Raises InputError where that many examples give no such batch."""
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


def take(
  arrays: data.Arrays, indices: ArrayLike
) -> tuple[jax.Array, jax.Array]:
  """Picks rows.

  Args:
    arrays: put it on the device first; NumPy arrays are copied there each time.
    indices: `int[batch]`, from 0; beyond the end, the last row is taken.

  Returns:
    `(images, labels)`: `uint8[batch, height, width, channels]`, `int32[batch]`.

  Example:
    >>> images, labels = take(data.load().test, np.arange(3))
    >>> labels.tolist()
    [9, 2, 1]
  """
  images, labels = arrays
  images = jnp.take(jnp.asarray(images), indices, axis=0, mode='clip')
  labels = jnp.take(jnp.asarray(labels), indices, axis=0, mode='clip')
  return images, labels


@dataclasses.dataclass(frozen=True)
class Augment:
  """What `augment` does; static and hashable. The default does nothing.

  Attributes:
    pad: black pixels added on each side before a window of the original size is
      cut out at random.
    flip: mirror left and right, half of the images.
    cutout: edge in pixels of a black square (DeVries and Taylor 2017, section
      3.2: its centre is anywhere, so part of it may be outside).

  Raises:
    InputError: a negative number of pixels.

  Example:
    >>> Augment(pad=4, flip=True)
    Augment(pad=4, flip=True, cutout=0)
  """

  pad: int = 0
  flip: bool = False
  cutout: int = 0

  def __post_init__(self):
    for field in ('pad', 'cutout'):
      if getattr(self, field) < 0:
        raise InputError(
          f'{field} is {getattr(self, field)} pixels; it must be 0 or more'
        )

  def check(self, height: int, width: int) -> None:
    """Raises InputError where the cutout is larger than the image."""
    if self.cutout > min(height, width):
      raise InputError(
        f'cutout is {self.cutout} pixels; for images of {height} x {width} it '
        f'must be at most {min(height, width)}'
      )


def augment_for(name: str, image_size: int) -> Augment:
  """The usual augmentation of a set: pad and crop, flip unless it is text.

  Args:
    name: name of the set, as `load` takes it; one that is not known to show
      digits, letters or signs is flipped.
    image_size: edge of the images in pixels.

  Example:
    >>> augment_for('cifar10', 32)
    Augment(pad=4, flip=True, cutout=0)
    >>> augment_for('emnist/letters', 28)
    Augment(pad=1, flip=False, cutout=0)
  """
  flip = _NO_FLIP.isdisjoint(re.split('[/:]', name))
  # Objects of 28-pixel sets fill their frame and are centred: little is moved.
  return Augment(pad=1 if image_size <= 28 else image_size // 8, flip=flip)


def augment(key: jax.Array, images: jax.Array, policy: Augment) -> jax.Array:
  """Pads and crops, flips, then cuts out; each image on its own.

  Args:
    key: the PRNG key; it is consumed.
    images: `uint8[n, height, width, channels]`.
    policy: what to do, static.

  Returns:
    Images of the same shape and type.

  Raises:
    InputError: the cutout is larger than the image.

  Example:
    >>> images = jnp.full((2, 8, 8, 1), 255, jnp.uint8)
    >>> augment(jax.random.key(0), images, Augment(flip=True)).shape
    (2, 8, 8, 1)
  """
  n, height, width, channels = images.shape
  policy.check(height, width)
  crop_key, flip_key, cut_key = jax.random.split(key, 3)
  if policy.pad:
    p = policy.pad
    start = jax.random.randint(crop_key, (n, 2), 0, 2 * p + 1, jnp.int32)
    zero = jnp.zeros((), jnp.int32)  # A plain 0 is int64 under x64.
    padded = jnp.pad(images, ((0, 0), (p, p), (p, p), (0, 0)))
    images = jax.vmap(
      lambda image, at: jax.lax.dynamic_slice(
        image, (at[0], at[1], zero), (height, width, channels)
      )
    )(padded, start)
  if policy.flip:
    flipped = jax.random.bernoulli(flip_key, 0.5, (n, 1, 1, 1))
    images = jnp.where(flipped, images[:, :, ::-1], images)
  if policy.cutout:
    row_key, column_key = jax.random.split(cut_key)
    rows = _cut_range(row_key, n, height, policy.cutout)[:, :, None, None]
    columns = _cut_range(column_key, n, width, policy.cutout)[:, None, :, None]
    images = jnp.where(rows & columns, jnp.zeros((), images.dtype), images)
  return images


def _cut_range(key: jax.Array, n: int, length: int, size: int) -> jax.Array:
  """`bool[n, length]`: `size` places in a row, less those past the ends."""
  centre = jax.random.randint(key, (n, 1), 0, length, jnp.int32)
  place = jnp.arange(length, dtype=jnp.int32)[None] - (centre - size // 2)
  return (place >= 0) & (place < size)


def statistics(
  images: ArrayLike, *, chunk: int = 4096
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Mean and standard deviation of each channel; give it training images only.

  Args:
    images: `uint8[n, height, width, channels]`.
    chunk: images that are widened at a time, which bounds the memory.

  Returns:
    `(mean, std)` for pixels scaled to 0 to 1, a float per channel: exact sums,
    divided in float64. A channel that never varies gets 1 as `std`, so that
    `normalise` makes it 0.

  Example:
    >>> statistics(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
    ((0.5,), (0.5,))
  """
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
    mean: of each channel, for pixels scaled to 0 to 1; see `statistics`.
    std: likewise.

  Returns:
    `float32[..., channels]`.

  Example:
    >>> normalise(jnp.array([[0], [255]], jnp.uint8), (0.5,), (0.5,)).tolist()
    [[-1.0], [1.0]]
  """
  # Explicit axes, for callers who forbid implicit rank promotion.
  axes = (1,) * (images.ndim - 1) + (-1,)
  mean = jnp.asarray(mean, jnp.float32).reshape(axes)
  std = jnp.asarray(std, jnp.float32).reshape(axes)
  return (images.astype(jnp.float32) / 255 - mean) / std


@dataclasses.dataclass(frozen=True)
class Batches:
  """How a batch is drawn from resident arrays; static and hashable.

  Attributes:
    size: images per batch.
    mean: of each channel, see `statistics`.
    std: likewise.
    policy: augmentation.
  """

  size: int
  mean: tuple[float, ...]
  std: tuple[float, ...]
  policy: Augment = Augment()

  def __call__(
    self, sampler: Sampler, arrays: data.Arrays, key: jax.Array
  ) -> tuple[jax.Array, jax.Array, Sampler]:
    """The next batch, ready for the network.

    Args:
      sampler: position in `arrays`.
      arrays: resident on the device.
      key: PRNG key of the augmentation, consumed.

    Returns:
      `(images, labels, sampler)`: `f32[size, height, width, channels]`,
      `i32[size]`, and the position behind them.
    """
    indices, sampler = sampler_next(sampler, self.size)
    images, labels = take(arrays, indices)
    images = augment(key, images, self.policy)
    return normalise(images, self.mean, self.std), labels, sampler

"""Random augmentation of training images.

Everything is pure and meant to run inside the step's `jit`. Validation and test
images are not augmented.

Example:
  >>> images = jnp.full((2, 8, 8, 1), 255, jnp.uint8)
  >>> policy = Augment(pad=1, flip=True)
  >>> augment(jax.random.key(0), images, policy).shape
  (2, 8, 8, 1)
"""

import dataclasses
import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np

from nasjax.errors import InputError

# A mirrored digit, letter or sign is another one, or none. Parts of TFDS names:
# set or configuration.
_NO_FLIP = frozenset(
  'mnist mnist_corrupted binarized_mnist emnist kmnist omniglot svhn'
  ' svhn_cropped binary_alpha_digits cmaterdb gtsrb'.split()
)


@dataclasses.dataclass(frozen=True)
class Augment:
  """A policy for `augment`; static and hashable. The default does nothing.

  Attributes:
    pad: black pixels added on each side before a window of the original size is
      cut out at random.
    flip: mirror left and right, half of the images.
    cutout: edge in pixels of a black square (DeVries and Taylor 2017, section
      3.2: its centre is anywhere, so part of it may be outside).
    erasing: fraction of the images in which a rectangle is overwritten with
      noise (Zhong et al. 2020, algorithm 1).
    mixup: how evenly two images are mixed, the parameter of a symmetric Beta
      distribution; 0 mixes none (Zhang et al. 2018, eq. 2). Done by `mix`.

  Raises:
    InputError: a number out of range.

  Example:
    >>> Augment(pad=4, flip=True) == Augment(4, True, cutout=0)
    True
  """

  pad: int = 0
  flip: bool = False
  cutout: int = 0
  erasing: float = 0.0
  mixup: float = 0.0

  def __post_init__(self):
    for field in ('pad', 'cutout'):
      if getattr(self, field) < 0:
        raise InputError(
          f'{field} is {getattr(self, field)} pixels; it must be 0 or more'
        )
    if not 0 <= self.erasing <= 1:
      raise InputError(f'erasing is {self.erasing}; it must be 0 to 1')
    if not 0 <= self.mixup < float('inf'):
      raise InputError(
        f'mixup is {self.mixup}; it must be 0 or more, and finite'
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
    >>> augment_for('cifar10', 32) == Augment(pad=4, flip=True)
    True
    >>> augment_for('emnist/letters', 28) == Augment(pad=1)
    True
  """
  flip = _NO_FLIP.isdisjoint(re.split('[/:]', name))
  # Objects of 28-pixel sets fill their frame and are centred: little is moved.
  return Augment(pad=1 if image_size <= 28 else image_size // 8, flip=flip)


def augment(key: jax.Array, images: jax.Array, policy: Augment) -> jax.Array:
  """Pads and crops, flips, cuts out, then erases; each image on its own.

  Args:
    key: the PRNG key; it is consumed.
    images: `uint8[n, height, width, channels]`.
    policy: static; its `mixup` is not used, since it changes labels.

  Returns:
    Images of the same shape and type.

  Raises:
    InputError: the cutout is larger than the image.

  Example:
    >>> images = jnp.full((2, 8, 8, 1), 255, jnp.uint8)
    >>> augment(jax.random.key(0), images, Augment(flip=True)).shape
    (2, 8, 8, 1)
  """
  n, height, width, _ = images.shape
  policy.check(height, width)
  crop_key, flip_key, cut_key, erase_key = jax.random.split(key, 4)
  if policy.pad:
    images = _crop(crop_key, images, policy.pad)
  if policy.flip:
    flipped = jax.random.bernoulli(flip_key, 0.5, (n, 1, 1, 1))
    images = jnp.where(flipped, images[:, :, ::-1], images)
  if policy.cutout:
    row_key, column_key = jax.random.split(cut_key)
    rows = _cut_range(row_key, n, height, policy.cutout)[:, :, None, None]
    columns = _cut_range(column_key, n, width, policy.cutout)[:, None, :, None]
    images = jnp.where(rows & columns, jnp.zeros((), images.dtype), images)
  if policy.erasing:
    images = _erase(erase_key, images, policy.erasing)
  return images


def mix(
  key: jax.Array, images: jax.Array, labels: jax.Array, mixup: float
) -> tuple[jax.Array, jax.Array]:
  """Mixes each image, and its label, with another one of the batch.

  One share is drawn for the batch, and every image is the first of one pair
  and the second of one: sums over the batch stay what they were.

  Args:
    key: the PRNG key; it is consumed.
    images: `f32[n, height, width, channels]`.
    labels: `f32[n, classes]`, each row sums to 1.
    mixup: parameter of the Beta distribution of the share, positive.

  Returns:
    `(images, labels)` of the same shapes.

  Raises:
    AssertionError: images or labels have another shape.

  Example:
    >>> images, labels = jnp.ones((2, 8, 8, 1)), jnp.eye(2)
    >>> mix(jax.random.key(0), images, labels, 0.2)[1].sum(axis=1).tolist()
    [1.0, 1.0]
  """
  chex.assert_rank(labels, 2)
  chex.assert_equal_shape_prefix([images, labels], 1)
  share_key, order_key = jax.random.split(key)
  share = jax.random.beta(share_key, mixup, mixup, dtype=images.dtype)
  order = jax.random.permutation(
    order_key, jnp.arange(len(images), dtype=jnp.int32)
  )

  def mixed(x: jax.Array) -> jax.Array:
    return share * x + (1 - share) * x[order]

  return mixed(images), mixed(labels)


def _crop(key: jax.Array, images: jax.Array, pad: int) -> jax.Array:
  n, height, width, channels = images.shape
  start = jax.random.randint(key, (n, 2), 0, 2 * pad + 1, jnp.int32)
  zero = jnp.zeros((), jnp.int32)  # A plain 0 is int64 under x64.
  padded = jnp.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
  return jax.vmap(
    lambda image, at: jax.lax.dynamic_slice(
      image, (at[0], at[1], zero), (height, width, channels)
    )
  )(padded, start)


def _cut_range(key: jax.Array, n: int, length: int, size: int) -> jax.Array:
  """`bool[n, length]`: `size` places in a row, less those past the ends."""
  centre = jax.random.randint(key, (n, 1), 0, length, jnp.int32)
  place = jnp.arange(length, dtype=jnp.int32)[None] - (centre - size // 2)
  return (place >= 0) & (place < size)


def _erase(key: jax.Array, images: jax.Array, share: float) -> jax.Array:
  """Overwrites a rectangle of `share` of the images with noise.

  It covers 2 to 40 % of the image, and its edges are at most 10 to 3: the
  paper's ranges. Where the paper draws until it fits, this cuts it to fit.
  """
  n, height, width, _ = images.shape
  which, area, ratio, row, column, noise = jax.random.split(key, 6)
  erased = jax.random.bernoulli(which, share, (n, 1))
  one = functools.partial(jax.random.uniform, shape=(n, 1), dtype=jnp.float32)
  pixels = one(area, minval=0.02, maxval=0.4) * (height * width)
  root = jnp.exp(0.5 * one(ratio, minval=np.log(0.3), maxval=-np.log(0.3)))
  rows = _run(one(row), jnp.sqrt(pixels) * root, height)
  columns = _run(one(column), jnp.sqrt(pixels) / root, width)
  inside = (erased & rows)[:, :, None, None] & columns[:, None, :, None]
  return jnp.where(
    inside, jax.random.bits(noise, images.shape, images.dtype), images
  )


def _run(at: jax.Array, edge: jax.Array, length: int) -> jax.Array:
  """`bool[n, length]`: `edge` places in a row, whole, from `at` (0 to 1) on."""
  edge = jnp.clip(jnp.round(edge), 1, length)
  start = jnp.floor(at * (length - edge + 1))
  place = jnp.arange(length, dtype=jnp.float32)[None]
  return (place >= start) & (place < start + edge)

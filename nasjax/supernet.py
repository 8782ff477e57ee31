"""The network of a space: every candidate at once, mixed by probs."""

from collections.abc import Mapping

import flax.linen as nn
import jax

from nasjax.ops import Numerics
from nasjax.space import Slot, Space


class Mixed(nn.Module):
  """Sum over a slot's ops of prob times output (Liu et al. 2019, eq. 2)."""

  slot: Slot
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(
    self, x: jax.Array, probs: jax.Array | None, train: bool
  ) -> jax.Array:
    """`probs`: `f32[ops]`; of a slot with one op it is not looked at."""
    slot = self.slot
    outputs = []
    for op in slot.ops:
      module = op.module(slot.features, slot.stride, self.numerics)
      outputs.append(module.clone(name=op.name, parent=self)(x, train))
    if len(outputs) == 1:
      return outputs[0]
    return sum(probs[i].astype(y.dtype) * y for i, y in enumerate(outputs))


class Supernet(nn.Module):
  """The network of a chain space, from images to logits.

  Parameters are named `slot / op / ...` whether a slot has one op or many, so
  those of a derived network (`nasjax.space.fix`) are a part of the supernet's.

  Attributes:
    space: what the network holds; with one op in every slot it is an ordinary
      network, and `probs` is `{}`.
    numerics: how it is computed.

  Example:
    >>> import jax, jax.numpy as jnp
    >>> from nasjax import relax, space, spaces
    >>> tiny = spaces.tiny()
    >>> net = Supernet(tiny)
    >>> images = jnp.zeros((2, tiny.image_size, tiny.image_size, 1))
    >>> probs = relax.softmax(space.init_alphas(tiny))
    >>> variables = net.init(jax.random.key(0), images, probs, train=False)
    >>> net.apply(variables, images, probs, train=False).shape
    (2, 10)
  """

  space: Space
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    probs: Mapping[str, jax.Array],
    *,
    train: bool,
  ) -> jax.Array:
    """Computes logits.

    Args:
      images: `f32[N, H, W, C]`, normalised.
      probs: slot name to `f32[ops]`, for the slots that have several ops.
      train: batch statistics (and `batch_stats` updated) instead of the
        running ones, dropout on.

    Returns:
      `f32[N, num_classes]`.

    Raises:
      ValueError: `probs` lacks a slot that has several ops.
    """
    missing = [name for name in self.space.choices if name not in probs]
    if missing:
      raise ValueError(f'probs lacks the slots {", ".join(missing)}')
    x = images
    if self.numerics.dtype is not None:
      x = x.astype(self.numerics.dtype)
    for slot in self.space.slots:
      mixed = Mixed(slot, self.numerics, name=slot.name)
      x = mixed(x, probs.get(slot.name), train)
    return x

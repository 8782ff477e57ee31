"""A supernet with weight sharing: one block per slot holds all ops.

A slot's inverted bottlenecks are parts of the largest one
(`nasjax.supernet.masks`). The probabilities mix weights and channels of that
block, where those of `nasjax.supernet.mixed` mix the outputs of all ops. So a
slot costs as much as its largest op, however many ops it has.
"""

import functools
from collections.abc import Mapping
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nasjax.ops import (
  ACTIVATIONS,
  Depthwise,
  Numerics,
  Pointwise,
  Skip,
  SqueezeExcite,
  batch_norm,
  per_channel,
  shuffle_channels,
)
from nasjax.space import Slot, Space, Width, channels
from nasjax.supernet import masks as masks_lib
from nasjax.supernet import sharing
from nasjax.supernet.downsampling import Downsampling
from nasjax.supernet.masks import Masks, Nest
from nasjax.supernet.mixed import channel_mask, check_choices, rematted


class NestedBlock(nn.Module):
  """One block that holds all ops of a nest, by masks; without the shortcut.

  With x the input, padded with channels of 0 to the width of the depthwise
  convolution, E and D the expansion and the depthwise convolution, each with
  its batch norm, S the squeeze-excite and P the projection with its batch norm,

      h = (1 - plain) act(E x) + plain x
      y = P(S(kept act(D h))),  D's kernel times taps

  Before `kept`, each channel is computed from itself alone, batch norm
  included, so channels that an op lacks do not affect the others. `kept` sets
  them to 0.
  """

  nest: Nest
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, masks: Masks, train: bool) -> jax.Array:
    nest, op = self.nest, self.nest.ops[0]
    norm = functools.partial(batch_norm, self.numerics, train)
    pointwise = functools.partial(
      Pointwise, numerics=self.numerics, use_bias=op.bias, groups=op.groups
    )
    act = ACTIVATIONS[op.activation]
    h = _resized(x, nest.mid)
    if not nest.plain.all():
      y = pointwise(nest.mid, name='expand')(x)
      y = act(norm('expand_bn')(y))
      if op.groups > 1:
        y = shuffle_channels(y, op.groups)
      plain = _per_channel(masks.plain, y)
      # No x + (1 - plain) (y - x): where plain is 1 that is x but for rounding.
      h = (1 - plain) * y + plain * h if nest.plain.any() else y
    y = Depthwise(nest.kernel, self.stride, self.numerics, op.bias, name='dw')(
      h, masks.taps
    )
    y = act(norm('dw_bn')(y))
    y = y * _per_channel(masks.kept, y)
    if masks.squeezed is not None:
      y = SqueezeExcite(
        int(nest.squeezed.max()),
        op.se_activation,
        op.se_gate,
        self.numerics,
        name='se',
      )(y, _per_channel(masks.squeezed, y))
    y = pointwise(self.features, name='project')(y)
    return norm('project_bn')(y)


def _per_channel(mask: jax.Array | np.ndarray, x: jax.Array) -> jax.Array:
  return per_channel(jnp.asarray(mask.astype(x.dtype)), x)


def _resized(x: jax.Array, features: int) -> jax.Array:
  """The first channels, or channels of 0 behind."""
  more = max(0, features - x.shape[-1])
  return jnp.pad(x[..., :features], ((0, 0),) * 3 + ((0, more),))


class EntangledSlot(nn.Module):
  """Sum over a slot's paths of prob times output.

  With P the probability of a nest's ops, `block` their `NestedBlock`, `kept`
  the mask of the output width and s the probability that output and input have
  the same width,

      P (kept block(x) + s x) + p_skip x + sum_other p_i kept op_i(x)

  The shortcut has no mask: x has its own.

  Example:
    >>> from nasjax.ops import MBConv
    >>> slot = Slot('slot', (MBConv(3, 1), MBConv(5, 3)), 8)
    >>> x, probs = jnp.zeros((1, 4, 4, 8)), {'slot': jnp.array([0.5, 0.5])}
    >>> init = functools.partial(EntangledSlot(slot, 8).init, train=False)
    >>> variables = jax.eval_shape(init, jax.random.key(0), x, probs)
    >>> list(variables['params'])
    ['mbconv_k5_e3']
  """

  slot: Slot
  inputs: int | Width
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(
    self, x: jax.Array, probs: Mapping[str, jax.Array], train: bool
  ) -> jax.Array:
    slot, total = self.slot, 0
    features = channels(slot.features)[-1]
    single = jnp.ones(1, jnp.promote_types(x.dtype, jnp.float32))
    own = probs[slot.name] if len(slot.ops) > 1 else single
    widths_in, widths_out = (
      probs[z.name] if isinstance(z, Width) else single
      for z in (self.inputs, slot.features)
    )

    def keep(y):
      if not isinstance(slot.features, Width):
        return y
      return y * _per_channel(channel_mask(slot.features, widths_out), y)

    for path in sharing.paths(slot, self.inputs):
      nest = path.nest
      if nest is None:
        op = slot.ops[path.places[0]]
        module = op.module(features, slot.fixed_stride, self.numerics)
        y = module.clone(name=op.name, parent=self)(x, train)
        y = y if isinstance(op, Skip) else keep(y)
        share = own[path.places[0]]
      else:
        masks = masks_lib.masks(nest, own[np.array(path.places)], widths_in)
        block = NestedBlock(
          nest, features, slot.fixed_stride, self.numerics, name=nest.name
        )
        y = keep(block(x, masks, train))
        if nest.ops[0].residual and slot.stride == 1:
          y += _shortcut(x, self.inputs, slot.features, widths_in, widths_out)
        share = masks.total
      total += y if len(slot.ops) == 1 else share.astype(y.dtype) * y
    return jnp.asarray(total)


def _shortcut(x, inputs, outputs, widths_in, widths_out):
  """The input, times the probability that as many channels come out."""
  meet = np.equal.outer(channels(inputs), channels(outputs))
  if not meet.any():
    return jnp.zeros((), x.dtype)
  # One choice for both, or none.
  if inputs == outputs:
    return x
  same = widths_in @ meet.astype(widths_in.dtype) @ widths_out
  return same.astype(x.dtype) * _resized(x, channels(outputs)[-1])


class Entangled(nn.Module):
  """The network of a chain space, from images to logits, of shared weights.

  Inverted bottlenecks of one slot that differ in kernel and expansion alone are
  one block (`NestedBlock`). Where widths are choices, a block uses only the
  middle channels of its input width. Ops that cannot
  share weights (another activation, another block) are mixed as in a
  `nasjax.supernet.Supernet`; `nasjax.supernet.sharing.unentangled` says which.

  At one-hot probs it computes the derived network with a part of its weights
  (`nasjax.supernet.inherit.subweights`): with batch statistics, or with running
  statistics that are re-estimated (`nasjax.supernet.inherit.reestimate`), since
  the running statistics of the supernet are those of mixtures. At other probs
  one kernel is the mixture of the kernels, as in Single-Path NAS (Stamoulis et
  al. 2019, section 3), and expansions and widths are masks of channels, as in
  FBNetV2 (Wan et al. 2020, section 3.1) and TF-NAS (Hu et al. 2020). The
  gradients of the probabilities go through the kernel and the masks. The batch
  norm after the projection removes the scale of the masks, so only their ratios
  count.

  Parameters are named `slot / op / ...`; the weights of a nest have the name of
  its largest op.

  Attributes:
    space: the search space.
    numerics: how the network is computed.

  Example:
    >>> from nasjax import relax, space, spaces
    >>> tiny = spaces.tiny()
    >>> net = Entangled(tiny)
    >>> images = jnp.zeros((2, tiny.image_size, tiny.image_size, 1))
    >>> probs = relax.softmax(space.init_alphas(tiny))
    >>> init = jax.jit(functools.partial(net.init_with_output, train=False))
    >>> logits, variables = init(jax.random.key(0), images, probs)
    >>> logits.shape, list(variables['params']['stage1_1'])
    ((2, 10), ['mbconv_k3_e3'])
  """

  space: Space
  numerics: Numerics = Numerics()

  # A search refuses a relaxation that runs sampled ops alone.
  shares_weights: ClassVar[bool] = True

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    probs: Mapping[str, jax.Array],
    *,
    train: bool,
    index: Mapping[str, jax.Array] | None = None,
  ) -> jax.Array:
    """Computes logits.

    Args:
      images: `f32[N, H, W, C]`, normalised.
      probs: slot or width to `f32[options]`, for all of `space.choices`.
      train: batch statistics (and `batch_stats` updated) instead of the
        running ones, dropout on.
      index: where the space has patterns, `index['pattern']` may name the one
        that runs (`nasjax.supernet.downsampling`). There is no index of ops:
        one-hot probs select them.

    Returns:
      `f32[N, num_classes]`.

    Raises:
      InputError: images are too small for the strides.
      ValueError: `probs` lacks a choice, or `index` names ops.
    """
    if self.space.patterns:
      whole = Downsampling(self.space, self.numerics, Entangled)
      nn.share_scope(self, whole)
      return whole(images, probs, train=train, index=index)
    check_choices(self.space, probs)
    if index is not None:
      raise ValueError(
        'ops that share weights are not left out by an index; without one, '
        'one-hot probs give the network of the ops that were drawn.'
      )
    x = images
    if self.numerics.dtype is not None:
      x = x.astype(self.numerics.dtype)
    inputs = self.space.channels
    make = rematted(EntangledSlot) if self.numerics.remat else EntangledSlot
    for slot in self.space.slots:
      module = make(slot, inputs, self.numerics, name=slot.name)
      x, inputs = module(x, probs, train), slot.features
    return x

"""The mixed supernet: all ops of a slot run, and their outputs are mixed."""

import functools
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nasjax.ops import MBConv, Numerics, Op, per_channel
from nasjax.space import Slot, Space, Width, check_image_size
from nasjax.supernet import fused, stacked, switch
from nasjax.supernet.downsampling import Downsampling


class Mixed(nn.Module):
  """Sum over a slot's ops of prob times output (Liu et al. 2019, eq. 2).

  Example:
    >>> from nasjax.ops import MaxPool, Skip
    >>> mixed = Mixed(Slot('slot', (Skip(), MaxPool(2)), 1))
    >>> x = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
    >>> y = mixed.apply({}, x, jnp.array([0.75, 0.25]), train=False)
    >>> y.ravel().tolist()  # 0.75 * 1 + 0.25 * 3, and 3
    [1.5, 3.0]
  """

  slot: Slot
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    probs: jax.Array | None,
    train: bool,
    index: jax.Array | None = None,
  ) -> jax.Array:
    """`probs`: `f32[ops]`; ignored in a slot with one op.

    `index`: `i32[m]`, the ops to run; None runs all.
    """
    # At the start every op makes its parameters.
    if index is not None and len(self.slot.ops) > 1:
      if not self.is_initializing():
        return self._drawn(x, probs, train, index)
    runs = [functools.partial(_run, op, train) for op in self.slot.ops]
    if len(runs) == 1:
      return runs[0](self, x)
    assert probs is not None  # See `check_choices`.
    outputs = self._outputs(runs, x, train)
    terms = (probs[i].astype(y.dtype) * y for i, y in enumerate(outputs))
    return jnp.asarray(sum(terms))

  def _drawn(self, x, probs, train, index):
    """The ops at an index, of variables that are stacked, taken or neither."""
    names = self.slot.op_names
    key = self.make_rng('dropout') if self.has_rng('dropout') else None

    def of_ops(collection):
      own = self.variables.get(collection, {})
      if any(name in own for name in names):
        return stacked.stack_ops([own.get(name, {}) for name in names])
      return own

    params, stats = of_ops('params'), of_ops('batch_stats')
    run = switch.one_of(self.slot, self.numerics, train)
    total = 0
    for k, i in enumerate(index):
      own = stacked.at(stats, i)
      if stacked.is_taken(params):
        drawn = params[stacked.DRAWN.format(k)]
      else:
        drawn = stacked.at(params, i)
      each = key if key is None else jax.random.fold_in(key, k)
      y, new = run(drawn, x, i, own, each)
      stats = stacked.set_at(stats, new, i)
      total += probs[i].astype(y.dtype) * y
    if train:
      self._keep(stats)
    return jnp.asarray(total)

  def _keep(self, stats):
    """Puts statistics where they are, in the form that they have there."""
    shapes = self.variables.get('batch_stats', {})
    for name, before in shapes.items():
      new = stats.get(name)
      if new is None:
        place = self.slot.op_names.index(name)
        new = stacked.cut(stacked.at(stats, place), before)
      self.put_variable('batch_stats', name, new)

  def _outputs(self, runs, x, train):
    """What each op computes, together with others where it can be."""
    slot, found = self.slot, {}
    # At the start every op makes its parameters.
    together = [] if self.is_initializing() else fused.groups(slot.ops)
    for places in together:
      outputs, stats = fused.outputs(
        [op for i in places if isinstance(op := slot.ops[i], MBConv)],
        max(slot.widths),
        slot.fixed_stride,
        self.numerics,
        {name: self.variables[name] for name in ('params', 'batch_stats')},
        x,
        train,
      )
      found |= zip(places, outputs, strict=True)
      for name, value in stats.items() if train else ():
        self.put_variable('batch_stats', name, value)
    return [found[i] if i in found else r(self, x) for i, r in enumerate(runs)]


def _run(op: Op, train: bool, mixed: Mixed, x: jax.Array) -> jax.Array:
  """One op of a slot; made here, as `mixed` is another one in a branch."""
  slot = mixed.slot
  module = op.module(max(slot.widths), slot.fixed_stride, mixed.numerics)
  return module.clone(name=op.name, parent=mixed)(x, train)


class Supernet(nn.Module):
  """The network of a chain space, from images to logits.

  A width that is a choice is computed at its largest and masked, see
  `channel_mask`; the channels inside an expanding block are not.

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
    index: Mapping[str, jax.Array] | None = None,
  ) -> jax.Array:
    """Computes logits.

    Args:
      images: `f32[N, H, W, C]`, normalised.
      probs: slot or width to `f32[options]`, for all of `space.choices`.
      train: batch statistics (and `batch_stats` updated) instead of the
        running ones, dropout on.
      index: slot to `i32[m]`, the ops that run there, all different; those of
        widths are ignored. None runs all. Ops that do not run have no
        part in the output, whatever their probs, so that probs and parameters
        of theirs have gradients of 0, and their `batch_stats` stay. When
        parameters are made all ops run. A step costs what m networks cost, as
        long as nothing maps over the index: under `vmap` all ops run.

    Returns:
      `f32[N, num_classes]`.

    Raises:
      InputError: images are too small for the strides.
      ValueError: `probs` lacks a choice, or `index` a slot.
    """
    if self.space.patterns:
      whole = Downsampling(self.space, self.numerics, Supernet)
      nn.share_scope(self, whole)
      return whole(images, probs, train=train, index=index)
    check_choices(self.space, probs)
    if index is not None:
      _check_index(self.space, index)
    x = images
    if self.numerics.dtype is not None:
      x = x.astype(self.numerics.dtype)
    # What runs by an index is computed again as it is.
    again = self.numerics.remat and index is None
    make = rematted(Mixed) if again else Mixed
    for slot in self.space.slots:
      mixed = make(slot, self.numerics, name=slot.name)
      own = None if index is None else index.get(slot.name)
      x = mixed(x, probs.get(slot.name), train, own)
      if isinstance(slot.features, Width):
        mask = channel_mask(slot.features, probs[slot.features.name])
        x = x * per_channel(jnp.asarray(mask.astype(x.dtype)), x)
    return x


def rematted(module: type[nn.Module]) -> type[nn.Module]:
  """A slot's module whose gradient computes it again.

  Args:
    module: called with images, probs and whether it is trained, in this order.
  """
  train = 3  # The module itself is the first argument.
  return nn.remat(module, static_argnums=(train,))


def check_choices(space: Space, probs: Mapping[str, jax.Array]) -> None:
  """Refuses `probs` that lack a choice, and images too small.

  Raises:
    InputError: images are too small for the strides.
    ValueError: `probs` lacks a choice.
  """
  missing = [name for name in space.choices if name not in probs]
  if missing:
    raise ValueError(
      f'probs lacks the choices {", ".join(missing)} of {space.name}; give '
      'their probabilities, or derive a network first (nasjax.space.fix).'
    )
  check_image_size(space)


def _check_index(space: Space, index: Mapping[str, jax.Array]) -> None:
  several = [slot.name for slot in space.slots if len(slot.ops) > 1]
  missing = [name for name in several if name not in index]
  if missing:
    raise ValueError(f'index lacks the slots {", ".join(missing)}')


def channel_mask(
  width: Width, probs: jax.Array | np.ndarray
) -> jax.Array | np.ndarray:
  """How much of each channel a distribution over widths keeps.

  Channel c counts with the probability of a width above c: a narrow network is
  the first channels of a wide one (Wan et al. 2020, FBNetV2, section 3.1).

  Args:
    width: the choice.
    probs: `f32[options]`.

  Returns:
    `f32[width.largest]`, 1 at the first channels and never rising.

  Example:
    >>> import jax.numpy as jnp
    >>> channel_mask(Width('w', (1, 3)), jnp.array([0.25, 0.75])).tolist()
    [1.0, 0.75, 0.75]
  """
  options = np.array(width.options)
  kept = np.arange(width.largest)[:, None] < options
  return kept.astype(probs.dtype) @ probs

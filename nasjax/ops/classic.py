"""Ops of hand-made networks: ResNet, SqueezeNet, ShuffleNet V2."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from nasjax.ops import core, pooling
from nasjax.ops.core import (
  Depthwise,
  Numerics,
  Pointwise,
  batch_norm,
  conv,
  suffixed,
)

# --- Modules -----------------------------------------------------------------


class MaxPoolModule(nn.Module):
  """The largest value of each window; padding never wins.

  Example:
    >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    >>> module = MaxPoolModule(MaxPool(2), 2, Numerics('native'))
    >>> module.apply({}, x, False).ravel().tolist()
    [5.0, 7.0, 13.0, 15.0]
  """

  op: 'MaxPool'
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    kernel, stride = self.op.kernel, self.stride
    padding = None
    if self.op.padding == 'ceil':
      core.check_size(x, self.op.name, max(1, kernel - stride + 1))
      # As much as the last window hangs over.
      over = [-(size - kernel) % stride for size in x.shape[1:3]]
      padding = tuple((0, pixels) for pixels in over)
    form = self.numerics.lowering
    return pooling.max_pool(x, kernel, stride, padding=padding, form=form)


class ResidualModule(nn.Module):
  """Convolutions, added to the input or to its projection, then ReLU.

  Example:
    >>> from nasjax import count
    >>> module = ResidualModule(Basic(), 16, 2)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # 3 kernels, 3 batch norms
    3680
    >>> macs = count.macs(module, variables, x, train=False)
    >>> macs == 4*4*16 * (9*8 + 9*16 + 8)
    True
  """

  op: 'Basic | Bottleneck'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(batch_norm, self.numerics, train)
    layers = self.op.layers(self.features, self.stride)
    y = x
    for i, (features, kernel, stride) in enumerate(layers, 1):
      y = conv(self.numerics, features, kernel, stride, f'conv{i}')(y)
      y = norm(f'bn{i}')(y)
      if i < len(layers):
        y = nn.relu(y)
    if self.stride != 1 or x.shape[-1] != self.features:
      x = conv(self.numerics, self.features, 1, self.stride, 'shortcut')(x)
      x = norm('shortcut_bn')(x)
    return nn.relu(x + core.dropped_path(self.op.drop_path, y, train))


class ShuffleModule(nn.Module):
  """Two branches, concatenated and shuffled.

  Example:
    >>> from nasjax import count
    >>> module = ShuffleModule(Shuffle(), 8, 1, Numerics('native'))
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # 4 of 8 channels pass
    92
    >>> count.macs(module, variables, x, train=False)  # 8*8 * (4*4 + 9*4 + 4*4)
    4352
  """

  op: 'Shuffle'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(batch_norm, self.numerics, train)
    half = self.features // 2

    def depthwise(x, name):
      dw = Depthwise(self.op.kernel, self.stride, self.numerics, name=name)
      return norm(f'{name}_bn')(dw(x))

    def pointwise(x, name):
      y = Pointwise(half, self.numerics, name=name)(x)
      return nn.relu(norm(f'{name}_bn')(y))

    if self.stride == 1:
      left, right = jnp.split(x, 2, axis=-1)
    else:
      left = pointwise(depthwise(x, 'left_dw'), 'left_pw')
      right = x
    right = pointwise(right, 'expand')
    right = pointwise(depthwise(right, 'dw'), 'project')
    return core.shuffle_channels(jnp.concatenate([left, right], -1), 2)


class FireModule(nn.Module):
  """A squeezing 1x1 convolution, then 1x1 and 3x3 side by side.

  Example:
    >>> from nasjax import count
    >>> module = FireModule(Fire(4), 16)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # 3 kernels, 3 biases
    372
    >>> macs = count.macs(module, variables, x, train=False)
    >>> macs == 8*8 * (8*4 + 4*8 + 9*4*8)
    True
  """

  op: 'Fire'
  features: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    def layer(x, features, kernel, name):
      c = conv(self.numerics, features, kernel, 1, name, bias=True)
      return nn.relu(c(x))

    x = layer(x, self.op.squeeze, 1, 'squeeze')
    half = self.features // 2
    return jnp.concatenate(
      [layer(x, half, 1, 'expand1'), layer(x, half, 3, 'expand3')], -1
    )


class ConvClassifierModule(nn.Module):
  """Dropout, 1x1 convolution, ReLU, global average: `f32[N, features]`.

  Example:
    >>> from nasjax import count
    >>> module = ConvClassifierModule(ConvClassifier(), 10)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # 8*10 weights, 10 biases
    90
    >>> count.macs(module, variables, x, train=False)  # 8*8 * 8*10
    5120
  """

  op: 'ConvClassifier'
  features: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = nn.Dropout(self.op.dropout, deterministic=not train)(x)
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    x = Pointwise(self.features, self.numerics, use_bias=True, name='conv')(x)
    return nn.relu(x).mean((1, 2))


# --- Ops ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class MaxPool:
  """Max pooling.

  Attributes:
    kernel: height and width of a window.
    padding: `'same'`; or `'ceil'`: none in front, and behind so much that all
      pixels are seen, `ceil((size - kernel) / stride) + 1` windows.

  Example:
    >>> MaxPool(3).name, MaxPool(3, 'ceil').name
    ('maxpool_k3', 'maxpool_k3_ceil')
  """

  kernel: int
  padding: str = 'same'

  def __post_init__(self):
    core.check_positive(self, kernel=self.kernel)
    core.check_known(self, 'padding', ('same', 'ceil'))

  @property
  def name(self) -> str:
    return suffixed(
      f'maxpool_k{self.kernel}', self.padding != 'same' and self.padding
    )

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    # With wider steps than windows a last one could hold nothing but padding.
    seen = self.padding == 'same' or stride <= self.kernel
    return seen and in_features == features

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return MaxPoolModule(self, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Basic:
  """Two convolutions and a shortcut (He et al. 2016, ResNet, fig. 5, left).

  The shortcut is a 1x1 convolution where stride or width change (option B).

  Attributes:
    kernel: of both.
    drop_path: as of an `MBConv`.

  Example:
    >>> Basic().layers(128, stride=2)
    [(128, 3, 2), (128, 3, 1)]
  """

  kernel: int = 3
  drop_path: float = 0.0

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)
    core.check_rate(self, self.drop_path, 'drop_path')

  @property
  def name(self) -> str:
    return f'basic_k{self.kernel}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def layers(self, features: int, stride: int) -> list[tuple[int, int, int]]:
    """Width, kernel and stride of each convolution."""
    return [(features, self.kernel, stride), (features, self.kernel, 1)]

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ResidualModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Bottleneck:
  """Three convolutions and a shortcut (He et al. 2016, ResNet, fig. 5, right).

  The stride is that of the middle convolution, as in the implementations that
  are counted today ("v1.5"), not of the first one.

  Attributes:
    kernel: in the middle.
    reduction: of the width there.
    drop_path: as of an `MBConv`.

  Example:
    >>> Bottleneck().layers(256, stride=1)
    [(64, 1, 1), (64, 3, 1), (256, 1, 1)]
  """

  kernel: int = 3
  reduction: int = 4
  drop_path: float = 0.0

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)
    core.check_rate(self, self.drop_path, 'drop_path')
    core.check_positive(self, reduction=self.reduction)

  @property
  def name(self) -> str:
    return suffixed(
      f'bottleneck_k{self.kernel}', self.reduction != 4 and f'r{self.reduction}'
    )

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return features % self.reduction == 0

  def layers(self, features: int, stride: int) -> list[tuple[int, int, int]]:
    """Width, kernel and stride of each convolution."""
    mid = features // self.reduction
    return [(mid, 1, 1), (mid, self.kernel, stride), (features, 1, 1)]

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ResidualModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Shuffle:
  """ShuffleNet V2's unit (Ma et al. 2018, fig. 3, c and d).

  With stride 1 half of the channels pass through; with a stride both branches
  see all of them.

  Example:
    >>> Shuffle().fits(116, 116, 1), Shuffle().fits(24, 116, 1)
    (True, False)
    >>> from nasjax.cost import op_macs
    >>> op_macs(Shuffle(), 8, 1, (1, 4, 4, 8)) == 4 * 4 * (4*4 + 9*4 + 4*4)
    True
  """

  kernel: int = 3

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)

  @property
  def name(self) -> str:
    return f'shuffle_k{self.kernel}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return features % 2 == 0 and (stride > 1 or in_features == features)

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ShuffleModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Fire:
  """SqueezeNet's module, half 1x1 and half 3x3 (Iandola et al. 2016, fig. 1).

  Attributes:
    squeeze: width of the 1x1 convolution before them.

  Example:
    fire2 of the paper's table 1 has 11,920 parameters.

    >>> from nasjax.cost import op_params
    >>> op_params(Fire(16), 128, 1, (1, 55, 55, 96))
    11920
  """

  squeeze: int

  def __post_init__(self):
    core.check_positive(self, squeeze=self.squeeze)

  @property
  def name(self) -> str:
    return f'fire_s{self.squeeze}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return stride == 1 and features % 2 == 0

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return FireModule(self, features, numerics)


@dataclasses.dataclass(frozen=True)
class ConvClassifier:
  """A 1x1 convolution per class, averaged (Iandola et al. 2016, section 3.2).

  Attributes:
    dropout: rate in `[0, 1)`, drawn from the `dropout` PRNG stream.

  Example:
    >>> from nasjax.cost import op_params
    >>> op_params(ConvClassifier(0.5), 1000, 1, (1, 13, 13, 512)) == 513 * 1000
    True
  """

  dropout: float = 0.0

  def __post_init__(self):
    core.check_rate(self, self.dropout)

  @property
  def name(self) -> str:
    return 'conv_classifier'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return stride == 1

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ConvClassifierModule(self, features, numerics)

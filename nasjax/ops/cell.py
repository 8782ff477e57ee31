"""Ops of cells: what stands on an edge, and the layers around cells.

An op of an edge may have, besides what every op has, a *beginning*: a part
without parameters that is the same for other ops, such as a ReLU. A network
computes it once for all edges that leave a node:

  * `beginning`, its name; ops with the same name have the same beginning;
  * `begin(x, numerics)`, which computes it;
  * `module(features, stride, numerics, begun=True)`: the module of the rest.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from nasjax.ops import core, pooling
from nasjax.ops.chain import SkipModule
from nasjax.ops.core import Numerics, batch_norm, conv

# --- Modules -----------------------------------------------------------------


class ZeroModule(nn.Module):
  """Zeros of the input's shape.

  Example:
    >>> ZeroModule().apply({}, jnp.arange(3), False).tolist()
    [0, 0, 0]
  """

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return jnp.zeros_like(x)


class ReluConvModule(nn.Module):
  """ReLU, convolution, batch norm.

  Example:
    >>> from nasjax import count
    >>> module = ReluConvModule(ReluConv(3), 16, 1)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 16), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables) == 9 * 16 * 16 + 2 * 16
    True
    >>> count.macs(module, variables, x, train=False) == 8 * 8 * 16 * 9 * 16
    True
  """

  op: 'ReluConv'
  features: int
  stride: int
  numerics: Numerics = Numerics()
  begun: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    kernel = self.op.kernel
    x = x if self.begun else nn.relu(x)
    x = conv(self.numerics, self.features, kernel, self.stride, 'conv')(x)
    return batch_norm(self.numerics, train, 'bn')(x)


class AvgPoolModule(nn.Module):
  """The mean of each window.

  Example:
    >>> x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> AvgPoolModule(AvgPool(3), 1).apply({}, x, False).ravel().tolist()
    [1.5, 1.5, 1.5, 1.5]
  """

  op: 'AvgPool'
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    form = self.numerics.lowering
    return pooling.avg_pool(x, self.op.kernel, self.stride, form=form)


class PreactivatedModule(nn.Module):
  """Two ReLU-conv-BN and a shortcut without batch norm.

  Example:
    >>> from nasjax import count
    >>> module = PreactivatedModule(Preactivated(), 16, 2)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.macs(module, variables, x, train=False) == 4 * 4 * 16 * (
    ...   9 * 8 + 9 * 16 + 8)
    True
  """

  op: 'Preactivated'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(batch_norm, self.numerics, train)
    layer = functools.partial(conv, self.numerics, self.features)
    kernel, form = self.op.kernel, self.numerics.lowering
    y = layer(kernel, self.stride, 'conv1')(nn.relu(x))
    y = norm('bn1')(y)
    y = layer(kernel, 1, 'conv2')(nn.relu(y))
    y = norm('bn2')(y)
    if self.stride > 1:
      x = pooling.avg_pool(x, self.stride, self.stride, form=form)
    return y + layer(1, 1, 'shortcut')(x)


class NormModule(nn.Module):
  """Batch norm and ReLU.

  Example:
    >>> from nasjax import count
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> count.params(count.module_shapes(NormModule(), x, train=False))
    16
  """

  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return nn.relu(batch_norm(self.numerics, train, 'bn')(x))


# --- Ops of edges ------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Zero:
  """No edge: what it gives is 0.

  Example:
    >>> Zero().name, Zero().fits(16, 16, 1), Zero().fits(16, 32, 2)
    ('none', True, False)
  """

  name = 'none'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return in_features == features and stride == 1

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ZeroModule()


@dataclasses.dataclass(frozen=True)
class SkipConnect:
  """The input, unchanged; a `Skip` by the name that cells have for it.

  Example:
    >>> SkipConnect().name
    'skip_connect'
  """

  name = 'skip_connect'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return in_features == features and stride == 1

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return SkipModule()


@dataclasses.dataclass(frozen=True)
class ReluConv:
  """ReLU, convolution, batch norm (Dong and Yang 2020, NAS-Bench-201).

  Attributes:
    kernel: taps along height and width.

  Example:
    >>> ReluConv(3).name
    'nor_conv_3x3'
  """

  kernel: int
  beginning = 'relu'

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)

  @property
  def name(self) -> str:
    return f'nor_conv_{self.kernel}x{self.kernel}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def begin(self, x: jax.Array, numerics: Numerics) -> jax.Array:
    """The ReLU."""
    return nn.relu(x)

  def module(
    self, features: int, stride: int, numerics: Numerics, begun: bool = False
  ) -> nn.Module:
    return ReluConvModule(self, features, stride, numerics, begun)


@dataclasses.dataclass(frozen=True)
class AvgPool:
  """Average pooling; padding is not counted.

  Attributes:
    kernel: height and width of a window.

  Example:
    >>> AvgPool(3).name
    'avg_pool_3x3'
  """

  kernel: int

  def __post_init__(self):
    core.check_positive(self, kernel=self.kernel)

  @property
  def name(self) -> str:
    return f'avg_pool_{self.kernel}x{self.kernel}'

  @property
  def beginning(self) -> str:
    """All of it, at stride 1."""
    return self.name

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    # With wider steps than windows a last one could hold nothing but padding.
    return in_features == features and stride <= self.kernel

  def begin(self, x: jax.Array, numerics: Numerics) -> jax.Array:
    """The pooling."""
    return pooling.avg_pool(x, self.kernel, 1, form=numerics.lowering)

  def module(
    self, features: int, stride: int, numerics: Numerics, begun: bool = False
  ) -> nn.Module:
    return SkipModule() if begun else AvgPoolModule(self, stride, numerics)


# --- Ops around cells --------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Preactivated:
  """Two ReLU-conv-BN; the shortcut is pooled, then convolved.

  It stands between the stages of NAS-Bench-201 (Dong and Yang 2020, section
  2.1). The first convolution has the stride. The shortcut is an average over
  `stride` x `stride` pixels and a 1x1 convolution without batch norm.

  Attributes:
    kernel: of both convolutions.

  Example:
    >>> Preactivated().name
    'preactivated_k3'
  """

  kernel: int = 3

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)

  @property
  def name(self) -> str:
    return f'preactivated_k{self.kernel}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return PreactivatedModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Norm:
  """Batch norm and ReLU, behind blocks that end without an activation.

  Example:
    >>> Norm().fits(64, 64, 1), Norm().fits(32, 64, 1)
    (True, False)
  """

  name = 'norm_relu'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return in_features == features and stride == 1

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return NormModule(numerics)

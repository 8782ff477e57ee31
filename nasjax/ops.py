"""Operations: what each one is, and the Linen module behind it.

An operation (*op*) is a frozen dataclass, static and hashable, with

  * `name`: how architectures, parameters and tables call it;
  * `fits(in_features, features, stride)`: whether it can stand there;
  * `module(features, stride, numerics)`: a Linen module that is called as
    `module(x, train)` on `f32[N, H, W, C]` and returns
    `f32[N, ceil(H / stride), ceil(W / stride), features]`.

Nothing else is asked of it: costs are traced from the module, and spaces, the
supernet, deriving and JSON take any class of this form. Convolutions pad as
`SAME`, so shapes depend on the stride alone.
"""

import dataclasses
import functools
from typing import Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nasjax import depthwise

ACTIVATIONS = {
  'relu': nn.relu,
  'relu6': nn.relu6,
  'hard_swish': nn.hard_swish,
  'swish': nn.swish,
  'identity': lambda x: x,
}


@dataclasses.dataclass(frozen=True)
class Numerics:
  """How a network computes what it computes: no part of the architecture.

  Attributes:
    depthwise: `'native'`, `'taps'` or `'auto'`, see `nasjax.depthwise`. With
      `'native'` pointwise convolutions are traced as convolutions, too:
      counting and exporting want to see them.
    dtype: what is computed in; parameters and statistics stay float32.
    bn_momentum: of the running statistics, per step.
    bn_epsilon: added to the variance.
  """

  depthwise: str = 'auto'
  dtype: DTypeLike | None = None
  bn_momentum: float = 0.9
  bn_epsilon: float = 1e-5


class Op(Protocol):
  """What an operation has, see the head of this module."""

  @property
  def name(self) -> str: ...

  def fits(self, in_features: int, features: int, stride: int) -> bool: ...

  def module(
    self, features: int, stride: int, numerics: Numerics
  ) -> nn.Module: ...


# --- Layers ------------------------------------------------------------------

# He et al. 2015, eq. 10 (fan-out, as MobileNetV2's reference code draws it).
_he = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
# A depthwise filter's fan-out is its taps alone: the last axis is the channel.
_he_depthwise = nn.initializers.variance_scaling(
  2.0, 'fan_in', 'normal', in_axis=2, out_axis=3
)


class Pointwise(nn.Module):
  """1x1 convolution, as one matrix product unless `native` asks otherwise.

  On XLA's CPU backend the product over `[N * H * W, C]` is 2 to 5 times faster
  than the same convolution, forward and backward; elsewhere it is as fast.
  """

  features: int
  numerics: Numerics = Numerics()
  use_bias: bool = False

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (1, 1, x.shape[-1], self.features)
    kernel = self.param('kernel', _he, shape, jnp.float32)
    kernel = kernel.astype(x.dtype)
    if self.numerics.depthwise == 'native':
      y = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
      )
    else:
      y = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
      y = y.reshape(*x.shape[:-1], self.features)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, (self.features,))
      y = y + bias.astype(x.dtype)
    return y


class Depthwise(nn.Module):
  """Depthwise `kernel` x `kernel` convolution; parameters as `nn.Conv` has."""

  kernel: int
  stride: int = 1
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    shape = (self.kernel, self.kernel, 1, x.shape[-1])
    kernel = self.param('kernel', _he_depthwise, shape, jnp.float32)
    return depthwise.conv(
      x,
      kernel.astype(x.dtype),
      stride=self.stride,
      form=self.numerics.depthwise,
    )


def batch_norm(numerics: Numerics, train: bool, name: str) -> nn.BatchNorm:
  """Batch normalisation with this project's settings, as a Linen module."""
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=numerics.bn_momentum,
    epsilon=numerics.bn_epsilon,
    dtype=numerics.dtype,
    name=name,
  )


class ConvModule(nn.Module):
  """Convolution, batch norm, activation."""

  op: 'Conv'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    if self.op.kernel == 1 and self.stride == 1:
      x = Pointwise(self.features, self.numerics, name='conv')(x)
    else:
      x = nn.Conv(
        self.features,
        (self.op.kernel, self.op.kernel),
        strides=self.stride,
        use_bias=False,
        kernel_init=_he,
        dtype=self.numerics.dtype,
        name='conv',
      )(x)
    x = batch_norm(self.numerics, train, 'bn')(x)
    return ACTIVATIONS[self.op.activation](x)


class MBConvModule(nn.Module):
  """Pointwise expansion, depthwise convolution, linear projection."""

  op: 'MBConv'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(batch_norm, self.numerics, train)
    act = ACTIVATIONS[self.op.activation]
    inputs = x
    if self.op.expand != 1:
      mid = self.op.expand * x.shape[-1]
      x = Pointwise(mid, self.numerics, name='expand')(x)
      x = act(norm('expand_bn')(x))
    x = Depthwise(self.op.kernel, self.stride, self.numerics, name='dw')(x)
    x = act(norm('dw_bn')(x))
    x = Pointwise(self.features, self.numerics, name='project')(x)
    x = norm('project_bn')(x)
    if self.stride == 1 and inputs.shape[-1] == self.features:
      x = x + inputs
    return x


class SkipModule(nn.Module):
  """The input, unchanged."""

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return x


class ClassifierModule(nn.Module):
  """Global average pooling, dropout, a linear layer: `f32[N, features]`."""

  op: 'Classifier'
  features: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = x.mean((1, 2))
    x = nn.Dropout(self.op.dropout, deterministic=not train)(x)
    # Logits have at least float32, whatever the network computes in.
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return nn.Dense(self.features, name='dense')(x)


# --- Ops ---------------------------------------------------------------------


def _positive(op, **fields):
  for field, value in fields.items():
    if not isinstance(value, int) or value < 1:
      raise ValueError(
        f'{type(op).__name__} requires a positive int {field}, got {value!r}.'
      )


def _odd(op):
  _positive(op, kernel=op.kernel)
  if op.kernel % 2 == 0:
    raise ValueError(
      f'{type(op).__name__} requires an odd kernel, got {op.kernel}.'
    )
  if op.activation not in ACTIVATIONS:
    raise ValueError(
      f'{type(op).__name__} requires an activation among '
      f'{", ".join(ACTIVATIONS)}, got {op.activation!r}.'
    )


@dataclasses.dataclass(frozen=True)
class Conv:
  """Dense convolution, batch norm, activation.

  Example:
    >>> Conv(3).name
    'conv_k3'
  """

  kernel: int
  activation: str = 'relu6'

  def __post_init__(self):
    _odd(self)

  @property
  def name(self) -> str:
    return f'conv_k{self.kernel}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ConvModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class MBConv:
  """Mobile inverted bottleneck (Sandler et al. 2018, MobileNetV2, table 1).

  No expansion convolution where `expand` is 1; the input is added where stride
  and width allow.

  Example:
    >>> MBConv(kernel=5, expand=3).name
    'mbconv_k5_e3'
  """

  kernel: int
  expand: int
  activation: str = 'relu6'

  def __post_init__(self):
    _odd(self)
    _positive(self, expand=self.expand)

  @property
  def name(self) -> str:
    return f'mbconv_k{self.kernel}_e{self.expand}'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return MBConvModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Skip:
  """The identity: choosing it makes the network one block shallower."""

  @property
  def name(self) -> str:
    return 'skip'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return stride == 1 and in_features == features

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return SkipModule()


@dataclasses.dataclass(frozen=True)
class Classifier:
  """Global average pooling, dropout and one linear layer; `features` classes.

  Attributes:
    dropout: rate in `[0, 1)`, drawn from the `dropout` PRNG stream.
  """

  dropout: float = 0.0

  def __post_init__(self):
    if not 0 <= self.dropout < 1:
      raise ValueError(
        f'Classifier requires a dropout in [0, 1), got {self.dropout}.'
      )

  @property
  def name(self) -> str:
    return 'classifier'

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return stride == 1

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ClassifierModule(self, features, numerics)


# What an architecture file may name without its reader adding classes.
BUILTIN: tuple[type, ...] = (Conv, MBConv, Skip, Classifier)

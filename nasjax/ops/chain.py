"""Ops that are one layer or two, and the ends of a chain: stem, classifier."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from nasjax.ops import core
from nasjax.ops.core import (
  ACTIVATIONS,
  Depthwise,
  Numerics,
  Pointwise,
  batch_norm,
  suffixed,
)

# --- Modules -----------------------------------------------------------------


class ConvModule(nn.Module):
  """Convolution, batch norm, activation.

  Example:
    >>> from nasjax import count
    >>> module = ConvModule(Conv(3), 16, 2)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # kernel, batch norm
    1184
    >>> count.macs(module, variables, x, train=False)  # 4*4 pixels * 16 * 3*3*8
    18432
  """

  op: 'Conv'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    op = self.op
    if op.padding == 'valid':
      core.check_size(x, op.name, op.kernel)
    x = core.conv(
      self.numerics,
      self.features,
      op.kernel,
      self.stride,
      'conv',
      bias=op.bias,
      padding=op.padding.upper(),
    )(x)
    if op.norm:
      x = batch_norm(self.numerics, train, 'bn')(x)
    return ACTIVATIONS[op.activation](x)


class SeparableModule(nn.Module):
  """Depthwise convolution, pointwise convolution, both with activation.

  Example:
    >>> from nasjax import count
    >>> module = SeparableModule(Separable(3), 16, 2, Numerics('native'))
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # two kernels, two batch norms
    248
    >>> count.macs(module, variables, x, train=False)  # 4*4 * (9*8 + 8*16)
    3200
  """

  op: 'Separable'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(batch_norm, self.numerics, train)
    act = ACTIVATIONS[self.op.activation]
    x = Depthwise(self.op.kernel, self.stride, self.numerics, name='dw')(x)
    x = act(norm('dw_bn')(x))
    x = Pointwise(self.features, self.numerics, name='pw')(x)
    return act(norm('pw_bn')(x))


class SkipModule(nn.Module):
  """The input, unchanged.

  Example:
    >>> SkipModule().apply({}, jnp.arange(3), False).tolist()
    [0, 1, 2]
  """

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    return x


class ClassifierModule(nn.Module):
  """Global average pooling, dropout, a linear layer: `f32[N, features]`.

  Example:
    >>> from nasjax import count
    >>> module = ClassifierModule(Classifier(), 10)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # 8*10 weights, 10 biases
    90
    >>> count.macs(module, variables, x, train=False)  # 8*10
    80
  """

  op: 'Classifier'
  features: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    x = x.mean((1, 2))
    if self.op.hidden is not None:
      x = nn.Dense(self.op.hidden, dtype=self.numerics.dtype, name='hidden')(x)
      x = ACTIVATIONS[self.op.activation](x)
    x = nn.Dropout(self.op.dropout, deterministic=not train)(x)
    # Logits have at least float32, whatever the network computes in.
    return nn.Dense(self.features, name='dense')(
      x.astype(jnp.promote_types(x.dtype, jnp.float32))
    )


# --- Ops ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Conv:
  """Dense convolution, batch norm, activation.

  Attributes:
    kernel: taps along height and width.
    activation: a key of `ACTIVATIONS`.
    bias: whether the convolution has one, batch norm or not.
    norm: whether there is a batch norm.
    padding: `'same'`, or `'valid'`: the one case in which the size that comes
      out is not `ceil(size / stride)`.

  Example:
    >>> Conv(3).name, Conv(1, 'hard_swish', bias=True).name
    ('conv_k3', 'conv_k1_hard_swish_bias')
  """

  kernel: int
  activation: str = 'relu6'
  bias: bool = False
  norm: bool = True
  padding: str = 'same'

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)
    core.check_known(self, 'activation', ACTIVATIONS)
    core.check_known(self, 'padding', ('same', 'valid'))

  @property
  def name(self) -> str:
    return suffixed(
      f'conv_k{self.kernel}',
      self.activation != 'relu6' and self.activation,
      self.bias and 'bias',
      not self.norm and 'no_bn',
      self.padding != 'same' and self.padding,
    )

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ConvModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Separable:
  """Depthwise separable convolution (Howard et al. 2017, MobileNets, fig. 3).

  Unlike in an `MBConv` that does not expand, an activation follows the
  pointwise convolution, too, and nothing is added.

  Example:
    >>> Separable(3).name
    'separable_k3'
  """

  kernel: int
  activation: str = 'relu6'

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)
    core.check_known(self, 'activation', ACTIVATIONS)

  @property
  def name(self) -> str:
    return suffixed(
      f'separable_k{self.kernel}',
      self.activation != 'relu6' and self.activation,
    )

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return True

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return SeparableModule(self, features, stride, numerics)


@dataclasses.dataclass(frozen=True)
class Skip:
  """The identity: choosing it makes the network one block shallower.

  Example:
    >>> Skip().fits(8, 8, 1), Skip().fits(8, 16, 1), Skip().fits(8, 8, 2)
    (True, False, False)
  """

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
    dropout: rate in `[0, 1)`, drawn from the `dropout` PRNG stream. No part of
      the name: with another rate it has the same parameters and outputs.
    hidden: width of a linear layer between pooling and dropout, as MobileNetV3
      has it (Howard et al. 2019, fig. 5); None is none.
    activation: after that layer.

  Example:
    >>> Classifier(0.2).name, Classifier(0.2, hidden=1280).name
    ('classifier', 'classifier_h1280')
  """

  dropout: float = 0.0
  hidden: int | None = None
  activation: str = 'hard_swish'

  def __post_init__(self):
    core.check_rate(self, self.dropout)
    core.check_known(self, 'activation', ACTIVATIONS)
    if self.hidden is not None:
      core.check_positive(self, hidden=self.hidden)

  @property
  def name(self) -> str:
    return suffixed(
      'classifier',
      self.hidden and f'h{self.hidden}',
      self.activation != 'hard_swish' and self.activation,
    )

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    return stride == 1

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return ClassifierModule(self, features, numerics)

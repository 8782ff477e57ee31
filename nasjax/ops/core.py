"""What all ops are made of: the protocol, layers, and checks of fields."""

import dataclasses
from typing import Any, ClassVar, Literal, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from nasjax.errors import InputError
from nasjax.ops import depthwise as depthwise_lib
from nasjax.ops.norm import BatchNorm

ACTIVATIONS = {
  'relu': nn.relu,
  'relu6': nn.relu6,
  'hard_swish': nn.hard_swish,
  'swish': nn.swish,
  'identity': lambda x: x,
}
# Those that multiply their input: it is still needed when they are computed.
SELF_GATED = ('hard_swish', 'swish')
GATES = {'sigmoid': nn.sigmoid, 'hard_sigmoid': nn.hard_sigmoid}


@dataclasses.dataclass(frozen=True)
class Numerics:
  """How a network computes what it computes: no part of the architecture.

  Attributes:
    lowering: of depthwise convolutions, `'native'`, `'taps'` or `'auto'`, see
      `nasjax.ops.depthwise`; of pooling as well, see `nasjax.ops.pooling`.
      With `'native'` pointwise convolutions are traced as convolutions, too:
      counting and exporting want to see them.
    dtype: what is computed in; parameters and statistics stay float32.
    bn_momentum: of the running statistics, per step.
    bn_epsilon: added to the variance.
    bn_affine: whether batch norms have a scale and a bias; only edges of cells
      may go without, see `nasjax.space.Cell`.
    remat: whether a gradient computes each slot again instead of keeping what
      its ops left: less memory, a forward pass more.

  Example:
    >>> half = Numerics(dtype=jnp.bfloat16)
    >>> module = conv(half, 16, 3, 1, 'conv')
    >>> x = jnp.ones((1, 4, 4, 8))
    >>> init = module.init_with_output
    >>> y, variables = jax.eval_shape(init, jax.random.key(0), x)
    >>> y.dtype.name, variables['params']['kernel'].dtype.name
    ('bfloat16', 'float32')
  """

  lowering: str = 'auto'
  dtype: DTypeLike | None = None
  bn_momentum: float = 0.9
  bn_epsilon: float = 1e-5
  remat: bool = False
  bn_affine: bool = True


class Op(Protocol):
  """What an operation has, see the head of `nasjax.ops`; a dataclass.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... class Double:
    ...   name = 'double'
    ...   def fits(self, in_features, features, stride):
    ...     return in_features == features and stride == 1
    ...   def module(self, features, stride, numerics):
    ...     class Module(nn.Module):
    ...       def __call__(self, x, train):
    ...         return 2 * x
    ...     return Module()
    >>> from nasjax.cost import op_macs, op_shape
    >>> place = Double(), 8, 1, (1, 4, 4, 8)
    >>> op_shape(*place), op_macs(*place)
    ((1, 4, 4, 8), 0)
  """

  __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]

  @property
  def name(self) -> str: ...

  def fits(self, in_features: int, features: int, stride: int) -> bool: ...

  def module(
    self, features: int, stride: int, numerics: Numerics
  ) -> nn.Module: ...


# --- Layers ------------------------------------------------------------------

# He et al. 2015, eq. 14 (fan-out, as MobileNetV2's reference code draws it).
_he = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
# A depthwise filter's fan-out is its taps alone: the last axis is the channel.
_he_depthwise = nn.initializers.variance_scaling(
  2.0, 'fan_in', 'normal', in_axis=2, out_axis=3
)


class Pointwise(nn.Module):
  """1x1 convolution, as one matrix product unless `native` asks otherwise.

  On XLA's CPU backend the product over `[N * H * W, C]` is 2 to 5 times faster
  than the same convolution, forward and backward; elsewhere it is as fast.

  Example:
    >>> from nasjax import count
    >>> module = Pointwise(16)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x)
    >>> count.params(variables)  # 8*16
    128
    >>> count.macs(module, variables, x)  # 8*8 pixels * 8*16
    8192
  """

  features: int
  numerics: Numerics = Numerics()
  use_bias: bool = False
  groups: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    groups, inputs = self.groups, x.shape[-1] // self.groups
    shape = (1, 1, inputs, self.features)
    kernel = self.param('kernel', _he, shape, jnp.float32)
    kernel = kernel.astype(x.dtype)
    if self.numerics.lowering == 'native':
      y = jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        'SAME',
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=groups,
      )
    elif groups == 1:
      y = x.reshape(-1, inputs) @ kernel[0, 0]
      y = y.reshape(*x.shape[:-1], self.features)
    else:
      split = kernel.reshape(inputs, groups, -1)
      y = jnp.einsum('ngi,igo->ngo', x.reshape(-1, groups, inputs), split)
      y = y.reshape(*x.shape[:-1], self.features)
    return _add_bias(self, y) if self.use_bias else y


class Depthwise(nn.Module):
  """Depthwise `kernel` x `kernel` convolution; parameters as `nn.Conv` has.

  Example:
    >>> from nasjax import count
    >>> module = Depthwise(3, 2, Numerics('native'))
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x)
    >>> count.params(variables)  # 3*3*8
    72
    >>> count.macs(module, variables, x)  # 4*4 pixels * 3*3*8
    1152
  """

  kernel: int
  stride: int = 1
  numerics: Numerics = Numerics()
  use_bias: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, taps: jax.Array | None = None) -> jax.Array:
    """`taps`: factors of the kernel, which broadcast to it; None is 1."""
    shape = (self.kernel, self.kernel, 1, x.shape[-1])
    kernel = self.param('kernel', _he_depthwise, shape, jnp.float32)
    if taps is not None:
      kernel = kernel * taps
    y = depthwise_lib.conv(
      x,
      kernel.astype(x.dtype),
      stride=self.stride,
      form=self.numerics.lowering,
    )
    return _add_bias(self, y) if self.use_bias else y


def _add_bias(module: nn.Module, y: jax.Array) -> jax.Array:
  bias = module.param('bias', nn.initializers.zeros, y.shape[-1:], jnp.float32)
  return y + bias.astype(y.dtype).reshape(1, 1, 1, -1)


def conv(
  numerics: Numerics,
  features: int,
  kernel: int,
  stride: int,
  name: str,
  *,
  bias: bool = False,
  padding: str = 'SAME',
) -> nn.Module:
  """Dense convolution; a `Pointwise` where there is one tap and no stride.

  Example:
    >>> type(conv(Numerics(), 16, 3, 2, 'stem')).__name__
    'Conv'
    >>> type(conv(Numerics(), 16, 1, 1, 'head')).__name__
    'Pointwise'
  """
  if kernel == 1 and stride == 1:
    return Pointwise(features, numerics, bias, name=name)
  return nn.Conv(
    features,
    (kernel, kernel),
    strides=stride,
    padding=padding,
    use_bias=bias,
    kernel_init=_he,
    dtype=numerics.dtype,
    name=name,
  )


def batch_norm(
  numerics: Numerics, train: bool, name: str | None = None, **linen: Any
) -> BatchNorm:
  """Batch normalisation with this project's settings, as a Linen module.

  Example:
    >>> from nasjax import count
    >>> norm = batch_norm(Numerics(), train=False)
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> count.params(count.module_shapes(norm, x))  # a scale, a bias
    16
  """
  return BatchNorm(
    train,
    numerics.bn_momentum,
    numerics.bn_epsilon,
    numerics.dtype,
    numerics.bn_affine,
    name=name,
    **linen,
  )


def dropped_path(rate: float, x: jax.Array, train: bool) -> jax.Array:
  """What a block adds, dropped for some whole images (Huang et al. 2016).

  The mean over what is drawn, from the `dropout` PRNG stream, is `x`. Called
  inside a module.
  """
  drop = nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)
  return drop(x)


class SqueezeExcite(nn.Module):
  """A gate per channel, computed from all pixels (Hu et al. 2018, section 3).

  The two layers are 1x1 convolutions with bias, `squeezed` wide in between.

  Example:
    >>> from nasjax import count
    >>> module = SqueezeExcite(4, 'relu', 'sigmoid')
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x)
    >>> count.params(variables)  # 8*4 + 4, and 4*8 + 8
    76
    >>> count.macs(module, variables, x)  # 8*4 + 4*8
    64
  """

  squeezed: int
  activation: str
  gate: str
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, kept: jax.Array | None = None) -> jax.Array:
    """`kept`: `[1, 1, 1, squeezed]` factors between the layers; None is 1."""
    layer = lambda features, name: Pointwise(  # noqa: E731
      features, self.numerics, use_bias=True, name=name
    )
    y = layer(self.squeezed, 'squeeze')(x.mean((1, 2), keepdims=True))
    y = ACTIVATIONS[self.activation](y)
    if kept is not None:
      y = y * kept
    y = layer(x.shape[-1], 'excite')(y)
    return x * GATES[self.gate](y)


def shuffle_channels(x: jax.Array, groups: int) -> jax.Array:
  """Spreads each group's channels over all groups (Zhang et al. 2018, fig. 1).

  Example:
    >>> shuffle_channels(jnp.arange(6).reshape(1, 1, 1, 6), 2).ravel().tolist()
    [0, 3, 1, 4, 2, 5]
  """
  split = x.reshape(*x.shape[:-1], groups, -1)
  return split.swapaxes(-1, -2).reshape(x.shape)


def check_size(x: jax.Array, name: str, smallest: int) -> None:
  """Refuses images that are too small for an op that does not pad."""
  if min(x.shape[1:3]) < smallest:
    raise InputError(
      f'{name} requires at least {smallest} pixels, got {min(x.shape[1:3])}; '
      'give larger images'
    )


# --- Fields of ops -----------------------------------------------------------


def round_to_multiple(width: float, divisor: int = 8) -> int:
  """Nearest multiple of `divisor`, never more than 10 % below `width`.

  The rule by which MobileNetV2 and its successors scale widths.

  Example:
    >>> round_to_multiple(24 * 1.4), round_to_multiple(11)
    (32, 16)
  """
  rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
  return rounded if rounded >= 0.9 * width else rounded + divisor


def suffixed(name: str, *suffixes: str | Literal[False, 0] | None) -> str:
  """A name, with what differs from the defaults.

  Example:
    >>> suffixed('conv_k3', False, 'relu', None)
    'conv_k3_relu'
  """
  return '_'.join([name, *(s for s in suffixes if s)])


def check_positive(op: object, **fields: object) -> None:
  """Refuses what is no positive int, by the field's name."""
  for field, value in fields.items():
    if not isinstance(value, int) or value < 1:
      raise ValueError(
        f'{type(op).__name__} requires a positive int {field}, got {value!r}.'
      )


def check_odd(op: object, **fields: int) -> None:
  """Refuses what is no odd positive int, by the field's name."""
  check_positive(op, **fields)
  for field, value in fields.items():
    if value % 2 == 0:
      raise ValueError(
        f'{type(op).__name__} requires an odd {field}, got {value}.'
      )


def check_known(op: object, field: str, known) -> None:
  """Refuses a value of `field` that `known` lacks."""
  value = getattr(op, field)
  if value not in known:
    article = 'an' if field[0] in 'aeiou' else 'a'
    raise ValueError(
      f'{type(op).__name__} requires {article} {field} among '
      f'{", ".join(known)}, got {value!r}.'
    )


def check_rate(op: object, rate: float, field: str = 'dropout') -> None:
  """Refuses a dropout, or another field, that is no rate."""
  if not 0 <= rate < 1:
    raise ValueError(
      f'{type(op).__name__} requires a {field} in [0, 1), got {rate}.'
    )

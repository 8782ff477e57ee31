"""The mobile inverted bottleneck, with all that its descendants added."""

import dataclasses
import functools
import math
from typing import NamedTuple

import flax.linen as nn
import jax

from nasjax.ops import core
from nasjax.ops.core import (
  ACTIVATIONS,
  GATES,
  SELF_GATED,
  Depthwise,
  Numerics,
  Pointwise,
  SqueezeExcite,
  batch_norm,
  suffixed,
)


class MBConvModule(nn.Module):
  """Pointwise expansion, depthwise convolution, linear projection.

  Example:
    >>> from nasjax import count
    >>> module = MBConvModule(MBConv(3, 2), 16, 2, Numerics('native'))
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 8), 'float32')
    >>> variables = count.module_shapes(module, x, train=False)
    >>> count.params(variables)  # 3 kernels, 3 batch norms
    624
    >>> macs = count.macs(module, variables, x, train=False)
    >>> macs == 8*8 * 128 + 4*4 * (9*16 + 256)
    True
  """

  op: 'MBConv'
  features: int
  stride: int
  numerics: Numerics = Numerics()

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    op = self.op
    norm = functools.partial(batch_norm, self.numerics, train)
    pointwise = functools.partial(
      Pointwise, numerics=self.numerics, use_bias=op.bias, groups=op.groups
    )
    act = ACTIVATIONS[op.activation]
    inputs, mid = x, op.expanded(x.shape[-1])
    if mid != inputs.shape[-1]:
      x = pointwise(mid, name='expand')(x)
      x = act(norm('expand_bn')(x))
      if op.groups > 1:
        x = core.shuffle_channels(x, op.groups)
    x = Depthwise(op.kernel, self.stride, self.numerics, op.bias, name='dw')(x)
    x = act(norm('dw_bn')(x))
    if op.se:
      x = SqueezeExcite(
        op.squeezed(inputs.shape[-1]),
        op.se_activation,
        op.se_gate,
        self.numerics,
        name='se',
      )(x)
    x = pointwise(self.features, name='project')(x)
    x = norm('project_bn')(x)
    same = self.stride == 1 and inputs.shape[-1] == self.features
    if not (op.residual and same):
      return x
    return core.dropped_path(op.drop_path, x, train) + inputs


class _Layer(NamedTuple):
  """What counts of a convolution: weights, other parameters, pixels out."""

  weights: int
  others: int
  pixels: int


@dataclasses.dataclass(frozen=True)
class MBConv:
  """Mobile inverted bottleneck (Sandler et al. 2018, MobileNetV2, table 1).

  No expansion convolution where the width in the middle is the input's; the
  input is added where stride and width allow.

  Attributes:
    kernel: of the depthwise convolution.
    expand: width in the middle, as a multiple of the input's; None if `mid`
      gives it.
    activation: after expansion and depthwise convolution.
    mid: width in the middle itself, for networks that print it.
    groups: of the pointwise convolutions; channels are shuffled after the
      expansion (Wu et al. 2019, FBNet, fig. 3).
    bias: whether convolutions have one besides the batch norm.
    residual: False never adds the input.
    se: reduction of a squeeze-excite after the depthwise convolution (Howard
      et al. 2019, MobileNetV3, fig. 4); 0 is none.
    se_from: what is reduced: the width `'expanded'` or that of the `'input'`.
    se_divisor: the reduced width is rounded to a multiple of it.
    se_activation: between the two layers of the squeeze-excite.
    se_gate: after them, `'hard_sigmoid'` or `'sigmoid'`.
    drop_path: fraction of the images of a training batch for which the block is
      dropped and only the shortcut is left; no part of the name, see
      `nasjax.train.drop_path`.

  Example:
    >>> MBConv(kernel=5, expand=3).name
    'mbconv_k5_e3'
    >>> MBConv(3, mid=184, activation='hard_swish', se=4).name
    'mbconv_k3_m184_hard_swish_se4'
  """

  kernel: int
  expand: int | None = None
  activation: str = 'relu6'
  mid: int | None = None
  groups: int = 1
  bias: bool = False
  residual: bool = True
  se: int = 0
  se_from: str = 'expanded'
  se_divisor: int = 8
  se_activation: str = 'relu'
  se_gate: str = 'hard_sigmoid'
  drop_path: float = 0.0

  def __post_init__(self):
    core.check_odd(self, kernel=self.kernel)
    core.check_known(self, 'activation', ACTIVATIONS)
    core.check_known(self, 'se_from', ('expanded', 'input'))
    core.check_known(self, 'se_activation', ACTIVATIONS)
    core.check_known(self, 'se_gate', GATES)
    core.check_rate(self, self.drop_path, 'drop_path')
    if self.mid is None:
      core.check_positive(self, expand=self.expand)
    else:
      core.check_positive(self, mid=self.mid)
      if self.expand is not None:
        raise ValueError(
          f'MBConv requires either expand or mid, got {self.expand} and '
          f'{self.mid}.'
        )
    core.check_positive(self, groups=self.groups, se_divisor=self.se_divisor)
    if not isinstance(self.se, int) or self.se < 0:
      raise ValueError(f'MBConv requires an int se >= 0, got {self.se!r}.')

  def expanded(self, in_features: int) -> int:
    """Width in the middle."""
    if self.mid is not None:
      return self.mid
    assert self.expand is not None  # See `__post_init__`.
    return self.expand * in_features

  def squeezed(self, in_features: int) -> int:
    """Width of the squeeze-excite between its two layers."""
    if self.se_from == 'expanded':
      in_features = self.expanded(in_features)
    return core.round_to_multiple(in_features // self.se, self.se_divisor)

  @property
  def name(self) -> str:
    width = f'e{self.expand}' if self.mid is None else f'm{self.mid}'
    return suffixed(
      f'mbconv_k{self.kernel}_{width}',
      self.activation != 'relu6' and self.activation,
      self.groups != 1 and f'g{self.groups}',
      self.bias and 'bias',
      not self.residual and 'no_residual',
      self.se and f'se{self.se}',
      self.se_from != 'expanded' and f'se_{self.se_from}',
      self.se_divisor != 8 and f'se_by{self.se_divisor}',
      self.se_activation != 'relu' and f'se_{self.se_activation}',
      self.se_gate != 'hard_sigmoid' and f'se_{self.se_gate}',
    )

  def fits(self, in_features: int, features: int, stride: int) -> bool:
    widths = in_features, self.expanded(in_features), features
    return all(width % self.groups == 0 for width in widths)

  def module(self, features: int, stride: int, numerics: Numerics) -> nn.Module:
    return MBConvModule(self, features, stride, numerics)

  def macs(
    self, in_features: int, features: int, stride: int, size: int
  ) -> int:
    """In closed form, see the head of `nasjax.ops`."""
    layers = self._layers(in_features, features, stride, size)
    return sum(layer.weights * layer.pixels for layer in layers)

  def params(
    self, in_features: int, features: int, stride: int, size: int
  ) -> int:
    """In closed form, see the head of `nasjax.ops`."""
    layers = self._layers(in_features, features, stride, size)
    return sum(layer.weights + layer.others for layer in layers)

  def memory(
    self, in_features: int, features: int, stride: int, size: int
  ) -> int:
    """In closed form: the most elements that exist at once, times 4 bytes."""
    mid = self.expanded(in_features)
    after = math.ceil(size / stride) ** 2
    x, wide, deep = size**2 * in_features, size**2 * mid, after * mid
    adds = self.residual and stride == 1 and in_features == features
    held = x if adds else 0  # To the end, because it is added there.
    moments = [held + deep + after * features]
    if mid == in_features:
      moments.append(x + deep)
    else:
      # Neither shuffling nor an activation of that kind works in place.
      twice = self.groups > 1 or self.activation in SELF_GATED
      moments += [x + wide, held + wide + (wide if twice else deep)]
    if self.se:
      squeezed = self.squeezed(in_features)
      gated = squeezed if self.se_activation in SELF_GATED else 0
      moments.append(held + deep + squeezed + max(mid, gated))
    return 4 * max(moments)

  def kernels(
    self, in_features: int, features: int
  ) -> tuple[tuple[int, int], ...]:
    """Weights and output channels of each layer, see the head of `nasjax.ops`.

    Example:
      >>> MBConv(3, 2).kernels(8, 24)
      ((144, 16), (384, 24), (128, 16))
    """
    mid = self.expanded(in_features)
    found = [
      (mid * self.kernel**2, mid),
      (mid // self.groups * features, features),
    ]
    if mid != in_features:
      found.append((in_features // self.groups * mid, mid))
    if self.se:
      squeezed = self.squeezed(in_features)
      found += [(mid * squeezed, squeezed), (squeezed * mid, mid)]
    return tuple(found)

  def _layers(
    self, in_features: int, features: int, stride: int, size: int
  ) -> list['_Layer']:
    mid, after = self.expanded(in_features), math.ceil(size / stride) ** 2
    bias = 3 if self.bias else 2  # Scale and bias of the batch norm are two.
    layers = [
      _Layer(mid * self.kernel**2, bias * mid, after),
      _Layer(mid // self.groups * features, bias * features, after),
    ]
    if mid != in_features:
      weights = in_features // self.groups * mid
      layers.append(_Layer(weights, bias * mid, size**2))
    if self.se:
      squeezed = self.squeezed(in_features)
      layers.append(_Layer(mid * squeezed, squeezed, 1))
      layers.append(_Layer(squeezed * mid, mid, 1))
    return layers

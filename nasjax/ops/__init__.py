"""Operations: what each one is, and the Linen module behind it.

An operation (*op*) is a frozen dataclass, static and hashable, with fields of
JSON's own types, and

  * `name`: how architectures, parameters and tables call it; ops that differ
    have different names;
  * `fits(in_features, features, stride)`: whether it can stand there;
  * `module(features, stride, numerics)`: a Linen module that is called as
    `module(x, train)` on `f32[N, H, W, C]` and returns
    `f32[N, ceil(H / stride), ceil(W / stride), features]`.

Nothing else is asked of it: costs are traced from the module, and spaces, the
supernet, deriving and JSON take any class of this form. Convolutions pad as
`SAME`, so shapes depend on the stride alone; the ops that pad otherwise, as
SqueezeNet needs, say so in their name.

Tracing takes some 15 ms at each place in which an op can stand. An op that
stands in thousands, with the shapes above, may have any of the closed forms

  * `macs(in_features, features, stride, size)`, and `params` and `memory` with
    the same arguments, where `size` is the height and width of the input: an
    exact int, equal to what `nasjax.cost.traced` counts.

  * `kernels(in_features, features)`: number of weights and of output channels
    of each convolution and linear layer.

They hold for the class that defines them; what inherits from it is traced.
"""

from nasjax.ops.cell import (
  AvgPool,
  AvgPoolModule,
  Norm,
  NormModule,
  Preactivated,
  PreactivatedModule,
  ReluConv,
  ReluConvModule,
  SkipConnect,
  Zero,
  ZeroModule,
)
from nasjax.ops.chain import (
  Classifier,
  ClassifierModule,
  Conv,
  ConvModule,
  Separable,
  SeparableModule,
  Skip,
  SkipModule,
)
from nasjax.ops.classic import (
  Basic,
  Bottleneck,
  ConvClassifier,
  ConvClassifierModule,
  Fire,
  FireModule,
  MaxPool,
  MaxPoolModule,
  ResidualModule,
  Shuffle,
  ShuffleModule,
)
from nasjax.ops.core import (
  ACTIVATIONS,
  GATES,
  Depthwise,
  Numerics,
  Op,
  Pointwise,
  SqueezeExcite,
  batch_norm,
  conv,
  round_to_multiple,
  shuffle_channels,
)
from nasjax.ops.mbconv import MBConv, MBConvModule
from nasjax.ops.norm import per_channel

# What an architecture file may name without its reader adding classes.
BUILTIN: tuple[type, ...] = (
  Conv,
  MBConv,
  Skip,
  Classifier,
  Separable,
  MaxPool,
  Basic,
  Bottleneck,
  Shuffle,
  Fire,
  ConvClassifier,
  Zero,
  SkipConnect,
  ReluConv,
  AvgPool,
  Preactivated,
  Norm,
)

__all__ = [
  'ACTIVATIONS',
  'BUILTIN',
  'GATES',
  'AvgPool',
  'AvgPoolModule',
  'Basic',
  'Bottleneck',
  'Classifier',
  'ClassifierModule',
  'Conv',
  'ConvClassifier',
  'ConvClassifierModule',
  'ConvModule',
  'Depthwise',
  'Fire',
  'FireModule',
  'MBConv',
  'MBConvModule',
  'MaxPool',
  'MaxPoolModule',
  'Norm',
  'NormModule',
  'Numerics',
  'Op',
  'Pointwise',
  'Preactivated',
  'PreactivatedModule',
  'ReluConv',
  'ReluConvModule',
  'ResidualModule',
  'Separable',
  'SeparableModule',
  'Shuffle',
  'ShuffleModule',
  'Skip',
  'SkipConnect',
  'SkipModule',
  'SqueezeExcite',
  'Zero',
  'ZeroModule',
  'batch_norm',
  'conv',
  'per_channel',
  'round_to_multiple',
  'shuffle_channels',
]

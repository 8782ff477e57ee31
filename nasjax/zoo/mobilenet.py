"""MobileNet V1, V2 and V3."""

from nasjax.ops import Classifier, MBConv, Separable, round_to_multiple
from nasjax.space import Space
from nasjax.zoo import build

# Howard et al. 2017, MobileNets, table 1: width, blocks, stride.
_V1 = ((64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2))

# Sandler et al. 2018, MobileNetV2, table 2: expansion, width, blocks, stride.
_V2 = (
  (1, 16, 1, 1),
  (6, 24, 2, 2),
  (6, 32, 3, 2),
  (6, 64, 4, 2),
  (6, 96, 3, 1),
  (6, 160, 3, 2),
  (6, 320, 1, 1),
)

# Howard et al. 2019, MobileNetV3, tables 1 and 2: width, stride, activation,
# and (kernel, width in the middle, squeeze-excite) of each block.
_V3_LARGE = (
  (16, 1, 'relu', ((3, 16, 0),)),
  (24, 2, 'relu', ((3, 64, 0), (3, 72, 0))),
  (40, 2, 'relu', ((5, 72, 4), (5, 120, 4), (5, 120, 4))),
  (80, 2, 'hard_swish', ((3, 240, 0), (3, 200, 0), (3, 184, 0), (3, 184, 0))),
  (112, 1, 'hard_swish', ((3, 480, 4), (3, 672, 4))),
  (160, 2, 'hard_swish', ((5, 672, 4), (5, 960, 4), (5, 960, 4))),
)
_V3_SMALL = (
  (16, 2, 'relu', ((3, 16, 4),)),
  (24, 2, 'relu', ((3, 72, 0), (3, 88, 0))),
  (40, 2, 'hard_swish', ((5, 96, 4), (5, 240, 4), (5, 240, 4))),
  (48, 1, 'hard_swish', ((5, 120, 4), (5, 144, 4))),
  (96, 2, 'hard_swish', ((5, 288, 4), (5, 576, 4), (5, 576, 4))),
)


def mobilenet_v1(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
) -> Space:
  """MobileNet (Howard et al. 2017), table 1, scaled by `width`.

  All widths scale (section 3.3) and are rounded down, to 8 at least, as in its
  authors' code: multiples of 8 came with MobileNetV2. The paper's own
  multipliers 0.75, 0.5 and 0.25 need no rounding.

  Args:
    width: multiplier of all widths.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    The paper prints 569 million MACs and 4.2 million parameters.

    >>> from nasjax import cost
    >>> network = mobilenet_v1()
    >>> cost.macs(network).constant, cost.params(network).constant
    (568740352, 4231976)
  """
  name = build.check('mobilenet_v1', image_size, channels, num_classes, width)
  scaled = lambda features: max(8, int(features * width))  # noqa: E731
  return build.mobile(
    name,
    [
      build.repeat(Separable(3), scaled(features), blocks, stride)
      for features, blocks, stride in _V1
    ],
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=scaled(32),
    head=None,
    classifier=Classifier(),
  )


def mobilenet_v2(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  divisor: int = 8,
  min_head: int = 1280,
) -> Space:
  """MobileNetV2 (Sandler et al. 2018), table 2, scaled by `width`.

  Args:
    width: multiplier of all widths.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    divisor: widths are multiples of it.
    min_head: the head does not shrink below it (section 6.1).

  Example:
    The paper prints 300 million MACs and 3.4 million parameters.

    >>> from nasjax import cost
    >>> network = mobilenet_v2()
    >>> cost.macs(network).constant, cost.params(network).constant
    (300774272, 3504872)
  """
  name = build.check('mobilenet_v2', image_size, channels, num_classes, width)
  stages = [
    build.repeat(
      MBConv(3, expand),
      round_to_multiple(width * features, divisor),
      blocks,
      stride,
    )
    for expand, features, blocks, stride in _V2
  ]
  head = round_to_multiple(width * 1280, divisor)
  return build.mobile(
    name,
    stages,
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=round_to_multiple(width * 32, divisor),
    head=max(min_head, head),
    classifier=Classifier(0.2),
  )


def mobilenet_v3_large(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  divisor: int = 8,
  rule: str = 'authors',
) -> Space:
  """MobileNetV3-Large (Howard et al. 2019), table 1, scaled by `width`.

  Args:
    width: multiplier of the widths.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    divisor: widths are multiples of it.
    rule: how widths other than 1 scale. `'authors'` is that of the published
      networks: a block expands its scaled input by the table's ratio, and the
      classifier's hidden layer keeps its width. In `'torchvision'` the widths
      in the middle and the hidden one are scaled themselves; the network is a
      tenth smaller than the published one at 0.75, and its name says so.

  Example:
    The paper prints 219 million MACs and 5.4 million parameters.

    >>> from nasjax import cost
    >>> network = mobilenet_v3_large()
    >>> cost.macs(network).constant, cost.params(network).constant
    (216589760, 5483032)
  """
  numbers = width, image_size, channels, num_classes, divisor
  return _v3('mobilenet_v3_large', _V3_LARGE, 1280, numbers, rule)


def mobilenet_v3_small(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  divisor: int = 8,
  rule: str = 'authors',
) -> Space:
  """MobileNetV3-Small (Howard et al. 2019), table 2, scaled by `width`.

  Args:
    width: width multiplier.
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.
    divisor: widths are multiples of it.
    rule: how widths other than 1 scale, `'authors'` or `'torchvision'`; see
      `mobilenet_v3_large`.

  Example:
    The paper prints 56 million MACs and 2.5 million parameters.

    >>> from nasjax import cost
    >>> network = mobilenet_v3_small()
    >>> cost.macs(network).constant, cost.params(network).constant
    (56510400, 2542856)
  """
  numbers = width, image_size, channels, num_classes, divisor
  return _v3('mobilenet_v3_small', _V3_SMALL, 1024, numbers, rule)


def _v3(name: str, rows, hidden: int, numbers, rule: str) -> Space:
  width, image_size, channels, num_classes, divisor = numbers
  name = build.check(name, image_size, channels, num_classes, width)
  if rule not in ('authors', 'torchvision'):
    raise ValueError(f'rule is one of authors, torchvision; got {rule!r}.')
  printed = rule == 'torchvision' and width != 1

  def scaled(features: float) -> int:
    return round_to_multiple(width * features, divisor)

  stages, inputs = [], 16
  for features, stride, activation, blocks in rows:
    stage = []
    for b, (kernel, mid, se) in enumerate(blocks):
      # The ratio to the input is the table's; both round.
      ratio = round_to_multiple(scaled(inputs) * mid / inputs, divisor)
      mid = scaled(mid) if printed else ratio
      op = MBConv(kernel, activation=activation, mid=mid, se=se)
      stage.append((op, scaled(features), stride if b == 0 else 1))
      inputs = features
    stages.append(stage)
  return build.mobile(
    f'{name}_torchvision' if printed else name,
    stages,
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=scaled(16),
    # The stem's 3x3 convolution and the head have the late activation.
    conv={'activation': 'hard_swish'},
    head=6 * scaled(rows[-1][0]) if printed else scaled(6 * rows[-1][0]),
    classifier=Classifier(0.2, hidden=scaled(hidden) if printed else hidden),
  )

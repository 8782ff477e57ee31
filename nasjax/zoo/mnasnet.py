"""MnasNet, and EfficientNet, which is its descendant."""

import functools

from nasjax.ops import Classifier, MBConv, round_to_multiple
from nasjax.space import Space
from nasjax.zoo import build

# Rows are kernel, expansion, width, blocks, stride, squeeze-excite.

# Tan et al. 2019, MnasNet, fig. 7.
_MNASNET_B1 = (
  (3, 1, 16, 1, 1, 0),
  (3, 3, 24, 3, 2, 0),
  (5, 3, 40, 3, 2, 0),
  (5, 6, 80, 3, 2, 0),
  (3, 6, 96, 2, 1, 0),
  (5, 6, 192, 4, 2, 0),
  (3, 6, 320, 1, 1, 0),
)
_MNASNET_A1 = (
  (3, 1, 16, 1, 1, 0),
  (3, 6, 24, 2, 2, 0),
  (5, 3, 40, 3, 2, 4),
  (3, 6, 80, 4, 2, 0),
  (3, 6, 112, 2, 1, 4),
  (5, 6, 160, 3, 2, 4),
  (3, 6, 320, 1, 1, 0),
)

# Tan and Le 2019, EfficientNet, table 1.
_EFFICIENTNET_B0 = (
  (3, 1, 16, 1, 1, 4),
  (3, 6, 24, 2, 2, 4),
  (5, 6, 40, 2, 2, 4),
  (3, 6, 80, 3, 2, 4),
  (5, 6, 112, 3, 1, 4),
  (5, 6, 192, 4, 2, 4),
  (3, 6, 320, 1, 1, 4),
)


def mnasnet_b1(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  divisor: int = 8,
) -> Space:
  """MnasNet-B1 (Tan et al. 2019), the one without squeeze-excite.

  Args:
    width: multiplier of all widths but the head's, which is 1280.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    divisor: widths are multiples of it.

  Example:
    >>> from nasjax import cost
    >>> network = mnasnet_b1()
    >>> cost.macs(network).constant, cost.params(network).constant
    (314415872, 4383312)
  """
  name = build.check('mnasnet_b1', image_size, channels, num_classes, width)
  return _mnasnet(
    name, _MNASNET_B1, width, divisor, image_size, channels, num_classes
  )


def mnasnet_a1(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  divisor: int = 8,
) -> Space:
  """MnasNet-A1 (Tan et al. 2019, fig. 7), with squeeze-excite.

  A squeeze-excite reduces to a quarter of the block's input width.

  Args:
    width: multiplier of all widths but the head's, which is 1280.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    divisor: widths are multiples of it.

  Example:
    The paper prints 312 million MACs and 3.9 million parameters.

    >>> from nasjax import cost
    >>> network = mnasnet_a1()
    >>> cost.macs(network).constant, cost.params(network).constant
    (311579072, 3887038)
  """
  name = build.check('mnasnet_a1', image_size, channels, num_classes, width)
  return _mnasnet(
    name, _MNASNET_A1, width, divisor, image_size, channels, num_classes
  )


def _mnasnet(
  name, rows, width, divisor, image_size, channels, num_classes
) -> Space:
  scaled = lambda w: round_to_multiple(width * w, divisor)  # noqa: E731
  return build.mobile(
    name,
    _stages([(k, e, scaled(w), *rest) for k, e, w, *rest in rows], 'relu'),
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=scaled(32),
    conv={'activation': 'relu'},
    head=1280,
    classifier=Classifier(0.2),
  )


def _stages(rows, activation: str) -> list[list[build.Block]]:
  """Stages from rows of a table; the first block never adds its input."""
  block = functools.partial(
    MBConv,
    activation=activation,
    se_from='input',
    se_divisor=1,
    se_activation=activation,
    se_gate='sigmoid',
  )
  plain = functools.partial(MBConv, activation=activation)
  return [
    build.repeat(
      block(kernel, expand, se=se, residual=i > 0)
      if se
      else plain(kernel, expand, residual=i > 0),
      features,
      blocks,
      stride,
    )
    for i, (kernel, expand, features, blocks, stride, se) in enumerate(rows)
  ]


def efficientnet_b0(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """EfficientNet-B0 (Tan and Le 2019, table 1).

  It takes no width: the paper scales width, depth and image size together.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    The paper prints 390 million MACs and 5.3 million parameters.

    >>> from nasjax import cost
    >>> network = efficientnet_b0()
    >>> cost.macs(network).constant, cost.params(network).constant
    (385814752, 5288548)
  """
  return _efficientnet(
    'efficientnet_b0',
    _EFFICIENTNET_B0,
    'swish',
    image_size,
    channels,
    num_classes,
  )


def efficientnet_lite0(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """EfficientNet-Lite0: B0 with ReLU6 and without squeeze-excite.

  Source: the README of `efficientnet/lite` in the reference repository
  (tensorflow/tpu).

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    The README prints 4.7 million parameters.

    >>> from nasjax import cost
    >>> network = efficientnet_lite0()
    >>> cost.macs(network).constant, cost.params(network).constant
    (385187552, 4652008)
  """
  rows = [(*row, 0) for *row, _ in _EFFICIENTNET_B0]
  return _efficientnet(
    'efficientnet_lite0', rows, 'relu6', image_size, channels, num_classes
  )


def _efficientnet(
  name, rows, activation, image_size, channels, num_classes
) -> Space:
  return build.mobile(
    build.check(name, image_size, channels, num_classes),
    _stages(rows, activation),
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    conv={'activation': activation},
    head=1280,
    classifier=Classifier(0.2),
  )

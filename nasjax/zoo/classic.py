"""Networks that were made by hand: ResNet, SqueezeNet, ShuffleNet V2.

They keep their published strides at every image size.
"""

from nasjax.errors import InputError
from nasjax.ops import (
  Basic,
  Bottleneck,
  Classifier,
  Conv,
  ConvClassifier,
  Fire,
  MaxPool,
  Op,
  Shuffle,
)
from nasjax.space import Slot, Space
from nasjax.zoo import build

# Ma et al. 2018, ShuffleNet V2, table 5: the stages' widths and the head's, for
# each width. The stem is 24 wide in all of them.
_SHUFFLENET_V2 = {
  0.5: ((48, 96, 192), 1024),
  1.0: ((116, 232, 464), 1024),
  1.5: ((176, 352, 704), 1024),
  2.0: ((244, 488, 976), 2048),
}


def shufflenet_v2(
  *,
  width: float = 1.0,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
) -> Space:
  """ShuffleNet V2 (Ma et al. 2018), table 5.

  Args:
    width: 0.5, 1, 1.5 or 2, which the paper gives widths for.
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Raises:
    InputError: the paper has no such width.

  Example:
    The paper prints 146 million MACs and 2.3 million parameters.

    >>> from nasjax import cost
    >>> network = shufflenet_v2()
    >>> cost.macs(network).constant, cost.params(network).constant
    (144907992, 2278604)
  """
  name = build.check('shufflenet_v2', image_size, channels, num_classes, width)
  if width not in _SHUFFLENET_V2:
    known = ', '.join(f'{w:g}' for w in _SHUFFLENET_V2)
    raise InputError(f'shufflenet_v2 has the widths {known}, got {width}')
  widths, head = _SHUFFLENET_V2[width]
  stages = [
    build.repeat(Shuffle(), features, blocks, 2)
    for features, blocks in zip(widths, (4, 8, 4), strict=True)
  ]
  slots = (
    Slot('stem', (Conv(3, 'relu'),), 24, 2),
    Slot('pool', (MaxPool(3),), 24, 2),
    *build.stage_slots(stages),
    Slot('head', (Conv(1, 'relu'),), head),
    Slot('classifier', (Classifier(),), num_classes),
  )
  return Space(name, image_size, channels, slots)


def squeezenet_1_1(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """SqueezeNet (Iandola et al. 2016), version 1.1 of its authors' repository.

  Its first convolution is not padded, and its pooling rounds sizes up.

  Args:
    image_size: height and width of the images, at least 17.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    Its authors' repository prints 1.24 million parameters.

    >>> from nasjax import cost
    >>> network = squeezenet_1_1()
    >>> cost.macs(network).constant, cost.params(network).constant
    (349151936, 1235496)
  """
  # 17 pixels are 8 after the stem, and 1 after the third pooling.
  name = build.check(
    'squeezenet_1_1', image_size, channels, num_classes, smallest=17
  )
  stem = Conv(3, 'relu', bias=True, norm=False, padding='valid')
  slots = [Slot('stem', (stem,), 64, 2)]
  # Table 1: width that comes out, width in the middle, of each Fire module.
  stages = (
    ((128, 16), (128, 16)),
    ((256, 32), (256, 32)),
    ((384, 48), (384, 48), (512, 64), (512, 64)),
  )
  for s, stage in enumerate(stages, 1):
    pool = MaxPool(3, 'ceil')
    slots.append(Slot(f'pool{s}', (pool,), slots[-1].features, 2))
    slots += [
      Slot(f'stage{s}_{b}', (Fire(squeeze),), features)
      for b, (features, squeeze) in enumerate(stage, 1)
    ]
  slots.append(Slot('classifier', (ConvClassifier(0.5),), num_classes))
  return Space(name, image_size, channels, tuple(slots))


def resnet18(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ResNet-18 (He et al. 2016, table 1), projections where widths change.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    The paper prints 1.8 billion MACs, which it calls FLOPs.

    >>> from nasjax import cost
    >>> network = resnet18()
    >>> cost.macs(network).constant, cost.params(network).constant
    (1814073344, 11689512)
  """
  name = build.check('resnet18', image_size, channels, num_classes)
  rows = ((64, 2), (128, 2), (256, 2), (512, 2))
  return _resnet(name, Basic(), rows, image_size, channels, num_classes)


def resnet50(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ResNet-50 (He et al. 2016, table 1).

  The stride is in the 3x3 convolution of a block, see `nasjax.ops.Bottleneck`.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    The paper prints 3.8 billion MACs: there the first convolution of a block
    has the stride.

    >>> from nasjax import cost
    >>> network = resnet50()
    >>> cost.macs(network).constant, cost.params(network).constant
    (4089184256, 25557032)
  """
  name = build.check('resnet50', image_size, channels, num_classes)
  rows = ((256, 3), (512, 4), (1024, 6), (2048, 3))
  return _resnet(name, Bottleneck(), rows, image_size, channels, num_classes)


def _resnet(
  name: str,
  op: Op,
  rows: tuple[tuple[int, int], ...],
  image_size: int,
  channels: int,
  num_classes: int,
) -> Space:
  stages = [
    build.repeat(op, features, blocks, 1 if s == 0 else 2)
    for s, (features, blocks) in enumerate(rows)
  ]
  slots = (
    Slot('stem', (Conv(7, 'relu'),), 64, 2),
    Slot('pool', (MaxPool(3),), 64, 2),
    *build.stage_slots(stages),
    Slot('classifier', (Classifier(),), num_classes),
  )
  return Space(name, image_size, channels, slots)

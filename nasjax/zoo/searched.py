"""Networks that were searched block by block: FBNet, ProxylessNAS and others.

Their papers scale none of them (ProxylessNAS's wider variant is a separate
network), so none takes a width.
"""

import functools
from collections.abc import Iterable

from nasjax.ops import Classifier, MBConv
from nasjax.space import Space
from nasjax.zoo import build

# Rows are width, stride of the first block, and the blocks; None is a skip.
_Stage = tuple[int, int, Iterable[tuple[int, ...] | None]]

# Wu et al. 2019, FBNet, fig. 4, with the widths of table 1: (kernel,
# expansion) and, where they are not 1, the groups of the projection.
_FBNET_A = (
  (16, 1, (None,)),
  (24, 2, ((3, 3), (3, 1), None, None)),
  (32, 2, ((5, 6), (3, 3), (5, 1), (3, 3))),
  (64, 2, ((5, 6), (5, 3), (5, 1, 2), (5, 6))),
  (112, 1, ((3, 6), (5, 1, 2), (5, 3), (3, 1, 2))),
  (184, 2, ((5, 6), (5, 6), (5, 3), (5, 6))),
  (352, 1, ((5, 6),)),
)
_FBNET_B = (
  (16, 1, ((3, 1),)),
  (24, 2, ((3, 6), (5, 1), (3, 1), (3, 1))),
  (32, 2, ((5, 6), (5, 3), (3, 6), (5, 6))),
  (64, 2, ((5, 6), (5, 6), None, (5, 3))),
  (112, 1, ((5, 6), (3, 1), (5, 1), (5, 3))),
  (184, 2, ((5, 6), (5, 1), (5, 6), (5, 6))),
  (352, 1, ((3, 6),)),
)
_FBNET_C = (
  (16, 1, ((3, 1),)),
  (24, 2, ((3, 6), None, (3, 1), (3, 1))),
  (32, 2, ((5, 6), (5, 3), (5, 6), (3, 6))),
  (64, 2, ((5, 6), (5, 3), (5, 6), (5, 6))),
  (112, 1, ((5, 6), (5, 6), (5, 6), (5, 3))),
  (184, 2, ((5, 6), (5, 6), (5, 6), (5, 6))),
  (352, 1, ((3, 6),)),
)

# Stamoulis et al. 2019, Single-Path NAS, as published in timm: (kernel,
# expansion).
_SPNASNET = (
  (16, 1, ((3, 1),)),
  (24, 2, ((3, 3),) * 3),
  (40, 2, ((5, 6), (3, 3), (3, 3), (3, 3))),
  (80, 2, ((5, 6), (3, 3), (3, 3), (3, 3))),
  (96, 1, ((5, 6), (5, 3), (5, 3), (5, 3))),
  (192, 2, ((5, 6),) * 4),
  (320, 1, ((3, 6),)),
)

# Cai et al. 2019, ProxylessNAS, fig. 4: (kernel, expansion).
_MOBILE = (
  ((3, 1),),
  ((5, 3), (3, 3), None, None),
  ((7, 3), (3, 3), (5, 3), (5, 3)),
  ((7, 6), (5, 3), (5, 3), (5, 3)),
  ((5, 6), (5, 3), (5, 3), (5, 3)),
  ((7, 6), (7, 6), (7, 3), (7, 3)),
  ((7, 6),),
)
_CPU = (
  ((3, 1),),
  ((3, 6), (3, 3), (3, 3), (3, 3)),
  ((3, 6), (3, 3), (3, 3), (5, 3)),
  ((3, 6), None, None, (3, 3)),
  ((5, 6), (3, 3), (3, 3), (3, 3)),
  ((5, 6), (5, 3), (5, 3), (3, 3)),
  ((5, 6),),
)
_GPU = (
  ((3, 1),),
  ((5, 3), None, None, None),
  ((7, 3), None, None, (3, 3)),
  ((7, 6), None, None, (5, 3)),
  ((5, 6), None, (3, 3), (5, 3)),
  ((7, 6), (7, 6), (7, 6), (5, 6)),
  ((7, 6),),
)

# Nayman et al. 2021, HardCoRe-NAS, as published in timm: a row begins with its
# activation, and blocks are (kernel, expansion, squeeze-excite).
_HARDCORE_A = (
  ('relu', 16, 1, ((3, 1, 0),)),
  ('relu', 24, 2, ((5, 3, 0), (5, 3, 4))),
  ('relu', 40, 2, ((5, 3, 0), (5, 6, 4))),
  ('hard_swish', 80, 2, ((5, 6, 4), (5, 6, 4))),
  ('hard_swish', 112, 1, ((5, 6, 4), (5, 6, 4))),
  ('hard_swish', 192, 2, ((5, 6, 4), (5, 6, 4))),
)
_HARDCORE_F = (
  ('relu', 16, 1, ((3, 1, 0),)),
  ('relu', 24, 2, ((5, 3, 4), (5, 3, 4))),
  ('relu', 40, 2, ((5, 6, 4), (5, 6, 4))),
  ('hard_swish', 80, 2, ((5, 6, 4), (5, 6, 4), (3, 3, 4), (3, 3, 4))),
  ('hard_swish', 112, 1, ((3, 6, 4), (5, 6, 4), (5, 6, 4), (3, 3, 4))),
  ('hard_swish', 192, 2, ((5, 6, 4), (5, 6, 4), (3, 6, 4), (3, 6, 4))),
)


def fbnet_a(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """FBNet-A (Wu et al. 2019, fig. 4), with the blocks of the original code.

  Its convolutions have a bias besides the batch norm, and a block whose
  expansion is 1 has no expansion convolution.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    The paper prints 249 million MACs and 4.3 million parameters.

    >>> from nasjax import cost
    >>> network = fbnet_a()
    >>> cost.macs(network).constant, cost.params(network).constant
    (244452664, 4321232)
  """
  return _fbnet('fbnet_a', _FBNET_A, 1504, image_size, channels, num_classes)


def fbnet_b(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """FBNet-B (Wu et al. 2019, fig. 4), see `fbnet_a`.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    The paper prints 295 million MACs and 4.5 million parameters.

    >>> from nasjax import cost
    >>> network = fbnet_b()
    >>> cost.macs(network).constant, cost.params(network).constant
    (291004424, 4818216)
  """
  return _fbnet('fbnet_b', _FBNET_B, 1984, image_size, channels, num_classes)


def fbnet_c(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """FBNet-C (Wu et al. 2019, fig. 4), see `fbnet_a`.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    The paper prints 375 million MACs and 5.5 million parameters.

    >>> from nasjax import cost
    >>> network = fbnet_c()
    >>> cost.macs(network).constant, cost.params(network).constant
    (378136224, 5592784)
  """
  return _fbnet('fbnet_c', _FBNET_C, 1984, image_size, channels, num_classes)


def _fbnet(
  name: str,
  rows: Iterable[_Stage],
  head: int,
  image_size: int,
  channels: int,
  num_classes: int,
) -> Space:
  def block(kernel: int, expand: int, groups: int = 1) -> MBConv:
    return MBConv(kernel, expand, 'relu', groups=groups, bias=True)

  return build.mobile(
    build.check(name, image_size, channels, num_classes),
    [build.varied(*row, block) for row in rows],
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=16,
    conv={'activation': 'relu', 'bias': True},
    head=head,
    classifier=Classifier(),
  )


def spnasnet(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """Single-Path NAS's network (Stamoulis et al. 2019).

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    timm prints 4.42 million parameters.

    >>> from nasjax import cost
    >>> network = spnasnet()
    >>> cost.macs(network).constant, cost.params(network).constant
    (333467072, 4421616)
  """
  block = functools.partial(MBConv, activation='relu')
  return build.mobile(
    build.check('spnasnet', image_size, channels, num_classes),
    [build.varied(*row, block) for row in _SPNASNET],
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    conv={'activation': 'relu'},
    head=1280,
    classifier=Classifier(),
  )


def proxylessnas_mobile(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ProxylessNAS for phones (Cai et al. 2019, fig. 4).

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    >>> from nasjax import cost
    >>> network = proxylessnas_mobile()
    >>> cost.macs(network).constant, cost.params(network).constant
    (320427584, 4080512)
  """
  widths = 32, (16, 32, 40, 80, 96, 192, 320), 1280
  return _proxylessnas(
    'proxylessnas_mobile', _MOBILE, widths, image_size, channels, num_classes
  )


def proxylessnas_cpu(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ProxylessNAS for CPUs (Cai et al. 2019, fig. 4).

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    >>> from nasjax import cost
    >>> network = proxylessnas_cpu()
    >>> cost.macs(network).constant, cost.params(network).constant
    (439243864, 4361648)
  """
  widths = 40, (24, 32, 48, 88, 104, 216, 360), 1432
  return _proxylessnas(
    'proxylessnas_cpu', _CPU, widths, image_size, channels, num_classes
  )


def proxylessnas_gpu(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ProxylessNAS for GPUs (Cai et al. 2019, fig. 4).

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    >>> from nasjax import cost
    >>> network = proxylessnas_gpu()
    >>> cost.macs(network).constant, cost.params(network).constant
    (465260160, 7119848)
  """
  widths = 40, (24, 32, 56, 112, 128, 256, 432), 1728
  return _proxylessnas(
    'proxylessnas_gpu', _GPU, widths, image_size, channels, num_classes
  )


def proxylessnas_mobile_14(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ProxylessNAS for phones, 1.4 times as wide.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    >>> from nasjax import cost
    >>> network = proxylessnas_mobile_14()
    >>> cost.macs(network).constant, cost.params(network).constant
    (580883408, 6857568)
  """
  widths = 48, (24, 40, 56, 112, 136, 256, 448), 1792
  return _proxylessnas(
    'proxylessnas_mobile_14', _MOBILE, widths, image_size, channels, num_classes
  )


def _proxylessnas(
  name, stages, widths, image_size, channels, num_classes
) -> Space:
  stem, features, head = widths
  rows = zip(features, (1, 2, 2, 2, 1, 2, 1), stages, strict=True)
  return build.mobile(
    build.check(name, image_size, channels, num_classes),
    [build.varied(*row, MBConv) for row in rows],
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=stem,
    head=head,
    classifier=Classifier(),
  )


def hardcorenas_a(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """HardCoRe-NAS A (Nayman et al. 2021), the fastest of its family.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    timm prints 5.26 million parameters.

    >>> from nasjax import cost
    >>> network = hardcorenas_a()
    >>> cost.macs(network).constant, cost.params(network).constant
    (224227936, 5260232)
  """
  return _hardcorenas(
    'hardcorenas_a', _HARDCORE_A, image_size, channels, num_classes
  )


def hardcorenas_f(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """HardCoRe-NAS F (Nayman et al. 2021), the slowest of its family.

  Args:
    image_size: height and width of the images.
    channels: number of channels of the images.
    num_classes: number of classes.

  Example:
    timm prints 8.20 million parameters.

    >>> from nasjax import cost
    >>> network = hardcorenas_f()
    >>> cost.macs(network).constant, cost.params(network).constant
    (341905696, 8199688)
  """
  return _hardcorenas(
    'hardcorenas_f', _HARDCORE_F, image_size, channels, num_classes
  )


def _hardcorenas(name, rows, image_size, channels, num_classes) -> Space:
  def block(activation: str, kernel: int, expand: int, se: int) -> MBConv:
    return MBConv(kernel, expand, activation, se=se)

  stages = [
    build.varied(features, stride, blocks, functools.partial(block, activation))
    for activation, features, stride, blocks in rows
  ]
  return build.mobile(
    build.check(name, image_size, channels, num_classes),
    stages,
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    conv={'activation': 'hard_swish'},
    head=960,
    classifier=Classifier(hidden=1280),
  )

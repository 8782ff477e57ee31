"""ProxylessNAS's space: kernels up to 7, and depth."""

from nasjax.ops import MBConv, Op, Skip
from nasjax.space import Space
from nasjax.spaces.mobile import Stage, mobile

# Cai et al. 2019, ProxylessNAS, section 4.2.
_CANDIDATES: tuple[Op, ...] = (
  *(MBConv(kernel, expand) for kernel in (3, 5, 7) for expand in (3, 6)),
  Skip(),
)


def proxylessnas(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """ProxylessNAS's space (Cai et al. 2019): 21 searched slots, 7 candidates.

  Section 4.2: MobileNetV2's backbone, in which each block chooses a kernel of
  3, 5 or 7 and an expansion of 3 or 6, and blocks with a residual connection
  can be skipped (15 of the 21). The first block is fixed and does not expand.
  Widths are those of the network found for phones (fig. 4), which is
  `zoo.proxylessnas_mobile`; there the first searched stage is 32 wide.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    >>> sizes = [len(names) for names in proxylessnas().choices.values()]
    >>> len(sizes), sizes.count(7), sizes.count(6)
    (21, 15, 6)
  """
  return mobile(
    [
      Stage(16, 1, candidates=(MBConv(3, 1),)),
      Stage(32, 4, 2),
      Stage(40, 4, 2),
      Stage(80, 4, 2),
      Stage(96, 4),
      Stage(192, 4, 2),
      Stage(320, 1),
    ],
    name='proxylessnas',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    stem_stride=2,
    head=1280,
    candidates=_CANDIDATES,
  )

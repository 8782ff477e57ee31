"""A space of MobileNetV3's blocks: squeeze-excite and activation chosen."""

import itertools

from nasjax.ops import MBConv, Op, Skip
from nasjax.space import Space
from nasjax.spaces.mobile import Stage, mobile

_CANDIDATES: tuple[Op, ...] = (
  *(
    MBConv(kernel, expand, activation, se=se)
    for kernel, expand, se, activation in itertools.product(
      (3, 5), (3, 6), (0, 4), ('relu', 'hard_swish')
    )
  ),
  Skip(),
)


def mobilenet_v3(
  *, image_size: int = 224, channels: int = 3, num_classes: int = 1000
) -> Space:
  """MobileNetV3's blocks, 20 searched slots, 17 candidates.

  A candidate is a combination of kernel (3, 5), expansion (3, 6),
  squeeze-excite (none, or to a quarter) and activation (ReLU, hard swish): what
  MobileNetV3 varies from block to block (Howard et al. 2019, table 1), all but
  the activation as HardCoRe-NAS (Nayman et al. 2021) and TuNAS's
  MobileNetV3-like space (Bender et al. 2020) search it. ReLU and hard swish
  have equal MACs and parameters; only a measured latency tells them apart.

  The layout is HardCoRe-NAS's: stages of up to four blocks, with
  MobileNetV3-Large's widths but for the last, which is 192 instead of 160, and
  MobileNetV3's stem, head and hidden layer. `skip` stands in 15 slots. The
  `zoo.hardcorenas_*` are architectures of it. MobileNetV3-Large itself is not:
  it prints widths in the middle of its blocks that are no such multiples.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.

  Example:
    >>> sizes = [len(names) for names in mobilenet_v3().choices.values()]
    >>> len(sizes), sizes.count(17), sizes.count(16)
    (20, 15, 5)
  """
  return mobile(
    [
      Stage(16, 1, candidates=(MBConv(3, 1, 'relu'),)),
      Stage(24, 4, 2),
      Stage(40, 4, 2),
      Stage(80, 4, 2),
      Stage(112, 4),
      Stage(192, 4, 2),
    ],
    name='mobilenet_v3',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=32,
    stem_stride=2,
    head=960,
    candidates=_CANDIDATES,
    activation='hard_swish',
    dropout=0.2,
    hidden=1280,
  )

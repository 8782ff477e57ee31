"""FBNet's space: nine blocks, grouped and plain, in every searched slot."""

import functools

from nasjax.ops import MBConv, Op, Skip
from nasjax.space import Space
from nasjax.spaces.mobile import Stage, mobile

# The blocks of the original code: a bias besides the batch norm.
_block = functools.partial(MBConv, activation='relu', bias=True)

# Wu et al. 2019, FBNet, table 2, in its order.
_CANDIDATES: tuple[Op, ...] = (
  *(
    _block(kernel, expand, groups=groups)
    for kernel in (3, 5)
    for expand, groups in ((1, 1), (1, 2), (3, 1), (6, 1))
  ),
  Skip(),
)

# Wu et al. 2019, table 1.
_STAGES = (
  Stage(16, 1),
  Stage(24, 4, 2),
  Stage(32, 4, 2),
  Stage(64, 4, 2),
  Stage(112, 4),
  Stage(184, 4, 2),
  Stage(352, 1),
)


def fbnet(
  *,
  image_size: int = 224,
  channels: int = 3,
  num_classes: int = 1000,
  head: int = 1984,
) -> Space:
  """FBNet's space (Wu et al. 2019): 22 searched slots, 9 candidates.

  Widths, depths and strides are those of table 1, the candidates those of
  table 2. They are the blocks of the original code, as in `zoo.fbnet_b`: an
  expansion of 1 has no expansion convolution, so that of a grouped block only
  the projection is grouped.

  `skip` stands in the 16 slots in which stride and width do not change. In the
  other 6 it could not be the identity and is left out.

  Args:
    image_size: height and width of the images.
    channels: of the images.
    num_classes: of the classifier.
    head: width of the last convolution: that of FBNet-B and FBNet-C. FBNet-A
      has 1504.

  Example:
    >>> sizes = [len(names) for names in fbnet().choices.values()]
    >>> len(sizes), sizes.count(9), sizes.count(8)
    (22, 16, 6)
  """
  return mobile(
    _STAGES,
    name='fbnet',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=16,
    stem_stride=2,
    head=head,
    candidates=_CANDIDATES,
    activation='relu',
    bias=True,
  )

"""Spaces small enough to enumerate."""

from nasjax.ops import MBConv, Skip
from nasjax.space import Space
from nasjax.spaces.mobile import Stage, mobile


def tiny(
  *, image_size: int = 8, channels: int = 1, num_classes: int = 10
) -> Space:
  """Three slots, for tests and examples.

  Example:
    >>> tiny().choices['stage2_2'].options
    ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip')
  """
  return mobile(
    [Stage(6, 1), Stage(8, 2, 2)],
    name='tiny',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=4,
    stem_stride=2,
    head=16,
    candidates=(MBConv(3, 1), MBConv(3, 3), Skip()),
  )


def tiny_width(
  *, image_size: int = 8, channels: int = 1, num_classes: int = 10
) -> Space:
  """Three slots in two stages whose widths are choices, too.

  Example:
    >>> list(tiny_width().choices)
    ['stage1_width', 'stage1_1', 'stage2_width', 'stage2_1', 'stage2_2']
  """
  return mobile(
    [Stage((4, 6), 1), Stage((5, 8), 2, 2)],
    name='tiny_width',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=4,
    stem_stride=2,
    head=16,
    candidates=(MBConv(3, 1), MBConv(3, 3), Skip()),
  )


def tiny_macro(
  *, image_size: int = 8, channels: int = 1, num_classes: int = 10
) -> Space:
  """Three slots and two downsampling patterns: 24 architectures.

  Example:
    >>> tiny_macro().choices['pattern'].options
    ('early', 'late')
  """
  return mobile(
    [Stage(6, 1, (1, 2)), Stage(8, 2, 2)],
    name='tiny_macro',
    image_size=image_size,
    channels=channels,
    num_classes=num_classes,
    stem=4,
    stem_stride=(2, 1),
    head=16,
    candidates=(MBConv(3, 1), MBConv(3, 3), Skip()),
    patterns=('early', 'late'),
  )

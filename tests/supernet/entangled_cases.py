"""Slots whose weights are shared."""

from nasjax import ops, spaces

MBConv = ops.MBConv


def make_cut(stages, candidates, stem=4, **given):
  sizes = {'image_size': 7, 'channels': 2, 'num_classes': 3, 'head': 5}
  return spaces.mobile(
    stages, stem=stem, stem_stride=1, candidates=candidates, **sizes, **given
  )


Stage = spaces.Stage
NESTED = tuple(MBConv(k, e) for k in (3, 5, 7) for e in (1, 3, 6))
SQUEEZED = tuple(
  MBConv(k, e, a, se=2, se_divisor=2)
  for k, e, a in ((3, 2, 'relu'), (5, 4, 'relu'), (3, 2, 'hard_swish'))
)
GROUPED = tuple(
  MBConv(k, e, groups=2, bias=True) for k in (3, 5) for e in (1, 3)
)
SPACES = {
  'kernels, expansions, skip, strides': make_cut(
    [Stage(4, 2), Stage(6, 2, 2)], (*NESTED, ops.Skip())
  ),
  # Widths meet that are equal by chance: then there is a shortcut.
  'widths': make_cut(
    [Stage((4, 6), 1), Stage((3, 4, 6), 2), Stage((4, 5), 1, 2)],
    (*NESTED[:6], ops.Skip()),
  ),
  'widths around a fixed block': make_cut(
    [Stage((4, 6), 1, candidates=(MBConv(3, 2),)), Stage(8, 1, 2)],
    (MBConv(3, mid=12), MBConv(5, mid=6)),
  ),
  'squeeze-excite and activations': make_cut(
    [Stage(4, 1), Stage((4, 6), 2)], (*SQUEEZED, ops.Skip())
  ),
  'groups': make_cut([Stage(4, 1), Stage(6, 1, 2)], GROUPED),
  'another block': make_cut(
    [Stage(4, 2)], (*NESTED[:3], ops.Separable(3), ops.Basic())
  ),
  'patterns': spaces.tiny_macro(num_classes=3),
  'tiny': spaces.tiny(num_classes=3),
}

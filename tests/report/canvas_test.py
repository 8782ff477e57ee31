"""Words and colours of ops."""

from nasjax.ops import Classifier, Conv, MBConv, Skip
from nasjax.report import canvas


def test_words_of_ops():
  ops = (MBConv(7, 4), Conv(3), Skip(), Classifier(0.1))
  assert [canvas.words(op) for op in ops] == [
    '7x7, expand 4',
    '3x3 conv',
    'skip',
    'classifier',
  ]


def test_colours_differ_and_do_not_depend_on_the_company():
  ops = [MBConv(k, e) for k in (3, 5, 7) for e in (1, 3, 6)]
  ops += [Skip(), Conv(3), Conv(5)]
  found = canvas.colours(ops)
  assert len(set(found.values())) == len(ops)
  for op in ops[:10]:
    assert canvas.colours([op])[op.name] == found[op.name]

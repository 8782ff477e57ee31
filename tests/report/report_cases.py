"""Networks and results to be drawn, and what a drawing says."""

from matplotlib.image import imread

from nasjax import spaces, zoo
from nasjax.space import Architecture, fix

TINY = spaces.tiny()
CHOSEN = Architecture(TINY, ('mbconv_k3_e1', 'mbconv_k3_e3', 'skip'))
NETWORKS = [
  fix(TINY, CHOSEN),
  zoo.mobilenet_v2(),
  zoo.mobilenet_v2(width=0.5, image_size=28, channels=1, num_classes=10),
]


def texts(figure):
  """All that is written in a figure, axes and legends included."""
  found = figure.findobj(lambda a: hasattr(a, 'get_text'))
  return [a.get_text() for a in found if a.get_text()]


def assert_png(path):
  assert path.stat().st_size > 3000
  pixels = imread(path)
  assert min(pixels.shape[:2]) > 200
  assert pixels[..., :3].std() > 0.01  # Not blank.
  assert not list(path.parent.glob('*.part'))


def row(name, kind, macs, accuracy, limit, params=12_345):
  return {
    'name': name,
    'kind': kind,
    'macs': macs,
    'params': params,
    'test_accuracy': accuracy,
    'limit': limit,
  }


ROWS = [
  row('late', 'searched', 1_999_000, 0.9, 2e6),
  row('b', 'searched', 987_654, 0.85, 1e6),
  row('a', 'searched', 876_543, 0.83, 1e6),
  row('r', 'random', 500_001, 0.8, 1e6),
  row('too big', 'random', 2_100_000, None, 2e6),
  row('free', 'MobileNetV2', 1_234_567, 0.8765, None),
]


def lines(axes):
  return {line.get_label(): line.get_xydata() for line in axes.lines}

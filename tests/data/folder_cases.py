"""Small folders of images."""

import numpy as np
from PIL import Image


def write_image(path, pixels, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def make_folder(root, count=20, size=6, suffix='png', channels=3):
  """Two classes; each image is a constant that no other one is."""
  shape = (size, size) if channels == 1 else (size, size, channels)
  for label, name in enumerate(('cat', 'dog')):
    for i in range(count):
      value = 10 + 100 * label + i
      write_image(root / name / f'{i}.{suffix}', np.full(shape, value))
  return root


def pixel_values(arrays):
  return sorted(arrays.images[:, 0, 0, 0].tolist())


def make_sides(root, *sides):
  """Ten images of each class on each side, each of a value of its own."""
  values = {}
  for i, side in enumerate(sides):
    for label, name in enumerate(('cat', 'dog')):
      for j in range(10):
        value = 100 * label + 20 * i + j
        write_image(root / side / name / f'{j}.png', np.full((6, 6), value))
        values.setdefault(side, []).append(value)
  return {side: sorted(found) for side, found in values.items()}


SETS = ('split', 'whole')

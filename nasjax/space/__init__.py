"""The vocabulary: what there is to choose from, and what was chosen.

A space is static: frozen dataclasses without arrays. Alphas, probabilities and
one-hots are dicts of arrays, from a choice to `f32[options]`.
"""

from nasjax.space.chain import (
  Alphas,
  Architecture,
  Space,
  argmax,
  at_pattern,
  check_image_size,
  fix,
  init_alphas,
  one_hot,
  resize,
)
from nasjax.space.json_file import read_record
from nasjax.space.slots import LARGEST_SIZE, Slot, Width, channels, pairs

__all__ = [
  'LARGEST_SIZE',
  'Alphas',
  'Architecture',
  'Slot',
  'Space',
  'Width',
  'argmax',
  'at_pattern',
  'channels',
  'check_image_size',
  'fix',
  'init_alphas',
  'one_hot',
  'pairs',
  'read_record',
  'resize',
]

"""The vocabulary: slots, spaces, architectures. All static, all hashable.

A chain space is a sequence of slots. A slot holds candidate ops, of which a
network has one. A slot with one op is fixed, such as stem, head and classifier;
a published network is a space in which all slots are fixed. A width can be a
choice, too, shared by the slots that name it.

What is learned about the choices lives outside of spaces, in `alphas`: a dict
from the name of a slot or width to `f32[options]`. The last axis is the choice.
"""

from nasjax.space.architecture import Architecture, argmax, fix, one_hot
from nasjax.space.chain import Space, at_pattern, check_image_size, resize
from nasjax.space.choices import Alphas, Axis, Choice, axes, init_alphas, rows
from nasjax.space.json_file import read_record
from nasjax.space.slots import LARGEST_SIZE, Slot, Width, channels, pairs

__all__ = [
  'LARGEST_SIZE',
  'Alphas',
  'Architecture',
  'Axis',
  'Choice',
  'Slot',
  'Space',
  'Width',
  'argmax',
  'at_pattern',
  'axes',
  'channels',
  'check_image_size',
  'fix',
  'init_alphas',
  'one_hot',
  'pairs',
  'read_record',
  'resize',
  'rows',
]

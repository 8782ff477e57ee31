"""Data sets and batches, decoded or streamed.

Images are `uint8[N, H, W, C]`, labels `i32[N]`.
"""

from nasjax.data.arrays import from_arrays
from nasjax.data.augment import Augment
from nasjax.data.batches import (
  Batches,
  Sampler,
  check_size,
  normalise,
  sampler_init,
  sampler_next,
  statistics,
  take,
)
from nasjax.data.dataset import Arrays, Dataset, Opened, checksum
from nasjax.data.loading import EMBEDDED, load, open_set
from nasjax.data.splits import split

__all__ = [
  'EMBEDDED',
  'Arrays',
  'Augment',
  'Batches',
  'Dataset',
  'Opened',
  'Sampler',
  'check_size',
  'checksum',
  'from_arrays',
  'load',
  'normalise',
  'open_set',
  'sampler_init',
  'sampler_next',
  'split',
  'statistics',
  'take',
]

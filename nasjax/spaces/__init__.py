"""Ready-made spaces, one function each."""

from nasjax.spaces.mobile import (
  CANDIDATES,
  Stage,
  mobile,
  mobile_224,
  mobile_small,
)
from nasjax.spaces.tiny import tiny, tiny_width

__all__ = [
  'CANDIDATES',
  'Stage',
  'mobile',
  'mobile_224',
  'mobile_small',
  'tiny',
  'tiny_width',
]

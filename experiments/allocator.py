"""How memory is taken from the system.

XLA takes a block for all temporary arrays of a step when it begins, and frees
it when it ends. glibc hands blocks of such a size back to the kernel, which
hands them out again as fresh pages, each cleared when it is first touched: a
third of the time of a search step on a CPU. So what was taken is kept.
"""

import ctypes
import sys

# Of glibc's malloc.h, with what they are set to.
_SETTINGS = {
  'M_ARENA_MAX': (-8, 1),  # Threads' own heaps cannot hold large blocks.
  'M_MMAP_MAX': (-4, 0),  # No block is mapped by itself.
  'M_TRIM_THRESHOLD': (-1, -1),  # Nothing is given back: as large as can be.
  'M_TOP_PAD': (-2, 64 << 20),  # The heap grows by this many bytes.
}


def keep_pages() -> bool:
  """Makes this process keep what it frees, for its next step.

  Call it before arrays are made. It acts where the C library is glibc, does
  nothing elsewhere, and changes nothing that is computed.

  Returns:
    Whether it acts.
  """
  if not sys.platform.startswith('linux'):
    return False
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is None:
    return False
  # musl has a mallopt of the name, perhaps, but then it refuses.
  return all([mallopt(key, value) for key, value in _SETTINGS.values()])

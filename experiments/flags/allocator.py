"""How memory is taken from the system.

XLA takes a block for all temporary arrays of a step when it begins, and frees
it when it ends. glibc hands blocks of such a size back to the kernel, which
hands them out again as fresh pages of 4 KB, each cleared when it is first
touched: a third of the time of a search step on a CPU. With huge pages, of 2
MB, that is next to nothing, and addresses are found faster.

glibc asks for them where it is told to before a process starts, so a script
starts itself again. Where that is not to be had, what was taken is kept.
"""

import ctypes
import itertools
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

from nasjax.run import interrupts

VARIABLE = 'GLIBC_TUNABLES'
HUGE_PAGES = 'glibc.malloc.hugetlb=1'
_KERNEL = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')

# Of glibc's malloc.h, with what they are set to.
_SETTINGS = {
  'M_ARENA_MAX': (-8, 1),  # Threads' own heaps cannot hold large blocks.
  'M_MMAP_MAX': (-4, 0),  # No block is mapped by itself.
  'M_TRIM_THRESHOLD': (-1, -1),  # Nothing is given back: as large as can be.
  'M_TOP_PAD': (-2, 64 << 20),  # The heap grows by this many bytes.
}


def with_huge_pages(
  environment: Mapping[str, str], library: str, kernel: str
) -> dict[str, str] | None:
  """The environment in which glibc asks for huge pages.

  Args:
    environment: as it is.
    library: the C library and its version, `'glibc 2.36'`.
    kernel: when the kernel gives huge pages: `'always [madvise] never'`.

  Returns:
    None where it already does, or something was chosen by hand, or nothing
    would come of it.

  Example:
    >>> with_huge_pages({}, 'glibc 2.36', 'always [madvise] never')
    {'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1'}
  """
  before = environment.get(VARIABLE, '')
  if 'glibc.malloc.hugetlb' in before or '[madvise]' not in kernel:
    return None
  name, _, version = library.partition(' ')
  numbers = version.split('.')[:2]
  if name != 'glibc' or not all(n.isdecimal() for n in numbers):
    return None
  if tuple(map(int, numbers)) < (2, 35):
    return None
  joined = ':'.join(filter(None, (before, HUGE_PAGES)))
  return {**environment, VARIABLE: joined}


_PACKAGES = 'experiments', 'nasjax'


def is_script(
  original: Sequence[str], packages: Sequence[str] = _PACKAGES
) -> bool:
  """Whether a process was started for one of the scripts, and nothing else.

  Args:
    original: `sys.orig_argv`.
    packages: whose modules are scripts.

  Example:
    >>> is_script(['python', '-m', 'experiments.search', '--json'])
    True
    >>> is_script(['python', '-c', 'import runpy']), is_script(['python'])
    (False, False)
  """
  pairs = itertools.pairwise(original)
  named = any(
    flag == '-m' and module.split('.')[0] in packages for flag, module in pairs
  )
  return named or os.path.basename((*original, '', '')[1]) == 'nasjax'


def restart(
  original: Sequence[str], packages: Sequence[str] = _PACKAGES
) -> None:
  """Starts a script anew, where that makes its memory faster.

  Only scripts call it, before they import anything that is slow. It is the same
  process, with its arguments; nothing that is computed changes.

  Args:
    original: `sys.orig_argv`.
    packages: whose modules are scripts.
  """
  if not sys.platform.startswith('linux'):
    return
  if not is_script(original, packages):
    return
  try:
    library = os.confstr('CS_GNU_LIBC_VERSION') or ''
  except (OSError, ValueError):  # Another C library.
    return
  environment = with_huge_pages(os.environ, library, _kernel())
  if environment is not None:
    interrupts.block()  # No signal is lost, or raises, in between.
    os.execve(sys.executable, [sys.executable, *original[1:]], environment)


def keep_pages() -> bool:
  """Makes this process keep what it frees, for its next step.

  Call it before arrays are made. It acts where the C library is glibc and there
  are no huge pages, does nothing elsewhere, and changes nothing that is
  computed.

  Returns:
    Whether it acts.
  """
  if not sys.platform.startswith('linux'):
    return False
  if HUGE_PAGES in os.environ.get(VARIABLE, '') or '[always]' in _kernel():
    return False
  mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
  if mallopt is None:
    return False
  # musl has a mallopt of the name, perhaps, but then it refuses.
  return all([mallopt(key, value) for key, value in _SETTINGS.values()])


def _kernel() -> str:
  """When the kernel gives huge pages; nothing where it does not say."""
  try:
    return _KERNEL.read_text()
  except OSError:
    return ''

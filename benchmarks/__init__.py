"""Scripts that time what nasjax does; each prints one table."""

import sys

from experiments.flags import allocator

# Before anything else: `python -m benchmarks.X` starts itself again with huge
# pages, as the scripts do. An import, such as of a test, does not.
allocator.restart(sys.orig_argv, ('benchmarks',))

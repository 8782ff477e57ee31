"""Scripts on top of nasjax: flags to objects to a loop."""

import sys

from experiments import allocator, interrupts

# A module of this package runs as a script, and has imported nothing yet.
if sys.argv[:1] == ['-m']:
  interrupts.quiet_imports()
allocator.restart()

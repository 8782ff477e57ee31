"""Scripts on top of nasjax: flags to objects to a loop."""

from experiments import allocator

allocator.restart()

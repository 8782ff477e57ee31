"""Scripts that time what nasjax does; each prints one table."""

from experiments import allocator

# Importing `experiments` has done it already, where it could be done.
allocator.restart()

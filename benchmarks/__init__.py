"""Scripts that time what nasjax does; each prints one table."""

# Before anything else: it may start the script anew, see its `allocator`.
import experiments  # noqa: F401

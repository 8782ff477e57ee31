"""`--compile_cache` and `--huge_pages`: how programs are kept, and memory."""

import dataclasses

from nasjax import options
from nasjax.options import check_types, documented, option
from nasjax.run import compilation

from . import cli, configs


@documented
@dataclasses.dataclass(frozen=True)
class Programs:
  """How programs and memory are kept; no result depends on it."""

  compile_cache: str | None = option(
    None,
    f'folder that keeps compiled programs, or {compilation.OFF}; not given: '
    f'${compilation.VARIABLE}, or ~/.cache/nasjax',
  )
  # Read from the command line before the flags are parsed: see `early`.
  huge_pages: bool = option(
    True,
    'start the process anew so that memory comes in pages of 2 MB, where the '
    'system has them; faster on a CPU',
  )

  def __post_init__(self):
    check_types(self)


OPTIONS = options.of(Programs)


def keep() -> None:
  """Turns the cache on, as the flag says."""
  compilation.keep(configs.of(Programs, cli.values(OPTIONS)).compile_cache)

"""`--compile_cache` and `--huge_pages`: how programs are kept, and memory."""

from absl import flags

from nasjax.run import compilation

# Flags below are a script's own, so that its --help lists them.
flags.disclaim_key_flags()


def define() -> None:
  """Defines both flags, which decide nothing that is computed."""
  flags.DEFINE_string(
    'compile_cache',
    None,
    f'folder that keeps compiled programs, or {compilation.OFF}; not given: '
    f'${compilation.VARIABLE}, or ~/.cache/nasjax',
  )
  flags.DEFINE_boolean(
    'huge_pages',
    True,
    'start the process anew so that memory comes in pages of 2 MB, where the '
    'system has them; faster on a CPU',
  )


def keep() -> None:
  """Turns the cache on, as the flag says."""
  compilation.keep(flags.FLAGS.compile_cache)

"""What a script does before its imports, which take seconds.

It answers `--help` and `--version`, ends quietly on Ctrl-C, and takes memory in
huge pages. This module imports nothing that is slow.
"""

import importlib.resources
import importlib.util
import os
import re
import signal
import sys

import nasjax
from nasjax.run import interrupts

from . import allocator

_HELP = ('--help', '-help', '-h', '--h')
# As absl reads it: one dash or two, in any case.
_OFF = re.compile(r'--?(nohuge_pages|huge_pages=(false|f|0))', re.IGNORECASE)
_DRAWS = 'compare', 'sweep'


def begin(name: str) -> None:
  """To be called first, where a module runs as a script.

  Args:
    name: of the script, such as `search`.
  """
  args = sys.argv[1:]
  if '--version' in args:
    version_or('--version', '')
    sys.exit(0)
  if any(arg in _HELP for arg in args):
    text = help_of(name)
    if sys.argv[0].startswith('nasjax '):  # The installed command.
      text = text.replace('python -m experiments.', 'nasjax ')
    _say(text)
    sys.exit(0)
  interrupts.quiet_imports()
  if name in _DRAWS and importlib.util.find_spec('matplotlib') is None:
    print(
      f'error: {name} draws figures and needs matplotlib, which is not '
      'installed: pip install matplotlib',
      file=sys.stderr,
    )
    sys.exit(1)
  if not any(map(_OFF.fullmatch, args)):
    allocator.restart(sys.orig_argv)


def version_or(argument: str, usage: str) -> None:
  """Prints the version where that was asked for, else how a command is used."""
  version = f'nasjax {nasjax.__version__}\n'
  _say(version if argument == '--version' else usage)


def _say(text: str) -> None:
  """Prints; ends quietly where nobody reads any more, as in `... | head`."""
  try:
    sys.stdout.write(text)
    sys.stdout.flush()
  except BrokenPipeError:
    # Nothing that is left in the buffer may raise again when Python ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)


def help_of(name: str) -> str:
  """The help text of a script, which `experiments.flags.help` wrote."""
  folder = importlib.resources.files(__package__) / 'help_texts'
  return (folder / f'{name}.txt').read_text()
